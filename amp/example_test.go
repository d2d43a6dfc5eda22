package amp_test

import (
	"fmt"
	"math"

	"github.com/golite/golite/amp"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

// A loop in float16: the second loss overflows, so its step is left out and the scale halves.
func Example() {
	torch.Scope(func() {
		torch.ManualSeed(1)
		net := nn.NewLinear(3, 1)
		opt := optim.NewSGD(nn.Parameters(net), 0.1)
		scaler := amp.NewGradScaler(amp.ScalerOptions{InitScale: 1024})
		x, y := torch.Randn(8, 3), torch.Randn(8, 1)
		for _, factor := range []float64{1, math.Inf(1), 1} {
			opt.ZeroGrad()
			out := amp.AutocastOf(torch.CPUType, torch.Float16, func() *torch.Tensor { return net.Forward(x) })
			loss := F.MSELoss(out.Float(), y).MulScalar(factor)
			scaler.Scale(loss).Backward()
			scaler.Unscale(opt)
			nn.ClipGradNorm_(nn.Parameters(net), 1)
			ran := scaler.Step(opt, opt.Step)
			fmt.Println(out.DType(), net.Weight.Grad().DType(), ran, scaler.CurrentScale())
		}
	})
	// Output:
	// float16 float32 true 1024
	// float16 float32 false 512
	// float16 float32 true 512
}

// What needs the range of 32 bits runs in them under Autocast too.
func ExampleAutocast() {
	torch.Scope(func() {
		a := torch.Ones(2, 2)
		amp.Autocast(torch.CPUType, torch.BFloat16, func() {
			product := a.MatMul(a)
			fmt.Println(product.DType(), F.MSELoss(product, a).DType())
			amp.NoAutocast(torch.CPUType, func() { fmt.Println(a.MatMul(a).DType()) })
		})
	})
	// Output:
	// bfloat16 float32
	// float32
}
