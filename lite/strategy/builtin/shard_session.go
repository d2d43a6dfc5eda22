package builtin

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/golite/golite/ddp"
	"github.com/golite/golite/ddp/shard"
	"github.com/golite/golite/dist"
	"github.com/golite/golite/lite/strategy"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
	"github.com/golite/golite/torch/serial"
)

// openShards opens a Session whose ranks hold parts, or that of a single rank where that has nothing to divide.
func openShards(ctx context.Context, e *strategy.Env, name string, o shard.Options) (strategy.Session, error) {
	if e.World == 1 && !o.OffloadCPU && o.ParamDType == 0 && o.BufferDType == 0 {
		return &single{e}, nil
	}
	o.Device = e.Devices[0]
	o.Warn = func(message string) {
		if e.Rank == 0 {
			e.Log.Warn(message)
		}
	}
	engine, err := shard.New(ctx, e.Group, o)
	if err != nil {
		return nil, err
	}
	return &shardSession{e: e, name: name, o: o, engine: engine, ignored: map[*torch.Tensor]bool{}}, nil
}

// shardSession is a strategy whose ranks hold parts of the parameters, the gradients or the optimizer's state.
type shardSession struct {
	e        *strategy.Env
	name     string
	o        shard.Options
	engine   *shard.Engine
	ignored  map[*torch.Tensor]bool
	revision int
}

func (s *shardSession) SetupModule(_ context.Context, m nn.Module, o strategy.ModuleOptions) (strategy.Module, error) {
	if o.NoMove {
		return nil, fmt.Errorf("strategy %q places parameters itself: leave ModuleOptions.NoMove", s.name)
	}
	err := torch.Try(func() {
		nn.Parameters(m) // an incomplete module panics here, with the path of the field
		if d := s.e.Precision.ModuleDType(); d != 0 {
			nn.To(m, d)
		}
	})
	if err != nil {
		return nil, err
	}
	var ignored []*torch.Tensor
	for _, p := range nn.Parameters(m) {
		if s.ignored[p.Tensor] {
			ignored = append(ignored, p.Tensor)
			torch.NoGrad(func() { p.SetData(p.To(s.e.Devices[0])) })
		}
	}
	x, err := s.engine.Shard(m, ignored...)
	if err != nil {
		return nil, err
	}
	s.revision++
	return &shardModule{s: s, m: x, module: m}, nil
}

func (s *shardSession) SetupOptimizer(o optim.Optimizer) error { return s.engine.SetupOptimizer(o) }

func (s *shardSession) Backward(loss *torch.Tensor, run func(loss *torch.Tensor)) {
	s.engine.Backward(loss, run)
}

func (s *shardSession) Step(o optim.Optimizer, step func() (ran bool)) (ran bool) {
	return s.engine.Step(o, step)
}

func (s *shardSession) GradNorm(params []nn.Parameter, normType float64) *torch.Tensor {
	return s.engine.GradNorm(params, normType)
}

// ReduceFoundInf: a rank sees an overflow in its own rows alone.
func (s *shardSession) ReduceFoundInf(found *torch.Tensor) { s.e.Group.AllReduce(found, dist.Max) }

func (s *shardSession) NotCombined(tensors []*torch.Tensor) (list []*torch.Tensor) {
	for _, t := range tensors {
		if !s.engine.Has(t) && !s.ignored[t] {
			list = append(list, t)
		}
	}
	return list
}

func (s *shardSession) Revision() int { return s.revision }

func (s *shardSession) IgnoreParameters(params []*torch.Tensor) {
	for _, t := range params {
		if s.engine.Has(t) {
			torch.Fail("lite.IgnoreParameters", "strategy %q has cut the parameter: call it before Setup", s.name)
		}
		s.ignored[t] = true
	}
	s.revision++
}

func (s *shardSession) Part(t *torch.Tensor) *serial.Shard { return s.engine.Part(t) }

func (s *shardSession) Loaded() error { return dist.Try(s.engine.Loaded) }

func (s *shardSession) OptimizerState(o optim.Optimizer) (map[string]any, error) {
	return s.engine.OptimizerShards(o), nil
}

func (s *shardSession) OptimizerPart(o optim.Optimizer, param int) (offsets, sizes, shape []int) {
	return s.engine.OptimizerPart(o, param)
}

func (s *shardSession) LoadOptimizer(o optim.Optimizer, state map[string]any) error {
	return s.engine.LoadOptimizer(o, state)
}

// Capturable: collectives run on threads of their own, and memory comes and goes.
func (s *shardSession) Capturable() error {
	return errors.New("ranks gather parameters and sum gradients in it")
}

func (s *shardSession) Close(error) error {
	s.engine.Close()
	return nil
}

var (
	_ strategy.OptimizerSetter = (*shardSession)(nil)
	_ strategy.Backwarder      = (*shardSession)(nil)
	_ strategy.Stepper         = (*shardSession)(nil)
	_ strategy.GradNormer      = (*shardSession)(nil)
	_ strategy.GradChecker     = (*shardSession)(nil)
	_ strategy.Capturer        = (*shardSession)(nil)
	_ strategy.FoundInfReducer = (*shardSession)(nil)
	_ strategy.Checkpointer    = (*shardSession)(nil)
)

// shardModule is a module of which ranks hold parts.
type shardModule struct {
	s       *shardSession
	m       *shard.Module
	module  nn.Module
	running atomic.Bool
}

// Synced: every pass that is recorded has hooks.
func (m *shardModule) Synced(p strategy.Pass) bool { return p.Grad }

func (m *shardModule) Forward(p strategy.Pass, f func() []*torch.Tensor) []*torch.Tensor {
	whole := m.s.o.Reshard == shard.Never
	if whole && !p.Grad {
		return f()
	}
	if !whole && !p.Grad {
		if m.running.Swap(true) {
			torch.Fail("lite.Forward", "strategy %q: a pass of %T was begun while another one is under way: they gather the same parameters; "+
				"make them one after the other", m.s.name, m.module)
		}
		defer m.running.Store(false)
	}
	return m.m.Forward(f)
}

// Join: a pass that a rank leaves out is one whose collectives the others wait in.
func (m *shardModule) Join(func(), ddp.JoinOptions) {
	torch.Fail("lite.Join", "strategy %q: each forward and backward pass takes all ranks, so that none may make fewer of them: give all ranks "+
		"the same number of batches (the sampler's DropLast, or its padding), or use \"ddp\"", m.s.name)
}

// CloseModule takes the module out of the Session.
func (m *shardModule) CloseModule() {
	m.m.Close()
	m.s.revision++
}

var (
	_ strategy.Joiner       = (*shardModule)(nil)
	_ strategy.ModuleCloser = (*shardModule)(nil)
)
