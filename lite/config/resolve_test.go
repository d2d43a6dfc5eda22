package config

import (
	"errors"
	"flag"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/amp"
	"github.com/golite/golite/dist"
	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/lite/cluster"
	"github.com/golite/golite/lite/strategy"
	strategies "github.com/golite/golite/lite/strategy/builtin"
	"github.com/golite/golite/torch"
)

// policy is a precision plugin that is never used.
type policy struct{ amp.Precision }

// files is a checkpoint I/O that is never used.
type files struct{ checkpointIO }

// devices are those of all ranks.
func devices(p *Plan) []torch.Device { return slices.Concat(p.Ranks...) }

// precisionOf is the name of the precision that ranks on a CPU get.
func precisionOf(t *testing.T, p *Plan) string {
	precision, err := p.Precision(torch.CPU)
	require.NoError(t, err)
	return precision.Name()
}

func indices(p *Plan) []int {
	var list []int
	for _, d := range devices(p) {
		list = append(list, d.Index)
	}
	return list
}

func TestDevicesOnGPUs(t *testing.T) {
	all := make([]int, 16)
	for i := range all {
		all[i] = i
	}
	for _, c := range []struct {
		name string
		cfg  Config
		want []int
	}{
		{"a count", Config{GPUs: "3"}, []int{0, 1, 2}},
		{"a count in code", Config{Accelerator: "gpu", Devices: accelerator.DeviceCount(3)}, []int{0, 1, 2}},
		{"a list", Config{GPUs: "1, 3"}, []int{1, 3}},
		{"a list of one", Config{GPUs: "2,"}, []int{2}},
		{"a list in code", Config{Accelerator: "gpu", Devices: accelerator.DeviceList(1, 3)}, []int{1, 3}},
		{"a list of one in code", Config{Accelerator: "gpu", Devices: accelerator.DeviceList(2)}, []int{2}},
		{"all", Config{GPUs: "-1"}, all},
		{"all in code", Config{Accelerator: "cuda", Devices: accelerator.AllDevices}, all},
		{"auto", Config{Accelerator: "auto", Devices: "auto"}, all},
		{"auto in any case", Config{Accelerator: "Auto", Devices: " AUTO "}, all},
		{"an accelerator and no devices", Config{Accelerator: "gpu"}, all},
		{"devices and no accelerator", Config{Devices: "2"}, []int{0, 1}},
		{"the order is kept", Config{GPUs: "4,1"}, []int{4, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Resolve(c.cfg, box{gpus: 16})
			require.NoError(t, err)
			require.Equal(t, torch.CUDAType, devices(p)[0].Type)
			require.Equal(t, c.want, indices(p))
		})
	}
	for name, cfg := range map[string]Config{
		"nothing":        {},
		"gpus 0":         {GPUs: "0"},
		"devices 0":      {Devices: "0"},
		"devices none":   {Devices: "none"},
		"strategy alone": {Strategy: "ddp"},
		"cpu, devices 0": {Accelerator: "cpu", Devices: "0"},
		"cpu, no device": {Accelerator: "cpu"},
		"cpu, auto":      {Accelerator: "cpu", Devices: "auto"},
		"auto, none":     {Accelerator: "auto", Devices: "0"},
		"an empty list":  {Devices: accelerator.DeviceList()},
		"auto, no list":  {Accelerator: "auto", Devices: accelerator.DeviceList()},
	} {
		p, err := Resolve(cfg, box{gpus: 16})
		require.NoError(t, err, name)
		require.Equal(t, []torch.Device{torch.CPU}, devices(p), name)
	}
}

// torchrun22 is what torchrun sets for the last of 2 ranks on each of 2 nodes.
var torchrun22 = map[string]string{"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "1",
	"LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "1", "MASTER_ADDR": "h", "MASTER_PORT": "5"}

// TestDevicesUnderAnEngine: what is not said, or said as the engine has it, is the engine's.
func TestDevicesUnderAnEngine(t *testing.T) {
	two, gpus := []torch.Device{torch.CPU, torch.CPU}, []torch.Device{{Type: torch.CUDAType}, {Type: torch.CUDAType, Index: 1}}
	for _, c := range []struct {
		name string
		cfg  Config
		box  box
		want []torch.Device
	}{
		{"nothing", Config{}, box{}, two},
		{"nothing, where there are GPUs", Config{}, box{gpus: 8}, two},
		{"auto", Config{Devices: "auto"}, box{}, two},
		{"auto, where there are GPUs", Config{Devices: "auto"}, box{gpus: 8}, gpus},
		{"auto of both", Config{Accelerator: "auto", Devices: "auto"}, box{}, two},
		{"gpus auto", Config{GPUs: "auto"}, box{gpus: 8}, gpus},
		{"the CPU", Config{Accelerator: "cpu"}, box{gpus: 8}, two},
		{"none", Config{Devices: "0"}, box{gpus: 8}, two},
		{"none, auto", Config{Accelerator: "auto", Devices: "0"}, box{gpus: 8}, two},
		{"no gpus", Config{GPUs: "0"}, box{gpus: 8}, two},
		{"the engine's own number", Config{Devices: "2"}, box{}, two},
		{"the engine's own number of GPUs", Config{GPUs: "2"}, box{gpus: 8}, gpus},
		{"all GPUs", Config{GPUs: "-1"}, box{gpus: 2}, gpus},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.box.env = torchrun22
			p, err := Resolve(c.cfg, c.box)
			require.NoError(t, err)
			require.Equal(t, c.want, devices(p))
			require.Equal(t, 2, p.Nodes)
			require.Equal(t, 4, p.Placement.WorldSize)
		})
	}
}

// TestForgottenSrun: in an allocation ranks run on one node only, unless srun starts them.
func TestForgottenSrun(t *testing.T) {
	allocation := map[string]string{"SLURM_JOB_ID": "7"}
	p, err := Resolve(Config{}, box{env: allocation, commands: []string{"srun"}})
	require.NoError(t, err)
	require.Len(t, p.Warnings, 1)
	require.Contains(t, p.Warnings[0], "prepend srun")
	for name, b := range map[string]box{
		"no srun":       {env: allocation},
		"no allocation": {commands: []string{"srun"}},
		"a rank that golite started there": {commands: []string{"srun"},
			env: map[string]string{"SLURM_JOB_ID": "7", "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "h"}},
	} {
		p, err := Resolve(Config{}, b)
		require.NoError(t, err, name)
		require.Empty(t, p.Warnings, name)
	}
}

func TestStrategies(t *testing.T) {
	torchrun := torchrun22
	for _, c := range []struct {
		name   string
		cfg    Config
		box    box
		want   strategy.Strategy
		launch string
	}{
		{"cpu, one device", Config{Accelerator: "cpu", Devices: "1"}, box{}, strategies.SingleDevice{}, "here"},
		{"cpu, five devices", Config{Accelerator: "cpu", Devices: "5"}, box{}, strategies.DDP{}, "processes"},
		{"DDP", Config{Strategy: "DDP", Devices: "2"}, box{}, strategies.DDP{}, "processes"},
		{"Ddp", Config{Strategy: "Ddp", Devices: "2"}, box{}, strategies.DDP{}, "processes"},
		{"ddp with one device stays", Config{Strategy: "ddp"}, box{}, strategies.DDP{}, "processes"},
		{"goroutines", Config{Strategy: "ddp_spawn", Devices: "2"}, box{}, strategies.DDPSpawn{}, "goroutines"},
		{"unused parameters", Config{Strategy: "ddp_find_unused_parameters", Devices: "2"}, box{}, strategies.DDP{FindUnusedParameters: true}, "processes"},
		{"Fabric's name", Config{Strategy: "ddp_find_unused_parameters_true", Devices: "2"}, box{}, strategies.DDP{FindUnusedParameters: true}, "processes"},
		{"a value", Config{Strategy: strategies.DDP{StaticGraph: true}, Devices: "2"}, box{}, strategies.DDP{StaticGraph: true}, "processes"},
		{"a pointer", Config{Strategy: &strategies.DDPSpawn{BucketCapMB: 1}, Devices: "2"}, box{}, strategies.DDPSpawn{BucketCapMB: 1}, "goroutines"},
		{"a plugin", Config{Plugins: []any{strategies.DDP{BucketCapMB: 2}}, Devices: "2"}, box{}, strategies.DDP{BucketCapMB: 2}, "processes"},
		{"dp", Config{Strategy: "dp", GPUs: "2"}, box{gpus: 2}, strategies.DP{}, "here"},
		{"torchrun says how many", Config{}, box{env: torchrun}, strategies.DDP{}, "external"},
		{"torchrun, said again", Config{Devices: "2", NumNodes: 2}, box{env: torchrun}, strategies.DDP{}, "external"},
		{"one visible GPU for each rank", Config{Accelerator: "gpu"}, box{gpus: 1, env: torchrun}, strategies.DDP{}, "external"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Resolve(c.cfg, c.box)
			require.NoError(t, err)
			require.Equal(t, c.want, p.Strategy)
			require.Equal(t, c.launch, p.Launcher)
			require.Empty(t, p.Warnings)
		})
	}

	p, err := Resolve(Config{Strategy: "dp", Devices: "2"}, box{})
	require.NoError(t, err)
	require.Equal(t, strategy.Strategy(strategies.DDP{}), p.Strategy, "dp on the CPU is ddp")
	require.Len(t, p.Warnings, 1)
	p, err = Resolve(Config{Strategy: "ddp_spawn", Devices: "2", NumNodes: 2}, box{env: torchrun})
	require.NoError(t, err)
	require.Equal(t, strategy.Strategy(strategies.DDP{}), p.Strategy, "ddp_spawn under torchrun is ddp")
	require.Len(t, p.Warnings, 1)
	require.Equal(t, cluster.Placement{MainAddress: "h", MainPort: 5, WorldSize: 4, GlobalRank: 3, LocalRank: 1, NodeRank: 1, LocalWorldSize: 2}, p.Placement)
}

func TestPrecisionNames(t *testing.T) {
	for given, want := range map[string]string{
		"": "32-true", "32": "32-true", "64": "64-true", "16": "16-mixed", "bf16": "bf16-mixed", "BF16": "bf16-mixed",
		"32-true": "32-true", "64-true": "64-true", "16-mixed": "16-mixed", "bf16-mixed": "bf16-mixed", "16-true": "16-true", "bf16-true": "bf16-true",
	} {
		p, err := Resolve(Config{Precision: given, Accelerator: "cpu"}, box{}) // unlike in Lite, 16-mixed stays on the CPU
		require.NoError(t, err, given)
		require.Equal(t, want, precisionOf(t, p), given)
		require.Empty(t, p.Warnings)
	}
}

func TestRefusedConfigs(t *testing.T) {
	none := "no CUDA device (libtorch_cuda.so is not in third_party/libtorch)"
	noTPU := `libtorch has no TPU backend of its own (PyTorch's is torch_xla, which needs Python); use accelerator "gpu" or "cpu"; this machine has 4 CPU cores, `
	for _, c := range []struct {
		name string
		cfg  Config
		box  box
		text string
	}{
		{"all of none", Config{GPUs: "-1"}, box{}, `accelerator="gpu" (from Config.GPUs): there is no GPU; use accelerator "cpu" or "auto"; this machine has 4 CPU cores, ` + none},
		{"a fraction", Config{GPUs: "0.1"}, box{gpus: 16}, `gpus="0.1" (from Config.GPUs): want a count such as "2"`},
		{"negative", Config{GPUs: "-2"}, box{gpus: 16}, `a count can't be negative; "-1" alone means all devices`},
		{"a bool", Config{GPUs: "False"}, box{gpus: 16}, "want a count such as"},
		{"a negative index", Config{GPUs: "-1,"}, box{gpus: 16}, "-1 in the list is not the index of a device"},
		{"twice the same", Config{GPUs: "0,0"}, box{gpus: 16}, "device 0 is in the list twice"},
		{"an empty list", Config{Devices: ","}, box{gpus: 16}, "the list of devices is empty"},
		{"gpu and none", Config{Devices: "none", Accelerator: "gpu"}, box{gpus: 1}, `no device, but accelerator="gpu" (from Config.Accelerator)`},
		{"a word in the list", Config{Devices: "1,x"}, box{gpus: 16}, `"x" in the list is not the index of a device`},
		{"too many GPUs", Config{GPUs: "3"}, box{gpus: 2}, "asks for cuda:2: indices of the 2 visible go from 0 to 1; this machine has 4 CPU cores, cuda:0 (Test GPU), cuda:1 (Test GPU)"},
		{"a GPU that is hidden", Config{GPUs: "3,"}, box{gpus: 1, env: map[string]string{"CUDA_VISIBLE_DEVICES": "3"}},
			`indices of the 1 visible go from 0 to 0; this machine has 4 CPU cores, cuda:0 (Test GPU), CUDA_VISIBLE_DEVICES="3"`},
		{"gpus and devices", Config{GPUs: "1", Devices: "1"}, box{gpus: 1}, "give one of the two"},
		{"gpus and cpu", Config{GPUs: "1", Accelerator: "cpu"}, box{gpus: 1}, "leave one of the two out"},
		{"no gpus and gpu", Config{GPUs: "0", Accelerator: "gpu"}, box{gpus: 1}, "leave one of the two out"},
		{"gpu and no device", Config{Devices: "0", Accelerator: "gpu"}, box{gpus: 1}, `no device, but accelerator="gpu" (from Config.Accelerator)`},
		{"a list of CPUs", Config{Accelerator: "cpu", Devices: "1, 4"}, box{}, "the accelerator is the CPU, for which devices is the number of ranks"},
		{"all CPUs", Config{Accelerator: "cpu", Devices: "-1"}, box{}, "lists and -1 are for GPUs"},
		{"an absurd count", Config{Devices: "99999999"}, box{}, "99999999 ranks on one machine: at most 4096"},
		{"no such strategy", Config{Strategy: "cocofruit"}, box{}, `strategy="cocofruit" (from Config.Strategy): no such strategy; the names are auto, single_device, dp, ddp`},
		{"a strategy that is none", Config{Strategy: 3}, box{}, "a int is no strategy"},
		{"a nil strategy", Config{Strategy: (*strategies.DDP)(nil)}, box{}, "the *DDP is nil"},
		{"precision 1", Config{Precision: "1"}, box{}, `Precision "1" is invalid`},
		{"precision 12", Config{Precision: "12"}, box{}, `Precision "12" is invalid`},
		{"precision invalid", Config{Precision: "invalid"}, box{}, `Precision "invalid" is invalid: want 32-true`},
		{"transformer engine", Config{Precision: "transformer-engine"}, box{}, `use "bf16-mixed"`},
		{"tpu", Config{Accelerator: "tpu"}, box{}, noTPU + none},
		{"tpu cores", Config{TPUCores: "8"}, box{}, noTPU + none},
		{"tpu cores and devices", Config{TPUCores: "8", Devices: "1"}, box{}, "tpu_cores is short for devices with accelerator \"tpu\": give one of the two"},
		{"an accelerator that is none", Config{Accelerator: 3}, box{}, "a int is no accelerator"},
		{"tpu_spawn", Config{Strategy: "tpu_spawn"}, box{}, noTPU + none},
		{"tpu where there is a GPU", Config{Accelerator: "tpu"}, box{gpus: 1}, noTPU + "cuda:0 (Test GPU)"},
		{"deepspeed nvme", Config{Strategy: "deepspeed_stage_3_offload_nvme"}, box{}, `use "deepspeed_stage_3_offload"`},
		{"ddp_fork", Config{Strategy: "ddp_fork"}, box{}, "a Go process can't be forked"},
		{"ddp_notebook", Config{Strategy: "ddp_notebook"}, box{}, "a Go process can't be forked"},
		{"an accelerator of no name", Config{Accelerator: "ipu"}, box{}, "no such accelerator: the names are auto, cpu, gpu, cuda, mps"},
		{"mps", Config{Accelerator: "mps"}, box{}, "there is no Apple GPU"},
		{"cuda", Config{Accelerator: "cuda"}, box{}, "there is no CUDA device (libtorch_cuda.so is not in third_party/libtorch)"},
		{"ddp on mps", Config{Accelerator: "gpu", Strategy: "ddp"}, box{apple: true}, "an Apple GPU runs one rank"},
		{"dp on mps", Config{Accelerator: "mps", Strategy: "dp"}, box{apple: true}, "an Apple GPU runs one rank"},
		{"64 bits on mps", Config{Accelerator: "mps", Precision: "64"}, box{apple: true}, "an Apple GPU has no 64-bit floating point"},
		{"num_nodes", Config{NumNodes: -1}, box{}, "want the number of machines, 1 or more"},
		{"timeout", Config{Timeout: -1}, box{}, "want a duration of more than 0"},
		{"single_device with two", Config{Strategy: "single_device", Devices: "2"}, box{}, `use "ddp" or "ddp_spawn"`},
		{"single_device on nodes", Config{Strategy: "single_device", NumNodes: 2}, box{}, `num_nodes=2: use "ddp"`},
		{"goroutines on nodes", Config{Strategy: "ddp_spawn", NumNodes: 2}, box{}, `num_nodes=2: use "ddp"`},
		{"dp on nodes", Config{Strategy: "dp", GPUs: "1", NumNodes: 2}, box{gpus: 1}, `num_nodes=2: use "ddp"`},
		{"nodes without an address", Config{NumNodes: 2}, box{}, "2 nodes need MASTER_ADDR"},
		{"nccl on the CPU", Config{Strategy: strategies.DDP{Backend: "nccl"}}, box{}, `Backend "nccl" is for CUDA devices`},
		{"gloo on CUDA", Config{GPUs: "1", Strategy: strategies.DDP{Backend: "gloo"}}, box{gpus: 1}, `Backend "gloo" carries no tensors of CUDA devices: leave it empty, or use "nccl"`},
		{"a backend of no name", Config{Strategy: strategies.DDP{Backend: "mpi"}}, box{}, `want "gloo", "nccl" or nothing`},
		{"a hook of no name", Config{Strategy: strategies.DDP{CommHook: "zip"}}, box{}, `want "fp16", "bf16", "powersgd" or nothing`},
		{"a bucket of no size", Config{Strategy: strategies.DDPSpawn{BucketCapMB: -1}}, box{}, "BucketCapMB is -1"},
		{"two timeouts", Config{Strategy: strategies.DDP{Timeout: time.Second}, Timeout: time.Minute}, box{},
			"its Timeout is 1s, and timeout=1m0s is given as well (from Config.Timeout): give one of the two"},
		{"two timeouts, of goroutines", Config{Strategy: strategies.DDPSpawn{Timeout: time.Second}}, box{env: map[string]string{"LITE_TIMEOUT": "2s"}},
			"its Timeout is 1s, and timeout=2s is given as well (from LITE_TIMEOUT)"},
		{"two strategies", Config{Strategy: "ddp", Plugins: []any{strategies.DDP{}}}, box{}, "a strategy is given as well by Config.Strategy"},
		{"a plugin that is none", Config{Plugins: []any{7}}, box{}, "a int is no plugin"},
		{"a precision and its plugin", Config{Precision: "64", Plugins: []any{policy{}}}, box{}, `precision="64" (from Config.Precision): a precision plugin is given as well`},
		{"a precision's flag and its plugin", Config{Plugins: []any{policy{}}}, box{env: map[string]string{"LITE_PRECISION": "16"}}, `(from LITE_PRECISION): a precision plugin is given as well`},
		{"two precisions", Config{Plugins: []any{policy{}, policy{}}}, box{}, "(from Config.Plugins[1]): this is the second precision: give one of each kind at most"},
		{"two checkpoint I/Os", Config{Plugins: []any{files{}, files{}}}, box{}, "(from Config.Plugins[1]): this is the second checkpoint I/O"},
		{"two environments", Config{Plugins: []any{cluster.NewLocal(nil), cluster.NewLocal(nil)}}, box{}, "this is the second cluster environment"},
		{"torchrun with another size", Config{Devices: "2"}, box{env: map[string]string{"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "8"}},
			"devices=2 and num_nodes=1 make 2 ranks, but torchrun's WORLD_SIZE is 8"},
		{"one device under torchrun", Config{Strategy: "single_device", Devices: "1"}, box{env: map[string]string{"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2"}},
			"make 1 ranks, but torchrun's WORLD_SIZE is 2"},
		{"an engine's ranks and fewer devices", Config{Devices: "1"}, box{env: torchrun22}, "devices=1 and num_nodes=1 make 1 ranks, but torchrun's WORLD_SIZE is 4"},
		{"an engine's ranks and other nodes", Config{Devices: "2", NumNodes: 3}, box{env: torchrun22}, "devices=2 and num_nodes=3 make 6 ranks, but torchrun's WORLD_SIZE is 4"},
		{"a switch of no kind", Config{}, box{env: map[string]string{"LITE_DEBUG": "perhaps"}}, `debug="perhaps" (from LITE_DEBUG): want true or false`},
		{"a file that is not there", Config{}, box{env: map[string]string{"LITE_CONFIG": "x.yaml"}}, `config="x.yaml" (from LITE_CONFIG): open x.yaml`},
		{"a variable", Config{}, box{env: map[string]string{"LITE_DEVICES": "two"}}, `devices="two" (from LITE_DEVICES): want a count`},
		{"no node", Config{}, box{env: map[string]string{"LITE_NUM_NODES": "0"}}, "want the number of machines, 1 or more"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Resolve(c.cfg, c.box)
			require.ErrorContains(t, err, c.text)
		})
	}
}

func TestWrongFiles(t *testing.T) {
	for content, text := range map[string]string{
		"devices: 0.1":           "not 0.1 (float64)",
		"devices: false":         "not false (bool)",
		`devices: ["0"]`:         "holds whole numbers, not 0",
		"devices: [-1]":          "-1 in the list",
		"devices: [0, 0]":        "device 0 is in the list twice",
		"device: 2":              `the key "device" is not known`, // a typing error
		"devices: [":             `config="c.yaml"`,               // not YAML
		"strategy: {a: 1}":       "want a text, a whole number",   // a mapping
		"gpus: 1\ndevices: 1":    "give one of the two",           // contradictory
		"timeout: soon":          `such as "90s"`,                 // not a duration
		"debug: perhaps":         "want true or false",            // not a switch
		"accelerator: true":      "no such accelerator",           // a switch that is none
		"devices: 1\ndevices: 2": "already defined",               // twice
	} {
		_, err := Resolve(Config{}, box{gpus: 2, env: map[string]string{"LITE_CONFIG": "c.yaml"}, files: map[string]string{"c.yaml": content}})
		require.ErrorContains(t, err, text, content)
	}
}

func TestSources(t *testing.T) {
	files := map[string]string{"c.yaml": "accelerator: cpu\ndevices: 3\nprecision: 64\ntimeout: 7m\nstrategy: ddp\n",
		"on.yaml": "debug: true\nprefix_output: true\n"}
	resolved := func(cfg Config, env map[string]string, args ...string) *Plan {
		fs := flag.NewFlagSet("test", flag.ContinueOnError)
		fs.SetOutput(io.Discard)
		cfg.RegisterFlags(fs)
		require.NoError(t, fs.Parse(args))
		copied := cfg // Run takes a copy
		p, err := Resolve(copied, box{gpus: 8, env: env, files: files})
		require.NoError(t, err)
		return p
	}
	code := Config{Accelerator: "cpu", Devices: "2", Precision: "bf16", Strategy: "ddp_spawn"}

	p := resolved(code, nil)
	require.Len(t, devices(p), 2)
	require.Equal(t, dist.DefaultTimeout, p.Timeout)

	p = resolved(code, nil, "-config", "c.yaml")
	require.Len(t, devices(p), 3, "the file goes before code")
	require.Equal(t, "64-true", precisionOf(t, p))
	require.Equal(t, 7*time.Minute, p.Timeout)
	require.Equal(t, strategy.Strategy(strategies.DDP{}), p.Strategy)

	env := map[string]string{"LITE_CONFIG": "c.yaml", "LITE_DEVICES": "4", "LITE_PRECISION": "16"}
	p = resolved(code, env)
	require.Len(t, devices(p), 4, "the environment goes before the file")
	require.Equal(t, "16-mixed", precisionOf(t, p))

	p = resolved(code, env, "-devices", "5", "-timeout", "3s", "-strategy", "ddp_spawn")
	require.Len(t, devices(p), 5, "flags go before the environment")
	require.Equal(t, 3*time.Second, p.Timeout)
	require.Equal(t, strategy.Strategy(strategies.DDPSpawn{}), p.Strategy)

	require.False(t, p.Debug || p.Prefix)
	for _, given := range []struct {
		cfg  Config
		env  map[string]string
		args []string
	}{
		{cfg: Config{Debug: true, PrefixOutput: true}},
		{env: map[string]string{"LITE_CONFIG": "on.yaml"}},
		{env: map[string]string{"LITE_DEBUG": "1", "LITE_PREFIX_OUTPUT": "true"}},
		{args: []string{"-debug", "-prefix-output"}},
	} {
		p = resolved(given.cfg, given.env, given.args...)
		require.True(t, p.Debug && p.Prefix, given)
	}
	p = resolved(Config{Debug: true, PrefixOutput: true}, map[string]string{"LITE_DEBUG": "false"}, "-prefix-output=false")
	require.False(t, p.Debug || p.Prefix, "a switch can be switched off again")

	p = resolved(code, nil, "-gpus", "1, 4")
	require.Equal(t, []int{1, 4}, indices(p), "gpus replaces accelerator and devices of code")
	p = resolved(Config{GPUs: "3"}, nil, "-accelerator", "cpu")
	require.Equal(t, []torch.Device{torch.CPU, torch.CPU, torch.CPU}, devices(p))
	p = resolved(code, map[string]string{"LITE_DEVICES": " "})
	require.Len(t, devices(p), 2, "an empty variable says nothing")

	nodes3 := map[string]string{"LITE_DEVICES": "2", "LITE_NUM_NODES": "3", "MASTER_ADDR": "a", "MASTER_PORT": "1", "NODE_RANK": "2"}
	p = resolved(Config{}, nodes3)
	require.Len(t, devices(p), 2)
	require.Equal(t, 3, p.Nodes)
	require.Equal(t, 6, p.Placement.WorldSize)
	require.Equal(t, 4, p.Placement.GlobalRank)
}

func TestYAMLDevices(t *testing.T) {
	for content, want := range map[string][]int{
		"gpus: 2": {0, 1}, "gpus: [1, 3]": {1, 3}, "gpus: [3]": {3}, `gpus: "2,"`: {2}, "gpus: -1": {0, 1, 2, 3},
	} {
		p, err := Resolve(Config{}, box{gpus: 4, env: map[string]string{"LITE_CONFIG": "c"}, files: map[string]string{"c": content}})
		require.NoError(t, err, content)
		require.Equal(t, want, indices(p), content)
	}
}

func TestWrongFlags(t *testing.T) {
	for _, args := range [][]string{{"-devices", "x"}, {"-num-nodes", "0"}, {"-timeout", "-1s"}, {"-gpus", "0,0"}, {"-nodes", "2"}} {
		var cfg Config
		fs := flag.NewFlagSet("test", flag.ContinueOnError)
		fs.SetOutput(io.Discard)
		cfg.RegisterFlags(fs)
		require.Error(t, fs.Parse(args), args)
	}
}

func TestThreads(t *testing.T) {
	none := cluster.Map(nil)
	for ranks, want := range map[int]int{1: 4, 2: 2, 3: 1, 8: 1} {
		require.Equal(t, want, threadsPerRank(4, ranks, none), ranks)
	}
	require.Equal(t, 7, threadsPerRank(4, 2, cluster.Map(map[string]string{"OMP_NUM_THREADS": "7"})))
	require.Equal(t, 2, threadsPerRank(4, 2, cluster.Map(map[string]string{"OMP_NUM_THREADS": "many"})))
}

func TestErrorIsTyped(t *testing.T) {
	_, err := Resolve(Config{Devices: "x"}, box{})
	e, ok := errors.AsType[*Error](err)
	require.True(t, ok)
	require.Equal(t, "devices", e.Setting)
	require.Equal(t, "Config.Devices", e.From)
}
