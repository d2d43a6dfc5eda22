package lite_test

import (
	"context"
	"testing"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

// The two benchmarks are the same step of the MNIST demo's MLP; their ratio is what lite costs.

func benchmarkStep(b *testing.B, step func(x, y *torch.Tensor)) {
	x, y := torch.Randn(64, 784), torch.Options{DType: torch.Int64}.RandInt(0, 10, 64)
	for b.Loop() {
		torch.Scope(func() { step(x, y) })
	}
}

func BenchmarkStepThroughLite(b *testing.B) {
	err := lite.Run(ctx, lite.Config{}, func(_ context.Context, l *lite.Lite) error {
		net := NewMLP()
		opt := optim.NewSGD(nn.Parameters(net), 0.1, optim.SGDOptions{Momentum: 0.9})
		model, err := lite.Setup(l, net, net.Forward, opt)
		if err != nil {
			return err
		}
		benchmarkStep(b, func(x, y *torch.Tensor) {
			opt.ZeroGrad()
			loss := F.CrossEntropy(model.Forward(x), y)
			l.Backward(loss)
			opt.Step()
		})
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

func BenchmarkStepWithout(b *testing.B) {
	torch.RunRank(func() {
		net := NewMLP()
		opt := optim.NewSGD(nn.Parameters(net), 0.1, optim.SGDOptions{Momentum: 0.9})
		benchmarkStep(b, func(x, y *torch.Tensor) {
			opt.ZeroGrad()
			loss := F.CrossEntropy(net.Forward(x), y)
			loss.Backward()
			opt.Step()
		})
	})
}
