// A plain loop, before its conversion.
package main

import (
	"context"
	"flag"
	"log"

	"github.com/golite/golite/datasets/mnist"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

// MyModel stands for a model of your own.
type MyModel struct {
	nn.Base
	FC *nn.Linear
}

func NewMyModel() *MyModel { return &MyModel{FC: nn.NewLinear(784, 10)} }

func (m *MyModel) Forward(x *torch.Tensor) *torch.Tensor { return m.FC.Forward(x.View(-1, 784)) }

func main() {
	epochs := flag.Int("epochs", 1, "passes over the training set")
	flag.Parse()
	torch.RunRank(func() {
		if err := train(context.Background(), *epochs); err != nil {
			log.Fatal(err)
		}
	})
}

func train(ctx context.Context, epochs int) error {
	device := torch.CUDA(0)
	net := NewMyModel()
	nn.To(net, device)
	opt := optim.NewSGD(nn.Parameters(net), 0.1)
	loader := data.NewLoader(mnist.Train(), 64, data.Options{Shuffle: true})

	nn.Train(net)
	for range epochs {
		for batch, err := range loader.Batches(ctx) {
			if err != nil {
				return err
			}
			input, target := batch.Input.To(device), batch.Target.To(device)
			opt.ZeroGrad()
			loss := F.CrossEntropy(net.Forward(input), target)
			loss.Backward()
			opt.Step()
		}
	}
	return nil
}
