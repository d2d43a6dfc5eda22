package data_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
)

// FuzzBatches reads data sets of any size in batches of any size, by any number of workers: each sample comes once, the
// loader knows how many batches there are, and a pass that is left and resumed goes on with the batch after.
func FuzzBatches(f *testing.F) {
	f.Add(uint8(1), uint8(1), uint8(0), uint8(0), uint8(0), false, false)
	f.Add(uint8(1), uint8(9), uint8(3), uint8(1), uint8(0), false, true)
	f.Add(uint8(23), uint8(5), uint8(2), uint8(0), uint8(2), true, true)
	f.Add(uint8(40), uint8(3), uint8(4), uint8(3), uint8(13), false, true)
	f.Fuzz(func(t *testing.T, n, size, workers, prefetch, stop uint8, drop, shuffle bool) {
		o := data.Options{Workers: int(workers % 6), Prefetch: int(prefetch % 4), DropLast: drop, Shuffle: shuffle}
		l := numberLoader(int(n), int(size), o)
		if n == 0 || size == 0 {
			require.Error(t, l.Err())
			return
		}
		torch.ManualSeed(uint64(n))
		var whole [][]int
		var state map[string]any
		for b, err := range l.Batches(ctx) {
			require.NoError(t, err)
			if whole = append(whole, b); len(whole) == int(stop) {
				state = l.StateDict()
			}
		}
		require.Len(t, whole, l.Len())
		all := slices.Concat(whole...)
		if !shuffle {
			require.True(t, slices.IsSorted(all))
		}
		slices.Sort(all)
		require.Equal(t, len(all), len(slices.Compact(slices.Clone(all))), "no sample twice")
		if drop {
			require.Len(t, all, int(n)/int(size)*int(size))
		} else {
			require.Len(t, all, int(n))
		}
		if state == nil {
			return
		}
		again := numberLoader(int(n), int(size), o)
		require.NoError(t, again.LoadStateDict(state))
		rest, err := pass(ctx, again)
		require.NoError(t, err)
		require.Equal(t, whole[stop:], append([][]int{}, rest...))
	})
}
