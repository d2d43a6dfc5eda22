package builtin_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/lite/strategy"
	"github.com/golite/golite/lite/strategy/builtin"
	"github.com/golite/golite/torch"
)

// kind is an accelerator of a test.
type kind struct {
	name, backend, reason string
	t                     torch.DeviceType
}

func (k kind) Probe() (names []string, err error) { return nil, nil }

func (k kind) Select(accelerator.Request) ([]torch.Device, error) { return nil, nil }

func (k kind) Name() string                   { return k.name }
func (k kind) Type() torch.DeviceType         { return k.t }
func (k kind) Backend() (name, reason string) { return k.backend, k.reason }
func (k kind) devices(n int) (d []torch.Device) {
	for i := range n {
		d = append(d, torch.Device{Type: k.t, Index: i})
	}
	return d
}
func (k kind) ask(n, nodes int) strategy.Request {
	return strategy.Request{Accelerator: k, Devices: k.devices(n), DevicesText: "given", Nodes: nodes}
}

// several is one whose devices one rank may compute on at once.
type several struct{ kind }

func (several) Branch([]torch.Device) func(k int, f func()) { return nil }

// mute has no backend.
type mute struct{ accelerator.Accelerator }

var (
	cpu  = kind{name: "cpu", backend: "gloo", t: torch.CPUType}
	cuda = kind{name: "cuda", backend: "nccl", t: torch.CUDAType}
	npu  = kind{name: "npu", backend: "gloo", t: torch.CPUType}
	mps  = kind{name: "mps", reason: "an Apple GPU runs one rank", t: torch.MPSType}
)

// noReplicas is DP's Plan on an accelerator without accelerator.Brancher.
func noReplicas(name string) strategy.Plan {
	return strategy.Plan{Instead: builtin.DDP{}, Warnings: []string{
		`strategy "dp" computes on several devices in one rank, which accelerator "` + name + `" does not: using "ddp" instead`}}
}

func TestPlans(t *testing.T) {
	gpus := cuda.ask(2, 1)
	gpus.Accelerator = several{cuda}
	engine := cpu.ask(2, 2)
	engine.Engine = "torchrun"
	one := func(d []torch.Device) (ranks [][]torch.Device) {
		for _, x := range d {
			ranks = append(ranks, []torch.Device{x})
		}
		return ranks
	}
	for name, c := range map[string]struct {
		s    strategy.Strategy
		r    strategy.Request
		want strategy.Plan
	}{
		"single":               {builtin.SingleDevice{}, cpu.ask(1, 1), strategy.Plan{Ranks: one(cpu.devices(1)), Launcher: "here"}},
		"ddp":                  {builtin.DDP{}, cpu.ask(2, 1), strategy.Plan{Ranks: one(cpu.devices(2)), Launcher: "processes", Backend: "gloo"}},
		"ddp on nodes":         {builtin.DDP{}, cpu.ask(2, 3), strategy.Plan{Ranks: one(cpu.devices(2)), Launcher: "processes", Backend: "gloo"}},
		"ddp on GPUs":          {builtin.DDP{Timeout: time.Second}, cuda.ask(2, 1), strategy.Plan{Ranks: one(cuda.devices(2)), Launcher: "processes", Backend: "nccl", Timeout: time.Second}},
		"backend as it is":     {builtin.DDP{Backend: "nccl"}, cuda.ask(1, 1), strategy.Plan{Ranks: one(cuda.devices(1)), Launcher: "processes", Backend: "nccl"}},
		"ddp_spawn":            {builtin.DDPSpawn{}, cpu.ask(2, 1), strategy.Plan{Ranks: one(cpu.devices(2)), Launcher: "goroutines", Backend: "gloo"}},
		"ddp_spawn, an engine": {builtin.DDPSpawn{StaticGraph: true}, engine, strategy.Plan{Instead: builtin.DDP{StaticGraph: true}, Warnings: []string{`torchrun has started the ranks: using strategy "ddp" instead of "ddp_spawn"`}}},
		"horovod":              {builtin.Horovod{Timeout: time.Second}, cpu.ask(2, 3), strategy.Plan{Ranks: one(cpu.devices(2)), Launcher: "processes", Backend: "gloo", Timeout: time.Second}},
		"dp":                   {builtin.DP{}, gpus, strategy.Plan{Ranks: [][]torch.Device{cuda.devices(2)}, Launcher: "here"}},
		"dp on the CPU":        {builtin.DP{}, cpu.ask(2, 1), noReplicas("cpu")},
		"dp, no Brancher":      {builtin.DP{}, npu.ask(2, 1), noReplicas("npu")},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := c.s.Plan(c.r)
			require.NoError(t, err)
			require.Equal(t, c.want, p)
		})
	}
}

func TestPlansRefuse(t *testing.T) {
	gpus := cuda.ask(2, 2)
	gpus.Accelerator = several{cuda}
	silent := cpu.ask(2, 1)
	silent.Accelerator = mute{cpu}
	for name, c := range map[string]struct {
		s    strategy.Strategy
		r    strategy.Request
		want string
	}{
		"single with two":       {builtin.SingleDevice{}, cpu.ask(2, 1), `one device, but devices="given" are 2: use "ddp" or "ddp_spawn", or fewer devices`},
		"single on nodes":       {builtin.SingleDevice{}, cpu.ask(1, 2), `one rank, but num_nodes=2: use "ddp"`},
		"ddp on mps":            {builtin.DDP{}, mps.ask(1, 1), "an Apple GPU runs one rank"},
		"ddp_spawn on mps":      {builtin.DDPSpawn{}, mps.ask(1, 1), "an Apple GPU runs one rank"},
		"no backend":            {builtin.DDP{}, silent, `accelerator "cpu" runs one rank: use strategy "single_device"`},
		"goroutines on nodes":   {builtin.DDPSpawn{}, cpu.ask(1, 2), `goroutines of one process, but num_nodes=2: use "ddp"`},
		"dp on nodes":           {builtin.DP{}, gpus, `one process, but num_nodes=2: use "ddp"`},
		"nccl on the CPU":       {builtin.DDP{Backend: "nccl"}, cpu.ask(1, 1), `Backend "nccl" is for CUDA devices: leave it empty, or use "gloo"`},
		"gloo on CUDA":          {builtin.DDP{Backend: "gloo"}, cuda.ask(1, 1), `Backend "gloo" carries no tensors of CUDA devices: leave it empty, or use "nccl"`},
		"a backend of no name":  {builtin.DDP{Backend: "mpi"}, cpu.ask(1, 1), `Backend is "mpi": want "gloo", "nccl" or nothing`},
		"a hook of no name":     {builtin.DDP{CommHook: "zip"}, cpu.ask(1, 1), `CommHook is "zip": want "fp16", "bf16", "powersgd" or nothing`},
		"a bucket of no size":   {builtin.DDPSpawn{BucketCapMB: -1}, cpu.ask(1, 1), "BucketCapMB is -1: want 0"},
		"horovod's compression": {builtin.Horovod{Compression: "bf16"}, cpu.ask(1, 1), `Compression is "bf16": want "fp16" or nothing`},
		"horovod on mps":        {builtin.Horovod{}, mps.ask(1, 1), "an Apple GPU runs one rank"},
		"a negative timeout":    {builtin.DDP{Timeout: -1}, cpu.ask(1, 1), "Timeout is -1ns: want 0"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.s.Plan(c.r)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestNames(t *testing.T) {
	require.Equal(t, []string{"single_device", "dp", "ddp", "ddp_spawn", "ddp_find_unused_parameters", "horovod",
		"fsdp", "fsdp_cpu_offload", "deepspeed", "deepspeed_stage_1_offload", "deepspeed_stage_1", "deepspeed_stage_2_offload",
		"deepspeed_stage_2", "deepspeed_stage_3_offload", "deepspeed_stage_3",
		"fsdp_spawn", "fsdp_cpu_offload_spawn", "deepspeed_spawn", "deepspeed_stage_1_offload_spawn", "deepspeed_stage_1_spawn",
		"deepspeed_stage_2_offload_spawn", "deepspeed_stage_2_spawn", "deepspeed_stage_3_offload_spawn", "deepspeed_stage_3_spawn",
		"ddp_sharded", "ddp_sharded_spawn"}, strategy.Names())
	for name, want := range map[string]strategy.Strategy{
		"single_device": builtin.SingleDevice{}, "dp": builtin.DP{}, "DDP": builtin.DDP{}, "ddp_spawn": builtin.DDPSpawn{},
		"ddp_find_unused_parameters":      builtin.DDP{FindUnusedParameters: true},
		"Horovod":                         builtin.Horovod{},
		"ddp_find_unused_parameters_true": builtin.DDP{FindUnusedParameters: true},
		"fsdp":                            builtin.FSDP{}, "fsdp_cpu_offload_spawn": builtin.FSDP{CPUOffload: true, Spawn: true},
		"deepspeed": builtin.DeepSpeed{}, "deepspeed_stage_1_spawn": builtin.DeepSpeed{Stage: 1, Spawn: true},
		"deepspeed_stage_3_offload": builtin.DeepSpeed{Stage: 3, OffloadOptimizer: true, OffloadParameters: true},
		"ddp_sharded":               builtin.DDPSharded{}, "ddp_sharded_spawn": builtin.DDPShardedSpawn{},
		"ddp_sharded_find_unused_parameters_false": builtin.DDPSharded{},
	} {
		s, ok := strategy.New(name)
		require.True(t, ok, name)
		require.Equal(t, want, s, name)
	}
	for name, want := range map[string]string{
		"deepspeed_stage_3_offload_nvme": `use "deepspeed_stage_3_offload"`,
		"ddp_fork":                       "a Go process can't be forked", "tpu_spawn": "torch_xla",
	} {
		problem, refused := strategy.Refused(name)
		require.True(t, refused, name)
		require.Contains(t, problem, want)
	}
}

// TestShardPlans: what a strategy of parts can't do is refused with the remedy, and what has no parts is "ddp".
func TestShardPlans(t *testing.T) {
	engine := cpu.ask(2, 1)
	engine.Engine = "torchrun"
	for name, c := range map[string]struct {
		s       strategy.Strategy
		r       strategy.Request
		instead strategy.Strategy
		launch  string
		err     string
	}{
		"processes":         {s: builtin.FSDP{}, r: cpu.ask(2, 1), launch: "processes"},
		"goroutines":        {s: builtin.DeepSpeed{Spawn: true}, r: cpu.ask(2, 1), launch: "goroutines"},
		"goroutines, nodes": {s: builtin.DDPShardedSpawn{}, r: cpu.ask(2, 2), err: `use "ddp_sharded"`},
		"an engine":         {s: builtin.FSDP{Spawn: true}, r: engine, instead: builtin.FSDP{}},
		"no_shard":          {s: builtin.FSDP{Sharding: "NO_SHARD"}, r: cpu.ask(2, 1), instead: builtin.DDP{NoBroadcastBuffers: true}},
		"no_shard, offload": {s: builtin.FSDP{Sharding: "no_shard", CPUOffload: true}, r: cpu.ask(2, 1), err: "leave them out"},
		"hybrid":            {s: builtin.FSDP{Sharding: "HYBRID_SHARD"}, r: cpu.ask(2, 1), err: `use "full_shard"`},
		"no sharding":       {s: builtin.FSDP{Sharding: "half"}, r: cpu.ask(2, 1), err: `want "full_shard"`},
		"no type":           {s: builtin.FSDP{ParamDType: torch.Int64}, r: cpu.ask(2, 1), err: "want a floating-point type"},
		"stage":             {s: builtin.DeepSpeed{Stage: 4}, r: cpu.ask(2, 1), err: "want 1, 2 or 3"},
		"offload of stage 2": {s: builtin.DeepSpeed{OffloadParameters: true, OffloadOptimizer: true}, r: cpu.ask(2, 1),
			err: "use stage 3"},
		"offload of parameters alone": {s: builtin.DeepSpeed{Stage: 3, OffloadParameters: true}, r: cpu.ask(2, 1), err: "set both"},
		"config":                      {s: builtin.DeepSpeed{Config: "ds.json"}, r: cpu.ask(2, 1), err: "not read yet"},
		"no backend":                  {s: builtin.FSDP{}, r: mps.ask(2, 1), err: "one rank"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := c.s.Plan(c.r)
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.instead, p.Instead)
			require.Equal(t, c.launch, p.Launcher)
		})
	}
}
