package builtin

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/golite/golite/ddp/shard"
	"github.com/golite/golite/lite/strategy"
	"github.com/golite/golite/torch"
)

// FSDP is one process for each device, of which each keeps rows of the parameters, the gradients and the optimizer's state: blocks are
// gathered when they are used, and freed again (torch.distributed.fsdp, as FSDP2 has it). Package ddp/shard says what that means for a
// program: between passes a parameter is this rank's rows, and each forward pass takes all ranks.
type FSDP struct {
	// Sharding is "full_shard" (the default), "shard_grad_op", which keeps what a forward pass has gathered for its backward pass, or
	// "no_shard", which is "ddp". Case is ignored.
	Sharding string
	// Wrap chooses the units that are gathered together (auto_wrap_policy); nil: shard.Blocks, a transformer's blocks.
	Wrap shard.Policy
	// CPUOffload keeps rows, gradients and optimizer state on the CPU, where steps run (cpu_offload).
	CPUOffload bool
	// ParamDType, ReduceDType and BufferDType are the types of gathered parameters, of sums of gradients and of buffers; 0: their own
	// (mixed_precision). Rows and optimizer state keep their type.
	ParamDType, ReduceDType, BufferDType torch.DType
	// Ahead is how many units are gathered ahead; 0: 1, negative: none (limit_all_gathers).
	Ahead int
	// NoInitSync leaves out rank 0's parameters and buffers being given to all when a model is set up.
	NoInitSync bool
	// Spawn has goroutines in the place of processes.
	Spawn bool
	// Timeout stands for Config.Timeout where it is not 0. Giving both is refused.
	Timeout time.Duration
}

// StrategyName returns "fsdp", "fsdp_cpu_offload" with CPUOffload, and either with "_spawn" with Spawn.
func (f FSDP) StrategyName() string {
	name := "fsdp"
	if f.CPUOffload {
		name += "_cpu_offload"
	}
	return spawnName(name, f.Spawn)
}

func spawnName(name string, spawn bool) string {
	if spawn {
		name += "_spawn"
	}
	return name
}

func (f FSDP) reshard() (r shard.Reshard, err error) {
	switch strings.ToLower(f.Sharding) {
	case "", "full_shard", "no_shard":
		return shard.AfterForward, nil
	case "shard_grad_op":
		return shard.AfterBackward, nil
	case "hybrid_shard", "_hybrid_shard_zero2":
		return 0, fmt.Errorf(`the Sharding is %q, which is not built: use "full_shard", or "shard_grad_op" for fewer messages`, f.Sharding)
	}
	return 0, fmt.Errorf(`the Sharding is %q: want "full_shard", "shard_grad_op" or "no_shard"`, f.Sharding)
}

// Plan has a rank for each device.
func (f FSDP) Plan(r strategy.Request) (strategy.Plan, error) {
	if _, err := f.reshard(); err != nil {
		return strategy.Plan{}, err
	}
	for name, d := range map[string]torch.DType{"ParamDType": f.ParamDType, "ReduceDType": f.ReduceDType, "BufferDType": f.BufferDType} {
		if d != 0 && !d.IsFloating() {
			return strategy.Plan{}, fmt.Errorf("%s is %v: want a floating-point type", name, d)
		}
	}
	if strings.EqualFold(f.Sharding, "no_shard") {
		if f.CPUOffload || f.ParamDType != 0 || f.ReduceDType != 0 || f.BufferDType != 0 {
			return strategy.Plan{}, fmt.Errorf(`the Sharding "no_shard" is "ddp", which has no CPUOffload and no types of its own: leave them out`)
		}
		d := DDP{NoInitSync: f.NoInitSync, Timeout: f.Timeout, NoBroadcastBuffers: true}
		if f.Spawn {
			return strategy.Plan{Instead: DDPSpawn(d)}, nil
		}
		return strategy.Plan{Instead: d}, nil
	}
	p := f
	p.Spawn = false
	return planShards(r, f.Spawn, f.Timeout, f.StrategyName(), p)
}

// planShards is the Plan of a strategy, which is process where it can't have goroutines.
func planShards(r strategy.Request, spawn bool, timeout time.Duration, name string, process strategy.Strategy) (strategy.Plan, error) {
	switch {
	case !spawn:
		return DDP{Timeout: timeout}.plan(r, "processes")
	case r.Engine != "":
		return strategy.Plan{Instead: process, Warnings: []string{fmt.Sprintf("%s has started the ranks: using strategy %q instead of %q",
			r.Engine, process.StrategyName(), name)}}, nil
	case r.Nodes > 1:
		return strategy.Plan{}, fmt.Errorf("goroutines of one process, but num_nodes=%d: use %q", r.Nodes, process.StrategyName())
	}
	return DDP{Timeout: timeout}.plan(r, "goroutines")
}

// Open returns a Session that holds parts; on one rank there is nothing to divide.
func (f FSDP) Open(ctx context.Context, e *strategy.Env) (strategy.Session, error) {
	reshard, err := f.reshard()
	if err != nil {
		return nil, err
	}
	return openShards(ctx, e, f.StrategyName(), shard.Options{Reshard: reshard, ParamDType: f.ParamDType, ReduceDType: f.ReduceDType,
		BufferDType: f.BufferDType, OffloadCPU: f.CPUOffload, Ahead: f.Ahead, NoInitSync: f.NoInitSync, Units: f.Wrap})
}
