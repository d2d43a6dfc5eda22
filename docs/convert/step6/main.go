// Step 6: a batch's loss is a method of the model.
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

// MyModel stands for a model of your own.
type MyModel struct {
	nn.Base
	FC *nn.Linear
}

func NewMyModel() *MyModel { return &MyModel{FC: nn.NewLinear(784, 10)} }

func (m *MyModel) Forward(x *torch.Tensor) *torch.Tensor { return m.FC.Forward(x.View(-1, 784)) }

// TrainingStep returns the loss of a batch.
func (m *MyModel) TrainingStep(batch data.Example) *torch.Tensor {
	return F.CrossEntropy(m.Forward(batch.Input), batch.Target)
}

func main() {
	cfg := lite.Config{Accelerator: "auto", Devices: "auto"}
	cfg.RegisterFlags(flag.CommandLine)
	epochs := flag.Int("epochs", 1, "passes over the training set")
	flag.Parse()
	err := lite.Run(context.Background(), cfg, func(ctx context.Context, l *lite.Lite) error {
		return train(ctx, l, *epochs)
	})
	if err != nil {
		log.Print(err)
		os.Exit(lite.ExitCode(err))
	}
}

func train(ctx context.Context, l *lite.Lite, epochs int) error {
	net := NewMyModel()
	opt := optim.NewSGD(nn.Parameters(net), 0.1)
	model, err := lite.Setup(l, net, net.TrainingStep, opt)
	if err != nil {
		return err
	}
	loader, err := lite.SetupDataLoader(l, data.NewLoader(mnist.Train(), 64, data.Options{Shuffle: true}))
	if err != nil {
		return err
	}

	model.Train()
	for range epochs {
		for batch, err := range loader.Batches(ctx) {
			if err != nil {
				return err
			}
			opt.ZeroGrad()
			loss := model.Forward(batch)
			l.Backward(loss)
			opt.Step()
		}
	}
	return nil
}
