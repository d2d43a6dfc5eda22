package main

import (
	"context"
	"flag"
	"log"
	"os"

	"github.com/golite/golite/datasets/mnist"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

type MLP struct {
	nn.Base
	FC1, FC2 *nn.Linear // state-dict keys fc1.weight, fc1.bias, fc2.weight, fc2.bias
}

func NewMLP() *MLP {
	return &MLP{FC1: nn.NewLinear(784, 128), FC2: nn.NewLinear(128, 10)}
}

func (n *MLP) Forward(x *torch.Tensor) *torch.Tensor {
	x = F.ReLU(n.FC1.Forward(x.View(-1, 784)))
	return n.FC2.Forward(x)
}

func main() {
	var cfg lite.Config
	cfg.RegisterFlags(flag.CommandLine)
	epochs := flag.Int("epochs", 3, "passes over the training set")
	batchSize := flag.Int("batch-size", 64, "samples a batch, on each rank")
	lr := flag.Float64("lr", 0.1, "learning rate")
	flag.Parse()

	err := lite.Run(context.Background(), cfg, func(ctx context.Context, l *lite.Lite) error {
		return train(ctx, l, *epochs, *batchSize, *lr)
	})
	if err != nil {
		log.Print(err)
		os.Exit(lite.ExitCode(err)) // 75 where the run was stopped by a signal
	}
}

func train(ctx context.Context, l *lite.Lite, epochs, batchSize int, lr float64) error {
	l.SeedEverything(1)

	net := NewMLP()
	opt := optim.NewSGD(nn.Parameters(net), lr, optim.SGDOptions{Momentum: 0.9})
	model, err := lite.Setup(l, net, net.Forward, opt)
	if err != nil {
		return err
	}
	loader, err := lite.SetupDataLoader(l, data.NewLoader(mnist.Train(), batchSize, data.Options{Shuffle: true}))
	if err != nil {
		return err
	}

	model.Train()
	running := torch.Options{Device: l.Device()}.Zeros()
	for epoch := range epochs {
		for batch, err := range loader.Batches(ctx) {
			if err != nil {
				return err
			}
			opt.ZeroGrad()
			loss := F.CrossEntropy(model.Forward(batch.Input), batch.Target)
			l.Backward(loss)
			opt.Step()
			running.Lerp_(loss.Detach(), 0.1) // in place: nothing to keep, nothing to wait for
		}
		l.Printf("%d/%d | train loss %.4f", epoch+1, epochs, running.Item())
	}
	return l.Save("mnist.pt", model.StateDict())
}
