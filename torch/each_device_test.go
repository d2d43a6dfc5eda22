package torch_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/cuda/gputest"
)

// Operations give on each device what they give on the CPU, and stay there; so do their gradients.
func TestOperationsOnEachDevice(t *testing.T) {
	gputest.Exact(t)
	type op func(x, y *torch.Tensor) *torch.Tensor
	for name, f := range map[string]op{
		"add":        func(x, y *torch.Tensor) *torch.Tensor { return x.Add(y) },
		"sub":        func(x, y *torch.Tensor) *torch.Tensor { return x.Sub(y) },
		"mul":        func(x, y *torch.Tensor) *torch.Tensor { return x.Mul(y) },
		"div":        func(x, y *torch.Tensor) *torch.Tensor { return x.Div(y.Abs().AddScalar(1)) },
		"matmul":     func(x, y *torch.Tensor) *torch.Tensor { return x.MatMul(y.Transpose(0, 1)) },
		"exp":        func(x, _ *torch.Tensor) *torch.Tensor { return x.Exp() },
		"log":        func(x, _ *torch.Tensor) *torch.Tensor { return x.Abs().AddScalar(1).Log() },
		"sqrt":       func(x, _ *torch.Tensor) *torch.Tensor { return x.Abs().AddScalar(1).Sqrt() },
		"sin":        func(x, _ *torch.Tensor) *torch.Tensor { return x.Sin() },
		"tanh":       func(x, _ *torch.Tensor) *torch.Tensor { return x.Tanh() },
		"sigmoid":    func(x, _ *torch.Tensor) *torch.Tensor { return x.Sigmoid() },
		"relu":       func(x, _ *torch.Tensor) *torch.Tensor { return x.ReLU() },
		"erf":        func(x, _ *torch.Tensor) *torch.Tensor { return x.Erf() },
		"square":     func(x, _ *torch.Tensor) *torch.Tensor { return x.Square() },
		"sum":        func(x, _ *torch.Tensor) *torch.Tensor { return x.Sum(1) },
		"mean":       func(x, _ *torch.Tensor) *torch.Tensor { return x.Mean(0) },
		"max":        func(x, _ *torch.Tensor) *torch.Tensor { return x.Max() },
		"transpose":  func(x, _ *torch.Tensor) *torch.Tensor { return x.Transpose(0, 1).Contiguous() },
		"slice":      func(x, _ *torch.Tensor) *torch.Tensor { return x.Slice(1, 1, 5) },
		"view":       func(x, _ *torch.Tensor) *torch.Tensor { return x.View(-1) },
		"cumsum":     func(x, _ *torch.Tensor) *torch.Tensor { return x.CumSum(1) },
		"add scalar": func(x, _ *torch.Tensor) *torch.Tensor { return x.AddScalar(2) },
		"mul scalar": func(x, _ *torch.Tensor) *torch.Tensor { return x.MulScalar(-3) },
	} {
		t.Run(name, func(t *testing.T) {
			gputest.EachDevice(t, func(t *testing.T, on torch.Options) {
				torch.ManualSeed(1)
				x, y := torch.Randn(6, 8), torch.Randn(6, 8)
				run := func(d torch.Device) (out, grad *torch.Tensor) {
					in := x.To(d).Detach().RequiresGrad_(true)
					out = f(in, y.To(d))
					require.Equal(t, d, out.Device())
					out.Square().Sum().Backward()
					return out, in.Grad()
				}
				out, grad := run(torch.CPU)
				there, gradThere := run(on.Device)
				gputest.Near(t, out, there, 1e-5, "the result")
				gputest.Near(t, grad, gradThere, 1e-4, "the gradient")
			})
		})
	}
}

// Tensors of each type go to a device and come back the same.
func TestTypesOnEachDevice(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, on torch.Options) {
		for _, d := range []torch.DType{torch.Float32, torch.Float64, torch.Float16, torch.BFloat16, torch.Int8, torch.Int16,
			torch.Int32, torch.Int64, torch.UInt8,
			torch.Bool, torch.Complex64} {
			x := torch.Arange(0, 64, 1).To(d)
			y := x.To(on.Device)
			require.Equal(t, d, y.DType())
			require.Equal(t, x.ToBytes(), y.CPU().ToBytes(), d)
			require.True(t, y.Equal(torch.Options{Device: on.Device}.Arange(0, 64, 1).To(d)))
		}
	})
}
