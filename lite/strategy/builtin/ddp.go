package builtin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/golite/golite/ddp"
	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/lite/strategy"
)

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

// Plan has a process for each device.
func (d DDP) Plan(r strategy.Request) (strategy.Plan, error) { return d.plan(r, "processes") }

// Open returns a Session that averages gradients, if there are several ranks.
func (d DDP) Open(ctx context.Context, e *strategy.Env) (strategy.Session, error) {
	if e.World == 1 {
		return &single{e}, nil
	}
	return newDDPSession(ctx, e, d.options()), nil
}

// DDPSpawn is DDP with a goroutine for each device instead of a process. What Run's function returns on rank 0 comes
// back without being copied, but a crash in C++ ends all ranks.
type DDPSpawn DDP

// StrategyName returns "ddp_spawn".
func (DDPSpawn) StrategyName() string { return "ddp_spawn" }

// Plan has a goroutine for each device, and processes where an engine has started them.
func (d DDPSpawn) Plan(r strategy.Request) (strategy.Plan, error) {
	if r.Engine != "" {
		return strategy.Plan{Instead: DDP(d), Warnings: []string{r.Engine + ` has started the ranks: using strategy "ddp" instead of "ddp_spawn"`}}, nil
	}
	if r.Nodes > 1 {
		return strategy.Plan{}, fmt.Errorf(`goroutines of one process, but num_nodes=%d: use "ddp"`, r.Nodes)
	}
	return DDP(d).plan(r, "goroutines")
}

// Open is DDP's.
func (d DDPSpawn) Open(ctx context.Context, e *strategy.Env) (strategy.Session, error) {
	return DDP(d).Open(ctx, e)
}

func (d DDP) plan(r strategy.Request, launcher string) (strategy.Plan, error) {
	if err := d.check(); err != nil {
		return strategy.Plan{}, err
	}
	backend, reason := accelerator.Backend(r.Accelerator)
	if backend == "" {
		return strategy.Plan{}, errors.New(reason)
	}
	switch {
	case d.Backend == "" || d.Backend == backend:
	case d.Backend == "nccl":
		return strategy.Plan{}, fmt.Errorf(`the Backend "nccl" is for CUDA devices: leave it empty, or use %q`, backend)
	default:
		return strategy.Plan{}, fmt.Errorf(`the Backend %q carries no tensors of %s devices: leave it empty, or use %q`,
			d.Backend, typeName(r.Accelerator), backend)
	}
	return strategy.Plan{Ranks: strategy.OnePerDevice(r), Launcher: launcher, Backend: backend, Timeout: d.Timeout}, nil
}

// check refuses settings that are wrong on every machine.
func (d DDP) check() error {
	wrong := func(field string, value any, want string) error {
		return fmt.Errorf("%s is %v: want %s", field, value, want)
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

// options are the settings as package ddp knows them.
func (d DDP) options() ddp.ParallelOptions {
	o := ddp.ParallelOptions{FindUnusedParameters: d.FindUnusedParameters, StaticGraph: d.StaticGraph, GradientAsBucketView: d.GradientAsBucketView,
		NoBroadcastBuffers: d.NoBroadcastBuffers, NoInitSync: d.NoInitSync, BucketCapMB: float64(d.BucketCapMB), Hook: d.Hook}
	switch d.CommHook {
	case "fp16":
		o.Hook = ddp.HookFP16
	case "bf16":
		o.Hook = ddp.HookBF16
	case "powersgd":
		o.Hook = ddp.PowerSGD{}
	}
	return o
}

// typeName is an accelerator's name in a sentence.
func typeName(a accelerator.Accelerator) string {
	if a.Name() == "cuda" {
		return "CUDA"
	}
	return a.Name()
}
