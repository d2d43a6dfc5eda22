package lite_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/ddp"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/lite/strategy"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// spied is a strategy with every optional part, which notes what rank 0 is asked.
type spied struct {
	log  *journal
	wrap func(s strategy.Session) strategy.Session // nil: none
	open error
}

type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

func (spied) StrategyName() string { return "traced" }

func (s spied) Plan(r strategy.Request) (strategy.Plan, error) {
	return strategy.Plan{Ranks: strategy.OnePerDevice(r), Launcher: "goroutines"}, nil
}

func (s spied) Open(_ context.Context, e *strategy.Env) (strategy.Session, error) {
	if s.open != nil {
		return nil, s.open
	}
	x := &tracedSession{e: e, note: func(string, ...any) {}}
	if e.Rank == 0 {
		x.note = s.log.add
	}
	x.note("Open %d %d %v %s %d", e.World, e.LocalWorld, e.Devices, e.Accelerator.Name(), e.Group.Size())
	if s.wrap != nil {
		return s.wrap(x), nil
	}
	return x, nil
}

type tracedSession struct {
	e     *strategy.Env
	note  func(format string, args ...any)
	steps int
}

func (s *tracedSession) SetupModule(_ context.Context, m nn.Module, o strategy.ModuleOptions) (strategy.Module, error) {
	s.note("SetupModule %T %v", m, o)
	return &tracedModule{s}, s.e.Place(m, o)
}

func (s *tracedSession) Close(err error) error {
	s.note("Close %v", err)
	return nil
}

func (s *tracedSession) SetupOptimizer(o optim.Optimizer) error {
	s.note("SetupOptimizer %T", o)
	optim.MoveState(o)
	return nil
}

func (s *tracedSession) InitModule(build func(), empty bool) {
	s.note("InitModule %v", empty)
	build()
}

func (s *tracedSession) Backward(loss *torch.Tensor, run func(*torch.Tensor)) {
	s.note("Backward %v", loss.Item())
	run(loss.MulScalar(2))
}

func (s *tracedSession) Step(_ optim.Optimizer, step func() bool) bool {
	ran := step()
	s.steps++
	s.note("Step %v", ran)
	return ran
}

func (s *tracedSession) GradNorm(params []nn.Parameter, normType float64) *torch.Tensor {
	s.note("GradNorm %d %v", len(params), normType)
	return torch.Full(8)
}

func (s *tracedSession) NotCombined([]*torch.Tensor) []*torch.Tensor {
	s.note("NotCombined")
	return nil
}
func (s *tracedSession) Revision() int { return 1 }
func (s *tracedSession) IgnoreParameters(list []*torch.Tensor) {
	s.note("IgnoreParameters %d", len(list))
}
func (s *tracedSession) Seed(seed uint64) { s.note("Seed %d", seed) }

func (s *tracedSession) StateDict() map[string]any {
	return map[string]any{"steps": s.steps, "rank": s.e.Rank, "tensor": torch.Ones(2)}
}

func (s *tracedSession) LoadStateDict(state map[string]any) error {
	if state["rank"] != s.e.Rank {
		return fmt.Errorf("rank %d was given the state of rank %v", s.e.Rank, state["rank"])
	}
	s.note("LoadStateDict %v %v", state["steps"], state["tensor"].(*torch.Tensor).Shape())
	return nil
}

type tracedModule struct{ s *tracedSession }

func (m *tracedModule) Synced(p strategy.Pass) bool { return p.Grad && p.Training }

func (m *tracedModule) Forward(p strategy.Pass, f func() []*torch.Tensor) []*torch.Tensor {
	m.s.note("Forward %v", p)
	out := f()
	for i, t := range out {
		out[i] = t.MulScalar(3)
	}
	return out
}

func (m *tracedModule) NoSync(f func()) { m.s.note("NoSync"); f() }
func (m *tracedModule) Join(f func(), o ddp.JoinOptions) {
	m.s.note("Join %v", o.DivideByRemaining)
	f()
}

// lite asks a Session for each of its parts where it belongs.
func TestSessionParts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "last.pt")
	log := &journal{}
	run := func(ctx context.Context, l *lite.Lite) error {
		l.SeedEverything(3)
		net := lite.InitModule(l, func() *nn.Linear { return nn.NewLinear(1, 1, nn.LinearOptions{NoBias: true}) })
		torch.NoGrad(func() { net.Weight.Fill_(1) })
		l.IgnoreParameters(net.Weight)
		opt := optim.NewSGD(nn.Parameters(net), 1)
		model, err := lite.Setup(l, net, net.Forward, opt)
		if err != nil {
			return err
		}
		y := model.Forward(torch.Ones(1, 1))
		require.Equal(t, 3.0, y.Item(), "the strategy's tensor takes the place of the module's")
		l.Backward(y.Sum())
		require.Equal(t, 6.0, net.Weight.Grad().Item(), "the strategy's loss is what is derived")
		require.Equal(t, 8.0, l.ClipGradNorm(model, opt, 4).Item())
		require.InDelta(t, 3.0, net.Weight.Grad().Item(), 1e-4, "by the strategy's norm, of 8, the gradient is cut in half")
		opt.Step()
		l.NoBackwardSync(model, true, func() {})
		l.NoBackwardSync(model, false, func() {})
		l.Join(model, func() {}, ddp.JoinOptions{DivideByRemaining: true})
		model.Eval()
		torch.NoGrad(func() { model.Forward(torch.Ones(1, 1)) })
		state := lite.State{"model": model, "opt": opt}
		if err := l.Save(path, state); err != nil {
			return err
		}
		_, err = l.Load(path, state)
		return err
	}
	cfg := lite.Config{Devices: "2", Strategy: spied{log: log}}
	require.NoError(t, lite.Run(ctx, cfg, run))
	want := []string{"Open 2 2 [cpu] cpu 2", "Seed 3", "InitModule false", "IgnoreParameters 1", "SetupModule *nn.Linear {false}", "SetupOptimizer *optim.SGD",
		"Forward {true true}", "Backward 3", "GradNorm 1 2", "NotCombined", "Step true", "NoSync", "Join true", "Forward {false false}",
		"LoadStateDict 1 [2]", "Close <nil>"}
	require.Equal(t, want, log.lines)

	// A Session that wraps another one keeps its parts.
	log.lines = nil
	cfg.Strategy = spied{log: log, wrap: func(s strategy.Session) strategy.Session { return open{s} }}
	require.NoError(t, lite.Run(ctx, cfg, run))
	require.Equal(t, want, log.lines)
}

type open struct{ strategy.Session }

func (o open) Unwrap() any { return o.Session }

type closed struct{ strategy.Session }

// What is wrong with a Session ends the run before its function is called, and what has ended it reaches Close.
func TestSessionErrors(t *testing.T) {
	log := &journal{}
	for name, c := range map[string]struct {
		s    spied
		want string
	}{
		"open":         {spied{log: log, open: errors.New("no such network")}, `strategy "traced": no such network`},
		"no session":   {spied{log: log, wrap: func(strategy.Session) strategy.Session { return nil }}, "Open of lite_test.spied returned no Session"},
		"hidden parts": {spied{log: log, wrap: func(s strategy.Session) strategy.Session { return closed{s} }}, "lite_test.closed embeds a strategy.Session and has no method Unwrap() any"},
	} {
		t.Run(name, func(t *testing.T) {
			err := lite.Run(ctx, lite.Config{Strategy: c.s}, func(context.Context, *lite.Lite) error { return errors.New("it ran") })
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "it ran")
		})
	}
	log.lines = nil
	err := lite.Run(ctx, lite.Config{Strategy: spied{log: log}}, func(context.Context, *lite.Lite) error { return errors.New("the run's") })
	require.ErrorContains(t, err, "the run's")
	require.Equal(t, "Close the run's", log.lines[len(log.lines)-1])
}
