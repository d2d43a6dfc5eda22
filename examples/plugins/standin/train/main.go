// Command train fits a line on the stand-in, under any strategy:
//
//	train -accelerator standin -devices 2 -strategy ddp
package main

import (
	"context"
	"errors"
	"flag"
	"io/fs"
	"log"
	"os"

	_ "example.org/standin" // registers the name
	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

func main() {
	path := flag.String("checkpoint", "line.pt", "where to save, and to resume from when it is there")
	cfg := lite.Config{Accelerator: "standin", Devices: "1"}
	cfg.RegisterFlags(flag.CommandLine)
	flag.Parse()
	err := lite.Run(context.Background(), cfg, func(ctx context.Context, l *lite.Lite) error { return train(ctx, l, *path) })
	if err != nil {
		log.Print(err)
		os.Exit(lite.ExitCode(err))
	}
}

// train makes 16 passes over 64 points, and saves.
func train(ctx context.Context, l *lite.Lite, path string) error {
	l.SeedEverything(1)
	net := nn.NewLinear(1, 1)
	opt := optim.NewSGD(nn.Parameters(net), 0.1)
	model, err := lite.Setup(l, net, net.Forward, opt)
	if err != nil {
		return err
	}
	x := torch.Linspace(-1, 1, 64).View(-1, 1)
	points := data.NewTensorDataset(x, x.MulScalar(3).AddScalar(1))
	loader, err := lite.SetupDataLoader(l, data.NewLoader(points, 8, data.Options{Shuffle: true}))
	if err != nil {
		return err
	}
	state := lite.State{"model": model, "opt": opt, "loader": loader}
	if _, err := l.Load(path, state); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for range 16 {
		for b, err := range loader.Batches(ctx) {
			if err != nil {
				return err
			}
			opt.ZeroGrad()
			l.Backward(F.MSELoss(model.Forward(b.Input), b.Target))
			opt.Step()
		}
	}
	l.Printf("ranks: %d, weight %.4f, bias %.4f", l.WorldSize(), net.Weight.Item(), net.Bias.Item())
	return l.Save(path, state)
}
