package trainer_test

import (
	"context"
	"io"
	"syscall"
	"testing"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
	"github.com/golite/golite/trainer"
)

// benchModel is an MLP whose step takes about half a millisecond.
type benchModel struct {
	nn.Base
	Body *nn.Sequential
	log  bool
}

func newBenchModel(log bool) *benchModel {
	return &benchModel{Body: nn.NewSequential(nn.NewLinear(128, 256), nn.NewReLU(), nn.NewLinear(256, 10)), log: log}
}

func (m *benchModel) Forward(x *torch.Tensor) *torch.Tensor { return m.Body.Forward(x).Pow(2).Mean() }

func (m *benchModel) TrainingStep(t *trainer.Trainer, x *torch.Tensor, _ int) *torch.Tensor {
	loss := m.Forward(x)
	if m.log {
		t.Log("train_loss", loss, trainer.LogOptions{ProgBar: true})
	}
	return loss
}

func (m *benchModel) ConfigureOptimizers(*trainer.Trainer) trainer.Optimization {
	return trainer.Optimization{Optimizer: optim.NewSGD(nn.Parameters(m), 0.01)}
}

func benchLoader(n int) *data.Loader[*torch.Tensor] {
	return data.NewLoader(data.NewTensorDatasetOf(torch.Randn(n*32, 128)), 32)
}

// cpu is the processor time of the process in nanoseconds: the machine may have other work.
func cpu(b *testing.B) int64 {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return r.Utime.Nano() + r.Stime.Nano()
}

// BenchmarkStep is a training step in a loop of lite's, and by the Trainer.
func BenchmarkStep(b *testing.B) {
	run := func(b *testing.B, f func(ctx context.Context, l *lite.Lite) error) {
		b.ReportAllocs()
		before := cpu(b)
		defer func() { b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op") }()
		err := lite.Run(b.Context(), lite.Config{}, func(ctx context.Context, l *lite.Lite) (err error) {
			l.SeedEverything(1)
			torch.WithNumThreads(1, func() { err = f(ctx, l) })
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.Run("lite", func(b *testing.B) {
		run(b, func(ctx context.Context, l *lite.Lite) error {
			m := newBenchModel(false)
			opt := optim.NewSGD(nn.Parameters(m), 0.01)
			model, err := lite.Setup(l, m, m.Forward, opt)
			if err != nil {
				return err
			}
			loader, err := lite.SetupDataLoader(l, benchLoader(b.N))
			if err != nil {
				return err
			}
			b.ResetTimer()
			for x, err := range loader.Batches(ctx) {
				if err != nil {
					return err
				}
				opt.ZeroGrad()
				l.Backward(model.Forward(x))
				opt.Step()
			}
			return nil
		})
	})
	fit := func(o trainer.Options, log bool) func(b *testing.B) {
		return func(b *testing.B) {
			run(b, func(ctx context.Context, l *lite.Lite) error {
				o.MaxEpochs, o.RootDir = 1, b.TempDir()
				t, err := trainer.New(l, o)
				if err != nil {
					return err
				}
				loader := benchLoader(b.N)
				b.ResetTimer()
				return trainer.Fit(ctx, t, newBenchModel(log), trainer.Data[*torch.Tensor]{Train: loader})
			})
		}
	}
	b.Run("barebones", fit(trainer.Options{Barebones: true}, false))
	b.Run("defaults", fit(trainer.Options{NoModelSummary: true, Callbacks: []trainer.Callback{&trainer.ProgressBar{Writer: io.Discard}}}, true))
}
