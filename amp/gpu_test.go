package amp_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/amp"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/cuda/gputest"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// A scaler divides gradients, leaves overflows out and changes its scale on each device alike, by steps that wait for the device and by those that don't.
func TestGradScalerOnEachDevice(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, on torch.Options) {
		for _, waits := range []bool{true, false} {
			p := nn.NewParameter(torch.From([]float32{1, 2, 3}).To(on.Device))
			opt := optim.NewSGD([]nn.Parameter{p}, 0.5, optim.SGDOptions{Fused: true})
			s := amp.NewGradScaler(amp.ScalerOptions{Device: on.Device, InitScale: 1024, GrowthInterval: 2})
			var scales []float64
			for _, factor := range []float64{1, math.Inf(1), 1, 1} {
				opt.ZeroGrad()
				s.Scale(p.Sum().MulScalar(factor)).Backward()
				if waits {
					require.Equal(t, !math.IsInf(factor, 1), s.Step(opt, opt.Step))
				} else {
					s.StepOnDevice(opt, func(found *torch.Tensor) { optim.StepUnless(opt, found, opt.Step) })
				}
				scales = append(scales, s.CurrentScale())
			}
			require.Equal(t, []float64{1024, 512, 512, 1024}, scales)
			require.Equal(t, []float32{-0.5, 0.5, 1.5}, torch.ToSlice[float32](p.Detach().CPU()), "three steps of 0.5")
		}
	})
}

// Autocast computes in 16 bits on each device, and keeps what needs 32.
func TestAutocastOnEachDevice(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, on torch.Options) {
		x := on.Ones(4, 4)
		for _, d := range []torch.DType{torch.BFloat16, torch.Float16} {
			amp.Autocast(on.Device.Type, d, func() {
				require.Equal(t, d, x.MatMul(x).DType())
				require.Equal(t, torch.Float32, x.Add(x).DType())
			})
		}
	})
}
