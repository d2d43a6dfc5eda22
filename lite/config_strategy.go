package lite

import (
	"fmt"
	"strings"
	"time"

	"github.com/golite/golite/ddp"
)

// Strategy is a strategy with settings of its own, as Config.Strategy or among Config.Plugins: DDP, DDPSpawn, DP or
// SingleDevice.
type Strategy interface {
	// StrategyName is the name that Config.Strategy would have.
	StrategyName() string
}

// SingleDevice is one rank on one device.
type SingleDevice struct{}

// StrategyName returns "single_device".
func (SingleDevice) StrategyName() string { return "single_device" }

// DP is one rank that shares each batch out among CUDA devices (torch.nn.DataParallel). The model and its batches lie on the
// first. A forward pass cuts the tensors among its arguments along dimension 0, as torch.chunk does, copies the model to the
// other devices, runs the method on all at the same time and joins the results along dimension 0; of a tensor without
// dimensions, such as a loss, a vector with the value of each device comes out. What is no tensor all devices are given, and
// all must return alike. Gradients add up on the first device.
//
// The copies are made anew for each pass: what the method writes into buffers on the first device stays, fields that it sets
// don't. Each device draws random numbers from a generator of its own, and SeedEverything seeds them alike, as PyTorch does.
//
// Prefer "ddp_spawn", which neither copies the model in each step nor gathers what it returns on one device. DP was tested with
// replicas on a CPU and has not been run on several GPUs yet. On the CPU "ddp" takes its place.
type DP struct{}

// StrategyName returns "dp".
func (DP) StrategyName() string { return "dp" }

// DDP is one process for each device, with gradients averaged while backward runs, as by
// torch.nn.parallel.DistributedDataParallel. The zero DDP has PyTorch's defaults.
type DDP struct {
	// FindUnusedParameters lets parameters take no part in a forward pass; it costs a walk over the graph in each step.
	FindUnusedParameters bool
	// StaticGraph promises that the same parameters are used in each step, in the same order.
	StaticGraph bool
	// GradientAsBucketView saves the copy from gradients to buckets: gradients are views of buckets.
	GradientAsBucketView bool
	// NoBroadcastBuffers leaves buffers, such as BatchNorm's, as each rank computes them.
	NoBroadcastBuffers bool
	// NoInitSync leaves out rank 0's parameters and buffers being given to all when a model is set up: ranks that draw or load
	// the same need no message for it.
	NoInitSync bool
	// BucketCapMB is the size of a bucket in MiB, 0: 25.
	BucketCapMB int
	// Backend is "gloo", "nccl", or empty for the device's own: nccl for CUDA, gloo for the CPU.
	Backend string
	// CommHook compresses gradients on their way: "", "fp16", "bf16" or "powersgd".
	CommHook string
	// Hook takes CommHook's place, with settings (ddp.PowerSGD{Rank: 4}) or as a ddp.BucketHook of the program's own. It is
	// each model's; goroutine ranks share the value, and call a BucketHook at the same time.
	Hook ddp.Hook
	// Timeout stands for Config.Timeout where it is not 0. Giving both is refused.
	Timeout time.Duration
}

// StrategyName returns "ddp".
func (DDP) StrategyName() string { return "ddp" }

// DDPSpawn is DDP with a goroutine for each device instead of a process. What Run's function returns on rank 0 comes
// back without being copied, but a crash in C++ ends all ranks.
type DDPSpawn DDP

// StrategyName returns "ddp_spawn".
func (DDPSpawn) StrategyName() string { return "ddp_spawn" }

// strategyNames are those that can be asked for, as messages list them.
const strategyNames = `auto, single_device, dp, ddp, ddp_spawn, ddp_find_unused_parameters`

// parseStrategy returns the strategy that a name or a value stands for, nil for "auto".
func parseStrategy(given any, from string) (Strategy, error) {
	switch v := given.(type) {
	case nil:
		return nil, nil
	case string:
		return namedStrategy(v, from)
	case *DDP:
		if v == nil {
			return nil, &ConfigError{Setting: "strategy", From: from, Problem: "the *DDP is nil: give a DDP{...}"}
		}
		return *v, checkDDP(*v, from)
	case *DDPSpawn:
		if v == nil {
			return nil, &ConfigError{Setting: "strategy", From: from, Problem: "the *DDPSpawn is nil: give a DDPSpawn{...}"}
		}
		return *v, checkDDP(DDP(*v), from)
	case DDP:
		return v, checkDDP(v, from)
	case DDPSpawn:
		return v, checkDDP(DDP(v), from)
	case SingleDevice, DP:
		return v.(Strategy), nil
	}
	return nil, &ConfigError{Setting: "strategy", From: from,
		Problem: fmt.Sprintf("a %T is no strategy: give a name (%s) or a value of type DDP, DDPSpawn, DP or SingleDevice", given, strategyNames)}
}

func namedStrategy(given, from string) (Strategy, error) {
	wrong := func(problem string) error {
		return &ConfigError{Setting: "strategy", Value: given, From: from, Problem: problem}
	}
	name := strings.ToLower(strings.TrimSpace(given))
	switch name {
	case "", "auto":
		return nil, nil
	case "single_device":
		return SingleDevice{}, nil
	case "dp":
		return DP{}, nil
	case "ddp":
		return DDP{}, nil
	case "ddp_spawn":
		return DDPSpawn{}, nil
	case "ddp_find_unused_parameters", "ddp_find_unused_parameters_true":
		return DDP{FindUnusedParameters: true}, nil
	case "ddp_fork", "ddp_notebook":
		return nil, wrong(`a Go process can't be forked; use "ddp_spawn" (goroutines) or "ddp" (processes)`)
	case "tpu_spawn", "xla", "xla_fsdp", "single_xla":
		return nil, refuseTPU("strategy", given, from)
	}
	if meanwhile, known := notBuilt(name); known {
		return nil, wrong("golite knows this strategy, but it is not built yet; meanwhile use " + meanwhile)
	}
	return nil, wrong("no such strategy; the names are " + strategyNames)
}

// notBuilt says what to use instead of a strategy that the original has and golite has not.
func notBuilt(name string) (meanwhile string, known bool) {
	switch {
	case name == "ddp_sharded", name == "fsdp", name == "fsdp_cpu_offload",
		name == "deepspeed", strings.HasPrefix(name, "deepspeed_stage_"):
		return `"ddp", with precision "bf16-mixed" or gradient accumulation where memory is short`, true
	case name == "ddp_sharded_spawn":
		return `"ddp_spawn"`, true
	case name == "horovod":
		return `"ddp", which runs under mpirun as well`, true
	}
	return "", false
}

func refuseTPU(setting, value, from string) error {
	return &ConfigError{Setting: setting, Value: value, From: from,
		Problem: `libtorch has no TPU backend of its own (PyTorch's is torch_xla, which needs Python); use accelerator "gpu" or "cpu"`}
}

func checkDDP(d DDP, from string) error {
	wrong := func(field string, value any, want string) error {
		return &ConfigError{Setting: "strategy", From: from, Problem: fmt.Sprintf("%s is %v: want %s", field, value, want)}
	}
	switch {
	case d.BucketCapMB < 0:
		return wrong("BucketCapMB", d.BucketCapMB, "0 for the default of 25, or a size in MiB")
	case d.Backend != "" && d.Backend != "gloo" && d.Backend != "nccl":
		return wrong("Backend", fmt.Sprintf("%q", d.Backend), `"gloo", "nccl" or nothing`)
	case d.CommHook != "" && d.CommHook != "fp16" && d.CommHook != "bf16" && d.CommHook != "powersgd":
		return wrong("CommHook", fmt.Sprintf("%q", d.CommHook), `"fp16", "bf16", "powersgd" or nothing`)
	case d.CommHook != "" && d.Hook != nil:
		return wrong("CommHook", fmt.Sprintf("%q", d.CommHook), "none beside a Hook")
	case d.Timeout < 0:
		return wrong("Timeout", d.Timeout, "0 for Config.Timeout, or a duration")
	}
	return nil
}
