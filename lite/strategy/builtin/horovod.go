package builtin

import (
	"context"
	"fmt"
	"time"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/lite/strategy"
	"github.com/golite/golite/torch/optim"
)

// Horovod is what Lightning's HorovodStrategy computes, by DDP's means: a process for each device, gradients averaged while
// backward runs, parameters, buffers and optimizer states given by rank 0 when they are set up, and buffers left to each
// rank after that. Ranks may be started by horovodrun, by mpirun or by golite; Horovod itself is not needed.
//
// Learning rates stay as they are. Lightning's Trainer multiplied them by the number of ranks; LightningLite never did.
type Horovod struct {
	// Compression is the type of gradients on their way: "", their own, or "fp16" (horovod.torch.Compression.fp16).
	Compression string
	// Timeout stands for Config.Timeout where it is not 0. Giving both is refused.
	Timeout time.Duration
}

// StrategyName returns "horovod".
func (Horovod) StrategyName() string { return "horovod" }

// ddp is the strategy that does the work.
func (h Horovod) ddp() DDP {
	return DDP{NoBroadcastBuffers: true, CommHook: h.Compression, Timeout: h.Timeout}
}

// Plan has a process for each device.
func (h Horovod) Plan(r strategy.Request) (strategy.Plan, error) {
	if h.Compression != "" && h.Compression != "fp16" {
		return strategy.Plan{}, fmt.Errorf(`the Compression is %q: want "fp16" or nothing`, h.Compression)
	}
	return h.ddp().plan(r, "processes")
}

// Open returns a Session that averages gradients, if there are several ranks.
func (h Horovod) Open(ctx context.Context, e *strategy.Env) (strategy.Session, error) {
	if e.World == 1 {
		return &single{e}, nil
	}
	if e.Rank == 0 {
		e.Log.Info("horovod: learning rates are not multiplied by the number of ranks, as Lightning's Trainer did: multiply them where that is wanted")
	}
	return &horovodSession{newDDPSession(ctx, e, h.ddp().options())}, nil
}

// horovodSession is a ddpSession whose optimizers begin with rank 0's state.
type horovodSession struct{ *ddpSession }

// SetupOptimizer gives the optimizer rank 0's state and settings (horovod.torch.broadcast_optimizer_state).
func (s *horovodSession) SetupOptimizer(o optim.Optimizer) error {
	if err := s.ddpSession.SetupOptimizer(o); err != nil {
		return err
	}
	var state map[string]any
	if s.e.Rank == 0 {
		state = o.StateDict()
	}
	state = dist.BroadcastValue(s.e.Group, state, 0)
	if s.e.Rank == 0 {
		return nil
	}
	return o.LoadStateDict(state)
}
