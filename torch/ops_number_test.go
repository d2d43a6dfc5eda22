package torch_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
)

// Arithmetic with a number goes another way where no graph is recorded: the bits are the same.
func TestNumbersGiveTheSameBitsWithAndWithoutAGraph(t *testing.T) {
	for name, f := range map[string]func(x *torch.Tensor, v float64) *torch.Tensor{
		"add": (*torch.Tensor).AddScalar, "sub": (*torch.Tensor).SubScalar, "mul": (*torch.Tensor).MulScalar,
		"div": (*torch.Tensor).DivScalar,
	} {
		t.Run(name, func(t *testing.T) {
			torch.Scope(func() {
				for _, shape := range [][]int{{1}, {7}, {3, 5, 11}, {0, 2}} {
					x := torch.Randn(shape...)
					graph := x.Clone().RequiresGrad_(true)
					for _, v := range []float64{0, math.Copysign(0, -1), 0.1307, 0.3081, -3, 255, 1e-40, 1e30, 1e300, math.Inf(-1),
						math.NaN(), 16777217} {
						require.Equal(t, bits(f(graph, v).Detach()), bits(f(x, v)), "%v with %v", shape, v)
						require.Equal(t, torch.Float32, f(x, v).DType())
					}
				}
				require.Equal(t, torch.Float32, f(torch.Arange(3).To(torch.Int32), 2.5).DType())
				require.Equal(t, torch.Float64, f(torch.Ones(2).To(torch.Float64), 2.5).DType())
			})
		})
	}
}

func bits(t *torch.Tensor) []uint32 {
	var all []uint32
	for _, f := range torch.ToSlice[float32](t) {
		all = append(all, math.Float32bits(f))
	}
	return all
}
