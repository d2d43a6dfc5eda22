// Command step takes two training steps of an MLP: the smallest program that uses most of golite, for a run under valgrind.
package main

import (
	"fmt"
	"os"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

func main() {
	if err := torch.Try(train); err != nil {
		fmt.Fprintln(os.Stderr, "step:", err)
		os.Exit(1)
	}
}

func train() {
	torch.SetNumThreads(1)
	torch.ManualSeed(1)
	hidden, last := nn.NewLinear(20, 32), nn.NewLinear(32, 5)
	net := nn.NewSequential(hidden, nn.NewReLU(), last)
	opt := optim.NewSGD(nn.Parameters(net), 0.1, optim.SGDOptions{Momentum: 0.9})
	torch.Scope(func() {
		x, target := torch.Randn(8, 20), torch.RandInt(0, 5, 8)
		for step := range 2 {
			opt.ZeroGrad()
			loss := F.CrossEntropy(net.Forward(x), target)
			loss.Backward()
			opt.Step()
			fmt.Printf("step %d: loss %.4f\n", step+1, loss.Item())
		}
	})
}
