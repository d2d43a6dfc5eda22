// Command train fits a small network to a curve under strategy local_sgd, saves it, and goes on where a checkpoint is.
//
//	go run ./train -devices 2 -strategy local_sgd -steps 40
package main

import (
	"context"
	"errors"
	"flag"
	"io/fs"
	"log"
	"os"

	_ "example.org/localsgd" // has the name local_sgd
	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

func main() {
	steps := flag.Int("steps", 40, "steps to train for, those of the checkpoint included")
	path := flag.String("checkpoint", "last.pt", "where to save, and to resume from when it is there")
	cfg := lite.Config{Devices: "2", Strategy: "local_sgd"}
	cfg.RegisterFlags(flag.CommandLine)
	flag.Parse()
	err := lite.Run(context.Background(), cfg, func(_ context.Context, l *lite.Lite) error { return train(l, *path, *steps) })
	if err != nil {
		log.Print(err)
		os.Exit(lite.ExitCode(err))
	}
}

func train(l *lite.Lite, path string, steps int) error {
	l.SeedEverything(1)
	net := nn.NewSequential(nn.NewLinear(1, 32), nn.NewTanh(), nn.NewLinear(32, 1))
	opt := optim.NewSGD(nn.Parameters(net), 0.1) // without momentum, of which each rank has its own and a checkpoint rank 0's
	model, err := lite.Setup(l, net, net.Forward, opt)
	if err != nil {
		return err
	}
	done := 0
	state := lite.State{"model": model, "opt": opt, "done": &done}
	if _, err := l.Load(path, state); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	all := torch.Linspace(-3, 3, 64).View(-1, 1)
	x := all.Narrow(0, l.GlobalRank()*64/l.WorldSize(), 64/l.WorldSize()) // each rank has a part of the curve
	y := x.Sin()
	for ; done < steps; done++ {
		opt.ZeroGrad()
		l.Backward(F.MSELoss(model.Forward(x), y))
		opt.Step()
	}
	var loss float64
	torch.NoGrad(func() { loss = F.MSELoss(model.Forward(all), all.Sin()).Item() })
	l.Printf("%d ranks, step %d: loss of the whole curve %.6f, on all ranks alike: %v", l.WorldSize(), done, loss, alike(l, loss))
	return l.Save(path, state)
}

// alike reports whether a number is the same on all ranks.
func alike(l *lite.Lite, v float64) bool {
	for _, other := range lite.AllGather(l, v) {
		if other != v {
			return false
		}
	}
	return true
}
