package lite

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/cuda"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

// taped is a capture whose recording is a function that is called again: no GPU is needed to see when it is made, replayed and left alone.
type taped struct {
	*capture[batchOf, *torch.Tensor]
	warmed, recorded, replayed int
	failing                    error
	logs                       *observer.ObservedLogs
}

type batchOf struct {
	X    *torch.Tensor
	Note string
}

func tape(l *Lite, step func(batchOf) *torch.Tensor) *taped {
	core, logs := observer.New(zap.WarnLevel)
	l.log = zap.New(core)
	t := &taped{capture: &capture[batchOf, *torch.Tensor]{l: l, step: step, said: map[string]bool{}}, logs: logs}
	t.warm = func(f func()) { t.warmed++; f() }
	t.record = func(f func()) (func(), error) {
		t.recorded++
		f()
		out := t.out
		return func() {
			t.replayed++
			out.Copy_(torch.EnableGradOf(func() *torch.Tensor { return t.step(batchOf{X: t.in[0]}) }))
		}, t.failing
	}
	return t
}

func onCPU(t *testing.T, f func(l *Lite)) {
	t.Helper()
	require.NoError(t, Run(t.Context(), Config{}, func(_ context.Context, l *Lite) error { f(l); return nil }))
}

func TestCaptureRecordsOnceAndReplays(t *testing.T) {
	onCPU(t, func(l *Lite) {
		tp := tape(l, func(b batchOf) *torch.Tensor { return b.X.MulScalar(2).Sum() })
		var results []*torch.Tensor
		for i := range 8 {
			r := tp.call(batchOf{X: torch.Full(float64(i), 3)})
			require.Equal(t, float64(6*i), r.Item())
			results = append(results, r)
		}
		require.Equal(t, []int{captureWarmup, 1, 8 - captureWarmup}, []int{tp.warmed, tp.recorded, tp.replayed})
		require.Equal(t, 36.0, results[6].Item(), "a result is not written by the next replay")
		require.Zero(t, tp.logs.Len())
	})
}

func TestCaptureFallsBackForOtherBatchesAndSaysSoOnce(t *testing.T) {
	onCPU(t, func(l *Lite) {
		tp := tape(l, func(b batchOf) *torch.Tensor { return b.X.Sum() })
		for range captureWarmup + 1 {
			tp.call(batchOf{X: torch.Ones(3)})
		}
		replayed := tp.replayed
		for range 3 {
			require.Equal(t, 2.0, tp.call(batchOf{X: torch.Ones(2)}).Item())
			require.Equal(t, 3.0, tp.call(batchOf{X: torch.Ones(3), Note: "another"}).Item())
		}
		require.Equal(t, replayed, tp.replayed)
		require.Equal(t, 1, tp.logs.Len())
		require.Contains(t, tp.logs.All()[0].Message, "a tensor is float32[2], not float32[3]")
		tp.call(batchOf{X: torch.Ones(3)})
		require.Equal(t, replayed+1, tp.replayed, "those that fit are replayed on")
	})
}

func TestCaptureThatFailsRunsTheStepAsItIs(t *testing.T) {
	onCPU(t, func(l *Lite) {
		tp := tape(l, func(b batchOf) *torch.Tensor { return b.X.Sum() })
		tp.failing = errors.New("the step waits for the device")
		for range captureWarmup + 4 {
			require.Equal(t, 3.0, tp.call(batchOf{X: torch.Ones(3)}).Item())
		}
		require.Equal(t, []int{1, 0}, []int{tp.recorded, tp.replayed})
		require.Equal(t, 1, tp.logs.Len())
		require.Contains(t, tp.logs.All()[0].Message, "waits for the device")
	})
}

func TestCaptureHeedsTheOptimizers(t *testing.T) {
	onCPU(t, func(l *Lite) {
		net := nn.NewLinear(3, 1)
		build := func(opt optim.Optimizer) *taped {
			require.NoError(t, l.SetupOptimizers(opt))
			return tape(l, func(b batchOf) *torch.Tensor {
				opt.ZeroGrad()
				loss := net.Forward(b.X).Sum()
				l.Backward(loss)
				opt.Step()
				return loss.Detach()
			})
		}
		b := batchOf{X: torch.Ones(1, 3)}
		plain := build(optim.NewAdam(nn.Parameters(net), 0.1))
		for range captureWarmup + 2 {
			plain.call(b)
		}
		require.Zero(t, plain.recorded)
		require.Contains(t, plain.logs.All()[0].Message, "give it Fused")

		sgd := optim.NewSGD(nn.Parameters(net), 0.1)
		changing := build(sgd)
		for i := range captureWarmup + 2*captureMin {
			if i == captureWarmup+captureMin+1 {
				sgd.ParamGroups()[0].LR = 0.01
			}
			changing.call(b)
		}
		require.Equal(t, 2, changing.recorded, "a new rate is recorded anew")
		require.Zero(t, changing.logs.Len())
		sgd.ParamGroups()[0].LR = 0.001
		changing.replays = 1
		changing.call(b)
		require.Contains(t, changing.logs.All()[0].Message, "settings changed after 1 steps")
	})
}

func TestCaptureOnTheCPUIsTheStep(t *testing.T) {
	onCPU(t, func(l *Lite) {
		calls := 0
		step := Capture(l, func(n int) int { calls++; return 2 * n })
		for i := range 5 {
			require.Equal(t, 2*i, step(i))
		}
		require.Equal(t, 5, calls)
	})
}

// A captured training step gives what the step itself gives, overflows of the scaler included.
func TestCaptureTrainsAsTheStepDoes(t *testing.T) {
	if !cuda.IsAvailable() {
		t.Skip("skipped: no CUDA device")
	}
	for _, precision := range []string{"32-true", "16-mixed", "bf16-mixed"} {
		t.Run(precision, func(t *testing.T) {
			train := func(captured bool) (w []float32) {
				require.NoError(t, Run(t.Context(), Config{Accelerator: "cuda", Devices: "1", Precision: precision}, func(_ context.Context, l *Lite) error {
					l.SeedEverything(1)
					net := nn.NewLinear(8, 4)
					opt := optim.NewAdam(nn.Parameters(net), 0.01, optim.AdamOptions{Fused: true})
					model, err := Setup(l, net, net.Forward, opt)
					if err != nil {
						return err
					}
					step := func(b batchOf) *torch.Tensor {
						opt.ZeroGrad()
						loss := F.MSELoss(model.Forward(b.X), b.X.Narrow(1, 0, 4))
						l.Backward(loss)
						l.ClipGradNorm(model, opt, 1)
						opt.Step()
						return loss.Detach()
					}
					if captured {
						step = Capture(l, step)
					}
					for range 20 {
						torch.Scope(func() { step(batchOf{X: torch.Options{Device: l.Device()}.Randn(16, 8)}) })
					}
					w = torch.ToSlice[float32](net.Weight.Detach().CPU())
					return nil
				}))
				return w
			}
			require.InDeltaSlice(t, train(false), train(true), 1e-5)
		})
	}
}
