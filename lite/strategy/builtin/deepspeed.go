package builtin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/golite/golite/ddp/shard"
	"github.com/golite/golite/lite/strategy"
)

// DeepSpeed is ZeRO as DeepSpeed's stages have it, on golite's own shards; the zero DeepSpeed is stage 2. What DeepSpeed's strategy refuses
// works: several models and optimizers, CPUs, clipping by value and by norm, NoBackwardSync. It clips nothing by itself, where DeepSpeed
// clips at 1.0 unless its JSON says otherwise, and "16-mixed" is autocast as under any other strategy.
type DeepSpeed struct {
	// Stage is what ranks keep a part of: 1: the optimizer's state, 2: gradients too, 3: parameters too, as FSDP; 0: 2. Gradients of stage 1
	// are cut as soon as those of stage 2: it never takes more memory than it does in DeepSpeed.
	Stage int
	// OffloadOptimizer keeps the optimizer's state, and the rows that it steps, on the CPU.
	OffloadOptimizer bool
	// OffloadParameters keeps parameters on the CPU between uses: stage 3 only, and with OffloadOptimizer.
	OffloadParameters bool
	// Config is DeepSpeed's JSON. It is not read yet, and refused: the fields here, ClipGradNorm, optimizers and schedulers take its place.
	Config any
	// NoInitSync leaves out rank 0's parameters and buffers being given to all when a model is set up.
	NoInitSync bool
	// Wrap chooses the units of stage 3 that are gathered together; nil: shard.Blocks.
	Wrap shard.Policy
	// Spawn has goroutines in the place of processes.
	Spawn bool
	// Timeout stands for Config.Timeout where it is not 0. Giving both is refused.
	Timeout time.Duration
}

func (d DeepSpeed) stage() int {
	if d.Stage == 0 {
		return 2
	}
	return d.Stage
}

// StrategyName returns "deepspeed_stage_2" and the like, with "_offload" where something is offloaded and "_spawn" with Spawn.
func (d DeepSpeed) StrategyName() string {
	name := fmt.Sprintf("deepspeed_stage_%d", d.stage())
	if d.OffloadOptimizer || d.OffloadParameters {
		name += "_offload"
	}
	return spawnName(name, d.Spawn)
}

func (d DeepSpeed) check() error {
	switch {
	case d.stage() < 1 || d.stage() > 3:
		return fmt.Errorf(`the Stage is %d: want 1, 2 or 3; stage 0 is "ddp"`, d.Stage)
	case d.OffloadParameters && d.stage() != 3:
		return fmt.Errorf("the field OffloadParameters is set with stage %d, whose parameters are whole: use stage 3, or OffloadOptimizer", d.stage())
	case d.OffloadParameters && !d.OffloadOptimizer:
		return errors.New("the field OffloadParameters is set without OffloadOptimizer: the rows that are stepped are where the optimizer's state is; set both")
	case d.Config != nil:
		return errors.New("the Config is not read yet: set the fields, clip with ClipGradNorm, and make optimizers and schedulers by package optim")
	}
	return nil
}

// Plan has a rank for each device.
func (d DeepSpeed) Plan(r strategy.Request) (strategy.Plan, error) {
	if err := d.check(); err != nil {
		return strategy.Plan{}, err
	}
	p := d
	p.Spawn = false
	return planShards(r, d.Spawn, d.Timeout, d.StrategyName(), p)
}

// Open returns a Session that holds parts; on one rank there is nothing to divide.
func (d DeepSpeed) Open(ctx context.Context, e *strategy.Env) (strategy.Session, error) {
	o := shard.Options{Reshard: shard.Never, OffloadCPU: d.OffloadOptimizer, NoInitSync: d.NoInitSync, Units: d.Wrap}
	if d.stage() == 3 {
		o.Reshard = shard.AfterForward
	}
	return openShards(ctx, e, d.StrategyName(), o)
}
