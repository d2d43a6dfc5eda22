package main

import (
	"context"
	"errors"
	"flag"
	"io/fs"
	"log"
	"os"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

func main() {
	steps := flag.Int("steps", 200, "steps to train for, those of the checkpoint included")
	path := flag.String("checkpoint", "run/last.pt", "where to save, and to resume from when it is there")
	var cfg lite.Config
	cfg.RegisterFlags(flag.CommandLine)
	flag.Parse()
	err := lite.Run(context.Background(), cfg, func(_ context.Context, l *lite.Lite) error {
		_, err := train(l, *path, *steps)
		return err
	})
	if err != nil {
		log.Print(err)
		os.Exit(lite.ExitCode(err))
	}
}

// train fits a network to a curve, goes on where a checkpoint is, saves one, and returns the last loss.
func train(l *lite.Lite, path string, steps int) (float64, error) {
	l.SeedEverything(1)
	first, hidden, last := nn.NewLinear(1, 32), nn.NewLinear(32, 32), nn.NewLinear(32, 1)
	net := nn.NewSequential(first, nn.NewTanh(), hidden, nn.NewTanh(), last)

	// Muon takes the hidden matrix, Lion the rest: the biases without decay.
	matrices := NewMuon([]nn.Parameter{hidden.Weight}, 0.02, MuonOptions{WeightDecay: new(0.01)})
	others := NewLionGroups([]optim.Group{
		{Params: []nn.Parameter{first.Weight, last.Weight}},
		{Params: []nn.Parameter{first.Bias, hidden.Bias, last.Bias}, WeightDecay: new(0.0)},
	}, 3e-3, LionOptions{WeightDecay: 0.01})
	model, err := lite.Setup(l, net, net.Forward, matrices, others)
	if err != nil {
		return 0, err
	}
	l.Print(matrices)
	l.Print(others)

	half := optim.StepLROptions{Gamma: new(0.5)} // a rate that changes seldom: a recorded step has it as a constant
	muonRate, lionRate := optim.NewStepLR(matrices, 50, half), optim.NewStepLR(others, 50, half)
	done := 0
	state := lite.State{"model": model, "muon": matrices, "lion": others, "muon_rate": muonRate, "lion_rate": lionRate, "done": &done}
	if _, err := l.Load(path, state); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}

	x := lite.ToDevice(l, torch.Linspace(-3, 3, 64).View(-1, 1))
	y := x.Sin()
	step := lite.Capture(l, func(x *torch.Tensor) *torch.Tensor { // on a GPU: recorded once, and replayed
		matrices.ZeroGrad()
		others.ZeroGrad()
		loss := F.MSELoss(model.Forward(x), y)
		l.Backward(loss)
		matrices.Step()
		others.Step()
		return loss
	})
	loss := 0.0
	for ; done < steps; done++ {
		loss = step(x).Item()
		muonRate.Step()
		lionRate.Step()
	}
	l.Printf("step %d: loss %.3g", done, loss)
	return loss, l.Save(path, state)
}
