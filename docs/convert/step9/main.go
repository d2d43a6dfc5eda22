// Step 9: the Trainer has the loop.
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
	"github.com/golite/golite/trainer"
)

// MyModel stands for a model of your own.
type MyModel struct {
	nn.Base
	FC *nn.Linear
}

func NewMyModel() *MyModel { return &MyModel{FC: nn.NewLinear(784, 10)} }

func (m *MyModel) Forward(x *torch.Tensor) *torch.Tensor { return m.FC.Forward(x.View(-1, 784)) }

// TrainingStep returns the loss of a batch.
func (m *MyModel) TrainingStep(t *trainer.Trainer, batch data.Example, batchIdx int) *torch.Tensor {
	return F.CrossEntropy(m.Forward(batch.Input), batch.Target)
}

// ConfigureOptimizers makes the optimizer.
func (m *MyModel) ConfigureOptimizers(t *trainer.Trainer) trainer.Optimization {
	return trainer.Optimization{Optimizer: optim.NewSGD(nn.Parameters(m), 0.1)}
}

// MNIST has the loaders.
type MNIST struct{}

// TrainDataLoader returns the loader of training.
func (MNIST) TrainDataLoader(t *trainer.Trainer) (*data.Loader[data.Example], error) {
	return data.NewLoader(mnist.Train(), 64, data.Options{Shuffle: true}), nil
}

func train(ctx context.Context, l *lite.Lite, epochs int) error {
	t, err := trainer.New(l, trainer.Options{MaxEpochs: epochs})
	if err != nil {
		return err
	}
	return trainer.Fit(ctx, t, NewMyModel(), MNIST{})
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
