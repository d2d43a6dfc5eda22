// Package localsgd is a strategy in a module of its own: local SGD. Each rank steps by its own gradients, and every H
// steps the ranks take the mean of their parameters, so that they send H times less than under "ddp" (Stich, Local SGD
// Converges Fast and Communicates Little, 2019; torch.distributed's PeriodicModelAverager).
//
// A program that imports it may use it by value or by name, in code as in flags, a file and the environment:
//
//	lite.Config{Devices: "2", Strategy: localsgd.LocalSGD{Every: 16}}
//	lite.Config{Devices: "2", Strategy: "local_sgd"}
//	go run ./train -devices 2 -strategy local_sgd
package localsgd

import (
	"context"
	"fmt"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/lite/strategy"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

func init() {
	strategy.Register("local_sgd", func() strategy.Strategy { return LocalSGD{} })
	strategy.Register("local_sgd_spawn", func() strategy.Strategy { return LocalSGD{Spawn: true} })
}

// LocalSGD is the strategy's settings.
type LocalSGD struct {
	Every int  // steps of an optimizer between two averages; 0: 8
	Spawn bool // ranks are goroutines instead of processes
}

// StrategyName returns "local_sgd".
func (LocalSGD) StrategyName() string { return "local_sgd" }

// Plan has a rank for each device.
func (s LocalSGD) Plan(r strategy.Request) (strategy.Plan, error) {
	if s.Every < 0 {
		return strategy.Plan{}, fmt.Errorf("Every is %d: want a number of steps, or 0 for 8", s.Every)
	}
	if _, reason := accelerator.Backend(r.Accelerator); reason != "" {
		return strategy.Plan{}, fmt.Errorf("%s", reason)
	}
	p := strategy.Plan{Ranks: strategy.OnePerDevice(r), Launcher: "processes"}
	switch {
	case !s.Spawn:
	case r.Engine != "":
		return strategy.Plan{Instead: LocalSGD{Every: s.Every}, Warnings: []string{r.Engine + " has started the ranks, which are processes"}}, nil
	case r.Nodes > 1:
		return strategy.Plan{}, fmt.Errorf("goroutines of one process, but num_nodes=%d: leave Spawn out", r.Nodes)
	default:
		p.Launcher = "goroutines"
	}
	return p, nil
}

// Open starts a rank's Session, and logs the settings.
func (s LocalSGD) Open(_ context.Context, e *strategy.Env) (strategy.Session, error) {
	x := &session{e: e, every: max(1, s.Every)}
	if s.Every == 0 {
		x.every = 8
	}
	if e.Rank == 0 {
		e.Log.Info(fmt.Sprintf("local_sgd: %d ranks, whose parameters are averaged every %d steps", e.World, x.every))
	}
	return x, nil
}

// session counts the steps of each optimizer.
type session struct {
	e          *strategy.Env
	every      int
	optimizers []optim.Optimizer
	steps      []int // of each
}

// SetupModule gives all ranks the parameters and buffers of rank 0. Nothing surrounds a pass.
func (s *session) SetupModule(_ context.Context, m nn.Module, o strategy.ModuleOptions) (strategy.Module, error) {
	if err := s.e.Place(m, o); err != nil {
		return nil, err
	}
	return nil, dist.Try(func() {
		torch.NoGrad(func() {
			for _, t := range nn.StateDict(m).All() {
				s.e.Group.Broadcast(t, 0)
			}
		})
	})
}

// SetupOptimizer is called in the same order on all ranks, and after a restart: a count belongs to an optimizer's place.
func (s *session) SetupOptimizer(o optim.Optimizer) error {
	optim.MoveState(o)
	s.optimizers = append(s.optimizers, o)
	for len(s.steps) < len(s.optimizers) {
		s.steps = append(s.steps, 0)
	}
	return nil
}

// Step steps on this rank alone, and averages after each Every-th step.
func (s *session) Step(o optim.Optimizer, step func() (ran bool)) (ran bool) {
	ran = step()
	for i := range s.optimizers {
		if s.optimizers[i] != o {
			continue
		}
		if s.steps[i]++; s.steps[i]%s.every == 0 && s.e.World > 1 {
			s.average(o)
		}
	}
	return ran
}

func (s *session) average(o optim.Optimizer) {
	torch.NoGrad(func() {
		for _, t := range o.Tensors() {
			s.e.Group.AllReduce(t.Detach(), dist.Mean)
		}
	})
}

// StateDict is the settings and the counts: a run that is resumed averages at the steps at which it would have.
func (s *session) StateDict() map[string]any {
	counts := make([]any, len(s.steps))
	for i, n := range s.steps {
		counts[i] = n
	}
	return map[string]any{"every": s.every, "steps": counts}
}

func (s *session) LoadStateDict(state map[string]any) error {
	counts, ok := state["steps"].([]any)
	if !ok {
		return fmt.Errorf("want a list of steps, found a %T", state["steps"])
	}
	steps := make([]int, max(len(counts), len(s.optimizers)))
	for i, c := range counts {
		if steps[i], ok = c.(int); !ok {
			return fmt.Errorf("want a number of steps, found a %T", c)
		}
	}
	if every, _ := state["every"].(int); every != s.every && s.e.Rank == 0 {
		s.e.Log.Warn(fmt.Sprintf("local_sgd: the checkpoint's run averaged every %d steps, this one does every %d", every, s.every))
	}
	s.steps = steps
	return nil
}

func (s *session) Close(error) error { return nil }

var (
	_ strategy.OptimizerSetter = (*session)(nil)
	_ strategy.Stepper         = (*session)(nil)
	_ strategy.Stateful        = (*session)(nil)
)
