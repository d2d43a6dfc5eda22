package lite_test

import (
	"context"
	"errors"
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
	closed  int
	ended   error
	fail    error
}

func (r *recorder) Name() string { return "recorder" }
func (r *recorder) LogMetrics(m map[string]float64, step int64) error {
	r.metrics, r.steps = append(r.metrics, m), append(r.steps, step)
	return r.fail
}
func (r *recorder) LogHyperparams(map[string]any) error { return nil }
func (r *recorder) Close(err error) error {
	r.closed++
	r.ended = err
	return r.fail
}

// hooks is a callback with some methods.
type hooks struct {
	epochs []int
	losses []float64
	steps  int
	order  *[]string
	name   string
}

func (h *hooks) OnEpochEnd(epoch int, loss *torch.Tensor) {
	h.epochs, h.losses = append(h.epochs, epoch), append(h.losses, loss.Item())
}
func (h *hooks) OnOrder()                              { *h.order = append(*h.order, h.name) }
func (h *hooks) OnAfterOptimizerStep(optim.Optimizer)  { h.steps++ }
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

func TestStepsAreCalledBack(t *testing.T) {
	h := &hooks{}
	on(t, lite.Config{Callbacks: []any{h}}, func(l *lite.Lite) {
		net := NewMLP()
		opt := optim.NewSGD(nn.Parameters(net), 0.1)
		model, err := lite.Setup(l, net, net.Forward, opt)
		require.NoError(t, err)
		for range 3 {
			l.Backward(model.Forward(torch.Ones(2, 784)).Sum())
			opt.Step()
		}
	})
	require.Equal(t, 3, h.steps)
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
