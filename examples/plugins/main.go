package main

import (
	"context"
	"flag"
	"log"
	"os"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

func main() {
	dir := flag.String("dir", "versions", "where checkpoints are kept")
	flag.Parse()
	cfg := lite.Config{Plugins: []any{Desk{}, &Wide{}, &Versions{Dir: *dir}}}
	if err := lite.Run(context.Background(), cfg, train); err != nil {
		log.Print(err)
		os.Exit(lite.ExitCode(err))
	}
}

// train fits a line to each rank's share of four points, and saves it after every tenth step.
func train(_ context.Context, l *lite.Lite) error {
	l.SeedEverything(1)
	net := nn.NewLinear(1, 1)
	opt := optim.NewSGD(nn.Parameters(net), 0.1)
	model, err := lite.Setup(l, net, net.Forward, opt)
	if err != nil {
		return err
	}
	var mine []float32
	for i, v := range []float32{-1, 0, 1, 2} {
		if i%l.WorldSize() == l.GlobalRank() {
			mine = append(mine, v)
		}
	}
	x := torch.From(mine, len(mine), 1)
	y := x.MulScalar(3).AddScalar(1)
	var loss *torch.Tensor
	for step := range 100 {
		opt.ZeroGrad()
		loss = model.Forward(x).Sub(y).Pow(2).Mean()
		l.Backward(loss)
		opt.Step()
		if step%10 == 9 {
			if err := l.Save("line.pt", lite.State{"model": model, "step": step + 1}); err != nil {
				return err
			}
		}
	}
	points := lite.Sum(l, len(mine))
	l.AllReduce(loss)
	l.Printf("%d ranks, %d points, loss %.3g, weight %.4f, bias %.4f", l.WorldSize(), points, loss.Item(), net.Weight.Item(), net.Bias.Item())
	return nil
}
