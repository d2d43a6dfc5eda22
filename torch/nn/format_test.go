package nn_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/cuda/gputest"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// A model whose channels lie last computes what it computed before, passes the format on, and its optimizer goes on
// training it.
func TestToMemoryFormat(t *testing.T) {
	gputest.Exact(t)
	gputest.EachDevice(t, func(t *testing.T, on torch.Options) {
		torch.ManualSeed(1)
		net := nn.NewSequential(nn.NewConv2d(3, 8, 3), nn.NewBatchNorm2d(8), nn.NewReLU(), nn.NewConv2d(8, 4, 3))
		nn.To(net, on.Device)
		opt := optim.NewSGD(nn.Parameters(net), 0.1, optim.SGDOptions{Momentum: 0.9})
		x := torch.Randn(2, 3, 9, 9).To(on.Device)
		train := func(x *torch.Tensor) *torch.Tensor {
			opt.ZeroGrad()
			y := net.Forward(x)
			y.Square().Sum().Backward()
			return y
		}
		want := train(x)
		wantGrad := nn.Parameters(net)[0].Grad().Clone()

		nn.ToMemoryFormat(net, torch.ChannelsLast)
		weight := nn.Parameters(net)[0]
		require.Equal(t, []int{27, 1, 9, 3}, weight.Strides())
		require.Equal(t, []int{27, 1, 9, 3}, weight.Grad().Strides(), "the gradient goes along")
		require.Equal(t, []int{8}, nn.Parameters(net)[1].Shape(), "what has no channels stays")
		got := train(x.ToMemoryFormat(torch.ChannelsLast))
		require.Equal(t, []int{100, 1, 20, 4}, got.Strides(), "the output has the format")
		gputest.Near(t, want, got, 1e-4, "the output")
		gputest.Near(t, wantGrad, weight.Grad(), 1e-3, "the gradient")
		before := weight.Detach().Clone()
		opt.Step()
		require.False(t, before.Equal(weight.Detach()), "the optimizer trains the same parameters")

		nn.ToMemoryFormat(net, torch.ContiguousFormat)
		require.True(t, weight.IsContiguous())
		require.ErrorContains(t, torch.Try(func() { nn.ToMemoryFormat(net, torch.PreserveFormat) }),
			"want torch.ChannelsLast")
	})
}
