package lite_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// TestLBFGSOnSeveralRanks: ranks whose losses differ evaluate the closure equally often and stay equal, and two of them
// are as one rank with the whole batch.
func TestLBFGSOnSeveralRanks(t *testing.T) {
	for name, o := range map[string]optim.LBFGSOptions{
		"steps of a fixed length": {},
		"strong Wolfe":            {StrongWolfe: true},
		"a coarse tolerance":      {ToleranceChange: new(1e-2)},
		"strong Wolfe, few calls": {StrongWolfe: true, MaxEval: new(4)},
		"both":                    {StrongWolfe: true, ToleranceChange: new(1e-3)},
	} {
		t.Run(name, func(t *testing.T) {
			values, calls := map[int][]float64{}, map[int]int{}
			run := func(l *lite.Lite) error {
				l.SeedEverything(1)
				net := newStack()
				nn.To(net, torch.Float64)
				rate := 1.0
				if !o.StrongWolfe {
					rate = 0.3
				}
				opt := optim.NewLBFGS(nn.Parameters(net), rate, o)
				model, err := lite.Setup(l, net, net.Forward, opt)
				if err != nil {
					return err
				}
				n := 0
				for range 4 {
					opt.StepFunc(func() *torch.Tensor {
						n++
						opt.ZeroGrad()
						x := rowsOf(l, 0).To(torch.Float64)
						loss := model.Forward(x).Sub(x.Narrow(1, 0, 2).MulScalar(3).Sin()).Pow(2).Mean()
						l.Backward(loss)
						return loss
					})
				}
				var list []float64
				var bits strings.Builder
				for _, p := range nn.Parameters(net) {
					bits.Write(p.ToBytes())
					list = append(list, torch.ToSlice[float64](p.Tensor)...)
				}
				if l.IsGlobalZero() {
					values[l.WorldSize()], calls[l.WorldSize()] = list, n
				}
				for rank, other := range lite.AllGather(l, n) {
					if other != n {
						return fmt.Errorf("rank %d evaluated the closure %d times, this one %d times", rank, other, n)
					}
				}
				return alike(l, bits.String())
			}
			for ranks := range 3 {
				require.NoError(t, spawn(t, lite.DDPSpawn{}, ranks+1, run))
			}
			for ranks := 2; ranks <= 3; ranks++ {
				require.Equal(t, calls[1], calls[ranks], "%d ranks", ranks)
				require.InDeltaSlice(t, values[1], values[ranks], 1e-6, "%d ranks", ranks)
			}
			require.Greater(t, calls[1], 4)
			require.False(t, math.IsNaN(values[1][0]))
		})
	}
}
