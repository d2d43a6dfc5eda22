package main

import (
	"context"
	"errors"
	"flag"
	"io/fs"
	"log"
	"os"

	"github.com/golite/golite/datasets/mnist"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

var (
	path  = flag.String("checkpoint", "run/last.pt", "where to save, and to resume from when it is there")
	every = flag.Int("every", 100, "steps between two saves")
)

func main() {
	var cfg lite.Config
	cfg.RegisterFlags(flag.CommandLine)
	flag.Parse()
	err := lite.Run(context.Background(), cfg, func(ctx context.Context, l *lite.Lite) error {
		return train(ctx, l, mnist.Train(), nil)
	})
	if err != nil {
		log.Print(err)
		os.Exit(lite.ExitCode(err)) // 75 where the run was stopped by a signal: start it again
	}
}

// train trains for three epochs; each step's loss goes to seen, where there is one.
func train(ctx context.Context, l *lite.Lite, digits data.Dataset[data.Example], seen func(step int, loss float64) error) error {
	l.SeedEverything(1)

	net := nn.NewSequential(nn.NewLinear(784, 128), nn.NewReLU(), nn.NewDropout(0.2), nn.NewLinear(128, 10))
	opt := optim.NewAdam(nn.Parameters(net), 1e-3)
	model, err := lite.Setup(l, net, net.Forward, opt)
	if err != nil {
		return err
	}
	loader, err := lite.SetupDataLoader(l, data.NewLoader(digits, 64, data.Options{Shuffle: true, Workers: 2}))
	if err != nil {
		return err
	}

	epoch, step := 0, 0
	state := lite.State{ // one description, for saving and for loading: pointers are read and written
		"model": model, "optimizer": opt, "loader": loader, "epoch": &epoch, "step": &step,
	}
	switch _, err := l.Load(*path, state); {
	case errors.Is(err, fs.ErrNotExist):
		l.Print("starting anew")
	case err != nil:
		return err
	default:
		l.Printf("resuming at epoch %d, step %d", epoch, step)
	}

	model.Train()
	for epoch < 3 {
		for batch, err := range loader.Batches(ctx) { // after a resume: the rest of the epoch
			if err != nil {
				return err
			}
			opt.ZeroGrad()
			loss := F.CrossEntropy(model.Forward(batch.Input.View(-1, 784)), batch.Target)
			l.Backward(loss)
			opt.Step()
			step++
			if seen != nil {
				if err := seen(step, loss.Item()); err != nil {
					return err
				}
			}

			stopping := l.Stopping() // SIGTERM or Ctrl-C: true at the same step on every rank
			if stopping || step%*every == 0 {
				if err := l.Save(*path, state); err != nil {
					return err
				}
			}
			if stopping {
				return lite.ErrStopped
			}
		}
		epoch++ // before the save: the pass has ended, and what resumes from here begins the next
		if err := l.Save(*path, state); err != nil {
			return err
		}
	}
	return nil
}
