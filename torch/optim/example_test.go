package optim_test

import (
	"fmt"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// A step moves the parameters against their gradients.
func ExampleNewSGD() {
	w := nn.NewParameter(torch.From([]float32{1, -2}))
	opt := optim.NewSGD([]nn.Parameter{w}, 0.1, optim.SGDOptions{Momentum: 0.9})
	for range 3 {
		opt.ZeroGrad()
		loss := w.Mul(w.Tensor).Sum()
		loss.Backward()
		opt.Step()
		fmt.Printf("%.3f\n", loss.Item())
	}
	// Output:
	// 5.000
	// 3.200
	// 1.058
}

// Groups have settings of their own: here, biases don't decay.
func ExampleNewAdamWGroups() {
	weight, bias := nn.NewParameter(torch.Ones(2, 2)), nn.NewParameter(torch.Ones(2))
	opt := optim.NewAdamWGroups([]optim.Group{
		{Params: []nn.Parameter{weight}},
		{Params: []nn.Parameter{bias}, WeightDecay: new(0.0)},
	}, 1e-3, optim.AdamWOptions{Betas: &[2]float64{0.9, 0.95}})
	for _, g := range opt.ParamGroups() {
		fmt.Println(g.LR, g.WeightDecay, g.Betas)
	}
	// Output:
	// 0.001 0.01 [0.9 0.95]
	// 0.001 0 [0.9 0.95]
}

// A schedule is stepped after the optimizer.
func ExampleNewLambdaLR() {
	opt := optim.NewSGD([]nn.Parameter{nn.NewParameter(torch.Ones(1))}, 0.4)
	sched := optim.NewLambdaLR(opt, func(step int) float64 { return min(1, float64(step+1)/4) })
	for range 4 {
		fmt.Printf("%.1f\n", sched.LastLR()[0])
		opt.Step()
		sched.Step()
	}
	// Output:
	// 0.1
	// 0.2
	// 0.3
	// 0.4
}

// LBFGS calls the closure as often as it needs to.
func ExampleLBFGS() {
	w := nn.NewParameter(torch.From([]float32{3}))
	opt := optim.NewLBFGS([]nn.Parameter{w}, 1, optim.LBFGSOptions{StrongWolfe: true})
	loss := opt.StepFunc(func() *torch.Tensor {
		opt.ZeroGrad()
		miss := w.SubScalar(1)
		loss := miss.Mul(miss).Sum()
		loss.Backward()
		return loss
	})
	fmt.Printf("%.0f %.3f\n", loss.Item(), w.Item())
	// Output: 4 1.000
}
