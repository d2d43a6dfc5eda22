package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// A plain loop without lite, with each optimizer and its kernels: a hundred steps are PyTorch's, bit for bit, and draw the same
// random numbers.
func TestPlainLoopsArePyTorchs(t *testing.T) {
	file := fixture.Open(t, "testdata/train.json.gz")
	for name, build := range map[string]struct {
		model     func() *Classifier
		optimizer func([]nn.Parameter) optim.Optimizer
	}{
		"mlp/sgd": {NewMLP, func(p []nn.Parameter) optim.Optimizer { return optim.NewSGD(p, 0.1, optim.SGDOptions{Momentum: 0.9}) }},
		"mlp/sgd_fused": {NewMLP, func(p []nn.Parameter) optim.Optimizer {
			return optim.NewSGD(p, 0.1, optim.SGDOptions{Momentum: 0.9, Fused: true})
		}},
		"mlp/adam":     {NewMLP, func(p []nn.Parameter) optim.Optimizer { return optim.NewAdam(p, 1e-3) }},
		"cnn/adadelta": {NewCNN, func(p []nn.Parameter) optim.Optimizer { return optim.NewAdadelta(p, 1) }},
		"cnn/adam":     {NewCNN, func(p []nn.Parameter) optim.Optimizer { return optim.NewAdam(p, 1e-3) }},
		"cnn/adam_fused": {NewCNN, func(p []nn.Parameter) optim.Optimizer {
			return optim.NewAdam(p, 1e-3, optim.AdamOptions{Fused: true})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c := file.Case(t, name)
			var want struct{ Losses fixture.Floats }
			c.Decode(t, &want)
			torch.RunRank(func() {
				torch.WithNumThreads(1, func() {
					torch.ManualSeed(c.Seed)
					net := build.model()
					opt := build.optimizer(nn.Parameters(net))
					var losses []float64
					for batch, err := range data.NewLoader(all.train(), 64, data.Options{Shuffle: true}).Batches(t.Context()) {
						require.NoError(t, err)
						if len(losses) == 100 {
							break
						}
						opt.ZeroGrad()
						loss := net.Loss(net.Forward(batch.Input), batch.Target)
						loss.Backward()
						opt.Step()
						losses = append(losses, loss.Item())
					}
					c.EqualFloats(t, "losses", want.Losses, losses)
					for i, key := range c.Names("param.") { // the recorded model has other names for the same layers
						p := nn.Parameters(net)[i]
						c.Equal(t, "param."+key, fixture.Tensor{DType: p.DType().String(), Shape: p.Shape(), Data: p.ToBytes()})
					}
					next := torch.Rand(4)
					c.Equal(t, "next", fixture.Tensor{DType: next.DType().String(), Shape: next.Shape(), Data: next.ToBytes()})
				})
			})
		})
	}
}

// The demo as `make demo` runs it: 97 % of the test images or more.
func TestDemoLearns(t *testing.T) {
	out := trained(t, all)
	_, said, found := strings.Cut(out, "test accuracy ")
	require.True(t, found, out)
	var accuracy float64
	_, err := fmt.Sscanf(said, "%f", &accuracy)
	require.NoError(t, err, out)
	require.GreaterOrEqual(t, accuracy, 97.0)
}
