package builtin

import (
	"context"
	"errors"

	"github.com/golite/golite/ddp"
	"github.com/golite/golite/lite/strategy"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// ddpSession is DDP on one of several ranks.
type ddpSession struct {
	ctx        context.Context
	e          *strategy.Env
	opts       ddp.ParallelOptions
	modules    []*ddpModule
	optimizers []optim.Optimizer
	ignored    map[*torch.Tensor]bool         // parameters that are left to the program
	revision   int                            // how often the set of averaged parameters has changed
	forwards   []*ddp.DistributedDataParallel // of the modules with a forward pass under way
}

func newDDPSession(ctx context.Context, e *strategy.Env, o ddp.ParallelOptions) *ddpSession {
	return &ddpSession{ctx: ctx, e: e, opts: o, ignored: map[*torch.Tensor]bool{}}
}

func (s *ddpSession) SetupModule(_ context.Context, m nn.Module, o strategy.ModuleOptions) (strategy.Module, error) {
	if err := s.e.Place(m, o); err != nil {
		return nil, err
	}
	x := &ddpModule{s: s, module: m}
	if err := x.replicate(); err != nil {
		return nil, err
	}
	params, want := x.list()
	x.idle = len(want) == 0
	x.look(params)
	s.modules = append(s.modules, x)
	return x, nil
}

func (s *ddpSession) SetupOptimizer(o optim.Optimizer) error {
	s.optimizers = append(s.optimizers, o)
	optim.MoveState(o)
	return nil
}

// Backward prepares the strategy for the gradients of a loss that a method of a model computes inside of its forward
// pass: there PostForward has not been called yet.
func (s *ddpSession) Backward(loss *torch.Tensor, run func(loss *torch.Tensor)) {
	for i := len(s.forwards) - 1; i >= 0; i-- {
		loss = s.forwards[i].PostForward(loss)[0]
	}
	run(loss)
}

// layout changes when an optimizer is set up or has got another group, and when parameters are ignored: a module's
// parameters are then listed again.
func (s *ddpSession) layout() int {
	n := len(s.ignored)
	for _, o := range s.optimizers {
		n += len(o.Tensors())
	}
	return n
}

func (s *ddpSession) IgnoreParameters(params []*torch.Tensor) {
	for _, t := range params {
		s.ignored[t] = true
	}
	s.revision++
}

func (s *ddpSession) Revision() int { return s.revision }

func (s *ddpSession) NotCombined(tensors []*torch.Tensor) (list []*torch.Tensor) {
	in := map[*torch.Tensor]bool{}
	for _, m := range s.modules {
		for _, t := range m.trained {
			in[t] = !m.stranded
		}
		for _, t := range m.past {
			in[t] = in[t] || !t.RequiresGrad()
		}
	}
	for _, t := range tensors {
		if !in[t] && !s.ignored[t] {
			list = append(list, t)
		}
	}
	return list
}

// Capturable: the Reducer works on its own threads.
func (s *ddpSession) Capturable() error {
	return errors.New("several ranks average their gradients in it")
}

func (s *ddpSession) Close(error) error {
	for _, m := range s.modules {
		m.free()
		if m.replica != nil {
			m.replica.Close()
		}
	}
	s.modules = nil
	return nil
}

var (
	_ strategy.OptimizerSetter = (*ddpSession)(nil)
	_ strategy.Backwarder      = (*ddpSession)(nil)
	_ strategy.GradChecker     = (*ddpSession)(nil)
	_ strategy.Capturer        = (*ddpSession)(nil)
)
