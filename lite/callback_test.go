package lite_test

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/lite/logger"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// The package's loggers fit without knowing lite.
var (
	_ lite.MetricLogger = (*logger.CSV)(nil)
	_ lite.MetricLogger = (*logger.TensorBoard)(nil)
)

// recorder is a logger that keeps what it is given, and can fail.
type recorder struct {
	metrics []map[string]float64
	steps   []int64
	params  []map[string]any
	closed  int
	ended   error
	fail    error
}

func (r *recorder) Name() string { return "recorder" }
func (r *recorder) LogMetrics(m map[string]float64, step int64) error {
	r.metrics, r.steps = append(r.metrics, m), append(r.steps, step)
	return r.fail
}
func (r *recorder) LogHyperparams(p map[string]any) error {
	r.params = append(r.params, p)
	return r.fail
}
func (r *recorder) Close(err error) error {
	r.closed++
	r.ended = err
	return r.fail
}

// hooks is a callback with some methods.
type hooks struct {
	epochs []int
	losses []float64
	order  *[]string
	name   string
}

func (h *hooks) OnEpochEnd(epoch int, loss *torch.Tensor) {
	h.epochs, h.losses = append(h.epochs, epoch), append(h.losses, loss.Item())
}
func (h *hooks) OnOrder()                              { *h.order = append(*h.order, h.name) }
func (h *hooks) OnFailure() error                      { return errors.New("enough") }
func (h *hooks) OnNothing(loss *torch.Tensor) (ok int) { return 1 }

func TestCallRunsTheMethodsOfThatName(t *testing.T) {
	var order []string
	a, b := &hooks{order: &order, name: "a"}, &hooks{order: &order, name: "b"}
	cfg := lite.Config{Callbacks: []any{a, struct{}{}, b}}
	on(t, cfg, func(l *lite.Lite) {
		l.Call("OnOrder")
		l.Call("OnOrder", "more than it takes")
		l.Call("OnUnknown", 1, 2)
		l.Call("OnEpochEnd", 3, torch.From([]float32{0.5}))
		l.Call("OnNothing", nil)
		require.ErrorContains(t, torch.Try(func() { l.Call("OnEpochEnd", 3) }), "takes 2 arguments, and Call was given 1")
		require.ErrorContains(t, torch.Try(func() { l.Call("OnEpochEnd", "x", nil) }), "argument 0 is a string")
	})
	require.Equal(t, []string{"a", "b", "a", "b"}, order)
	require.Equal(t, []int{3}, a.epochs)
	require.Equal(t, []float64{0.5}, b.losses)
}

func TestCallsErrorEndsTheRun(t *testing.T) {
	err := lite.Run(ctx, lite.Config{Callbacks: []any{&hooks{}}}, func(_ context.Context, l *lite.Lite) error {
		l.Call("OnFailure")
		t.Error("the run went on")
		return nil
	})
	require.ErrorContains(t, err, "hooks.OnFailure")
	require.ErrorContains(t, err, "enough")
}

// watcher hears of what lite itself calls.
type watcher struct {
	modules []nn.Module
	ranks   []int
	skipped []bool
	refuse  error
}

func (w *watcher) OnAfterSetup(m nn.Module, l *lite.Lite) error {
	w.modules, w.ranks = append(w.modules, m), append(w.ranks, l.GlobalRank())
	return w.refuse
}
func (w *watcher) OnAfterOptimizerStep(o optim.Optimizer) { w.skipped = append(w.skipped, o.Skipped()) }

// Setup and SetupModule call back at their end, once, and return what is wrong with it.
func TestSetupCallsBack(t *testing.T) {
	w := &watcher{}
	on(t, lite.Config{Callbacks: []any{w}}, func(l *lite.Lite) {
		a, b, c := newLine(), newLine(), newLine()
		opt := optim.NewSGD(nn.Parameters(a), 0.1)
		_, err := lite.Setup(l, a, a.Forward, opt)
		require.NoError(t, err)
		require.ErrorIs(t, optim.Intercept(opt, nil), optim.ErrIntercepted, "the optimizer is set up by then")
		_, err = lite.SetupModule(l, b, b.Forward)
		require.NoError(t, err)
		_, err = lite.Setup(l, a, a.Forward)
		require.Error(t, err)
		require.Equal(t, []nn.Module{a, b}, w.modules)
		require.Equal(t, []int{0, 0}, w.ranks)

		w.refuse = errors.New("not this one")
		_, err = lite.Setup(l, c, c.Forward)
		require.ErrorIs(t, err, w.refuse)
	})
}

// Steps are called back, those that an overflow skips too, as Fabric does.
func TestStepsAreCalledBack(t *testing.T) {
	w := &watcher{}
	on(t, lite.Config{Precision: "16-mixed", Callbacks: []any{w}}, func(l *lite.Lite) {
		net := newLine()
		opt := optim.NewSGD(nn.Parameters(net), 0.1)
		model, err := lite.Setup(l, net, net.Forward, opt)
		require.NoError(t, err)
		for _, factor := range []float64{1, math.Inf(1), 1} {
			opt.ZeroGrad()
			l.Backward(model.Forward(torch.Ones(2, 3)).MulScalar(factor).Mean())
			opt.Step()
		}
	})
	require.Equal(t, []bool{false, true, false}, w.skipped)
}

// The settings of a run reach the loggers of rank 0 alone.
func TestLogHyperparams(t *testing.T) {
	r, full := &recorder{}, errors.New("disk full")
	cfg := lite.Config{Accelerator: "cpu", Devices: "2", Strategy: "ddp_spawn", Loggers: []lite.MetricLogger{r}}
	require.NoError(t, lite.Run(ctx, cfg, func(_ context.Context, l *lite.Lite) error {
		return l.LogHyperparams(map[string]any{"lr": 0.1, "rank": l.GlobalRank()})
	}))
	require.Equal(t, []map[string]any{{"lr": 0.1, "rank": 0}}, r.params)
	r.fail = full
	require.ErrorIs(t, lite.Run(ctx, cfg, func(_ context.Context, l *lite.Lite) error {
		return l.LogHyperparams(nil)
	}), full)
}

// A logger is told how the run ended, and its own error is not lost.
func TestLoggersAreClosed(t *testing.T) {
	broken, full := errors.New("broken"), errors.New("disk full")
	r := &recorder{}
	err := lite.Run(ctx, lite.Config{Loggers: []lite.MetricLogger{r}}, func(context.Context, *lite.Lite) error { return broken })
	require.ErrorIs(t, err, broken)
	require.ErrorIs(t, r.ended, broken)
	require.Equal(t, 1, r.closed)

	r = &recorder{fail: full}
	err = lite.Run(ctx, lite.Config{Loggers: []lite.MetricLogger{r}}, func(_ context.Context, l *lite.Lite) error {
		require.ErrorIs(t, l.Log("x", 1, 0), full)
		return nil
	})
	require.ErrorIs(t, err, full)
	require.ErrorContains(t, err, "recorder")
}

// A folder with an earlier run's metrics.csv ends the run before its function begins, on all ranks.
func TestLoggersAreOpenedFirst(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "metrics.csv")
	require.NoError(t, os.WriteFile(path, []byte("step,loss\n0,1\n"), 0o644))
	for _, cfg := range []lite.Config{{}, {Accelerator: "cpu", Devices: "2", Strategy: "ddp_spawn"}} {
		c, err := logger.NewCSV(dir)
		require.NoError(t, err)
		r := &recorder{}
		cfg.Loggers = []lite.MetricLogger{c, r}
		err = lite.Run(ctx, cfg, func(ctx context.Context, l *lite.Lite) error {
			if l.IsGlobalZero() {
				t.Error("the function began")
				return nil
			}
			l.Barrier() // ends when rank 0 has failed
			return nil
		})
		require.ErrorIs(t, err, os.ErrExist)
		require.ErrorContains(t, err, path)
		require.ErrorIs(t, r.ended, os.ErrExist)
	}
	c, err := logger.NewCSV(dir, logger.CSVOptions{Append: true})
	require.NoError(t, err)
	require.NoError(t, lite.Run(ctx, lite.Config{Loggers: []lite.MetricLogger{c}}, func(_ context.Context, l *lite.Lite) error {
		return l.Log("loss", 0.5, 1)
	}))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "step,loss\n0,1\n1,0.5\n", string(text))
}
