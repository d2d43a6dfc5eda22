package optim_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

func TestAveragedModel(t *testing.T) {
	set := func(m *nn.BatchNorm1d, weight, mean, batches float64) {
		torch.NoGrad(func() {
			m.Weight.Copy_(torch.Full(weight, 2))
			m.RunningMean.Copy_(torch.Full(mean, 2))
			m.NumBatchesTracked.Copy_(torch.Full(batches))
		})
	}
	for name, c := range map[string]struct {
		o                     optim.AveragedModelOptions
		weight, mean, batches float64
	}{
		"mean":            {optim.AveragedModelOptions{}, 2, 30, 9},
		"mean of buffers": {optim.AveragedModelOptions{Buffers: true}, 2, 20, 5},
		"moving":          {optim.AveragedModelOptions{Average: optim.EMA(0.5)}, 2.25, 30, 9},
		"moving, buffers": {optim.AveragedModelOptions{Average: optim.EMA(0.5), Buffers: true}, 2.25, 22.5, 6},
	} {
		t.Run(name, func(t *testing.T) {
			m := nn.NewBatchNorm1d(2)
			a := optim.NewAveragedModel(m, c.o)
			for i := range 3 {
				set(m, float64(i+1), float64(10*(i+1)), float64(3*(i+1)))
				a.Update(m)
			}
			require.Equal(t, 3, a.Updates())
			require.Equal(t, c.weight, a.Module.Weight.Select(0, 0).Item())
			require.Equal(t, c.mean, a.Module.RunningMean.Select(0, 0).Item())
			require.Equal(t, c.batches, a.Module.NumBatchesTracked.Item(), "whole numbers are cut at each update")
			require.False(t, a.Module.Weight.RequiresGrad())

			b := optim.NewAveragedModel(nn.NewBatchNorm1d(2), c.o)
			require.NoError(t, b.LoadStateDict(a.StateDict()))
			require.Equal(t, 3, b.Updates())
			require.Equal(t, c.weight, b.Module.Weight.Select(0, 1).Item())
			require.ErrorContains(t, b.LoadStateDict(nn.StateDict(m)), "n_averaged")
		})
	}
	require.Error(t, torch.Try(func() { optim.EMA(1.5) }))
	require.Error(t, torch.Try(func() {
		optim.NewAveragedModel[nn.Module](nn.NewBatchNorm1d(2)).Update(nn.NewReLU())
	}))
}
