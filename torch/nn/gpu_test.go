package nn_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/cuda"
	"github.com/golite/golite/torch/cuda/gputest"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
)

// onOne is a module of one input, and that input's shape.
type onOne struct {
	build func() nn.Layer
	shape []int
}

var layers = map[string]onOne{
	"Linear":          {func() nn.Layer { return nn.NewLinear(8, 5) }, []int{4, 8}},
	"Conv1d":          {func() nn.Layer { return nn.NewConv1d(3, 6, 3) }, []int{2, 3, 12}},
	"Conv2d":          {func() nn.Layer { return nn.NewConv2d(3, 6, 3) }, []int{2, 3, 12, 12}},
	"Conv3d":          {func() nn.Layer { return nn.NewConv3d(2, 4, 3) }, []int{2, 2, 6, 6, 6}},
	"ConvTranspose2d": {func() nn.Layer { return nn.NewConvTranspose2d(3, 4, 3) }, []int{2, 3, 8, 8}},
	"BatchNorm1d":     {func() nn.Layer { return nn.NewBatchNorm1d(6) }, []int{8, 6}},
	"BatchNorm2d":     {func() nn.Layer { return nn.NewBatchNorm2d(3) }, []int{4, 3, 6, 6}},
	"LayerNorm":       {func() nn.Layer { return nn.NewLayerNorm(6) }, []int{4, 6}},
	"GroupNorm":       {func() nn.Layer { return nn.NewGroupNorm(2, 4) }, []int{2, 4, 6, 6}},
	"MaxPool2d":       {func() nn.Layer { return nn.NewMaxPool2d(2) }, []int{2, 3, 8, 8}},
	"AvgPool2d":       {func() nn.Layer { return nn.NewAvgPool2d(2) }, []int{2, 3, 8, 8}},
	"ReLU":            {func() nn.Layer { return nn.NewReLU() }, []int{4, 8}},
	"GELU":            {func() nn.Layer { return nn.NewGELU() }, []int{4, 8}},
	"SiLU":            {func() nn.Layer { return nn.NewSiLU() }, []int{4, 8}},
	"Sigmoid":         {func() nn.Layer { return nn.NewSigmoid() }, []int{4, 8}},
	"Tanh":            {func() nn.Layer { return nn.NewTanh() }, []int{4, 8}},
	"Softmax":         {func() nn.Layer { return nn.NewSoftmax(1) }, []int{4, 8}},
	"LogSoftmax":      {func() nn.Layer { return nn.NewLogSoftmax(1) }, []int{4, 8}},
	"Flatten":         {func() nn.Layer { return nn.NewFlatten() }, []int{2, 3, 4}},
	"Upsample": {func() nn.Layer { return nn.NewUpsample(nn.UpsampleOptions{Scale: []float64{2}}) },
		[]int{1, 2, 4, 4}},
	"AdaptiveAvgPool2d": {func() nn.Layer { return nn.NewAdaptiveAvgPool2d(2) }, []int{2, 3, 8, 8}},
}

// A layer computes on each device what it computes on the CPU, forward and backward, with the same weights.
func TestLayersOnEachDevice(t *testing.T) {
	gputest.Exact(t)
	for name, l := range layers {
		t.Run(name, func(t *testing.T) {
			gputest.EachDevice(t, func(t *testing.T, on torch.Options) {
				torch.ManualSeed(1)
				m, x := l.build(), torch.Randn(l.shape...)
				run := func(d torch.Device) (out, dx *torch.Tensor, grads []*torch.Tensor) {
					nn.To(m, d)
					nn.ZeroGrad(m)
					in := x.To(d).Detach().RequiresGrad_(true)
					out = m.Forward(in)
					require.Equal(t, d, out.Device())
					out.Mul(out).Sum().Backward()
					for _, p := range nn.Parameters(m) {
						grads = append(grads, p.Grad().CPU())
					}
					return out, in.Grad(), grads
				}
				out, dx, grads := run(torch.CPU)
				there, dxThere, gradsThere := run(on.Device)
				gputest.Near(t, out, there, 1e-4, "the output")
				gputest.Near(t, dx, dxThere, 1e-3, "the input's gradient")
				for i := range grads {
					gputest.Near(t, grads[i], gradsThere[i], 2e-3, "a parameter's gradient")
				}
			})
		})
	}
}

// Attention reaches flash kernels: with the others off it runs in 16 bits, and in float32, which they don't know, it is
// refused.
func TestFlashAttention(t *testing.T) {
	on := gputest.Need(t)
	if !cuda.IsBF16Supported(0) {
		t.Skip("skipped: the device has no bfloat16")
	}
	q := torch.Randn(2, 4, 64, 32)
	attend := func(d torch.DType) (y *torch.Tensor, err error) {
		x := q.To(d, on.Device)
		err = torch.Try(func() { y = F.ScaledDotProductAttention(x, x, x, F.SDPAOptions{Causal: true}) })
		return y, err
	}
	want := F.ScaledDotProductAttention(q, q, q, F.SDPAOptions{Causal: true})
	for _, s := range []cuda.Switch{cuda.MemoryEfficientAttention, cuda.MathAttention, cuda.CuDNNAttention} {
		before := s.Set(false)
		t.Cleanup(func() { s.Set(before) })
	}
	for _, d := range []torch.DType{torch.BFloat16, torch.Float16} {
		got, err := attend(d)
		require.NoError(t, err)
		gputest.Near(t, want, got, 3e-2, d.String())
	}
	_, err := attend(torch.Float32)
	require.ErrorContains(t, err, "backend", "no kernel is left")
}
