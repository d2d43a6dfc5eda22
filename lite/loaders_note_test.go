package lite_test

import (
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
)

// TestLoadersOfEachEpochAreCollected: a run keeps no loader alive that the program has dropped.
func TestLoadersOfEachEpochAreCollected(t *testing.T) {
	require.NoError(t, spawn(t, lite.DDPSpawn{}, 2, func(l *lite.Lite) error {
		var loaders []weak.Pointer[data.Loader[*torch.Tensor]]
		for range 20 {
			given := data.NewLoader(data.NewTensorDatasetOf(torch.Zeros(4, 1)), 2)
			for _, o := range []lite.LoaderOptions{{}, {KeepSampler: true}} {
				ld, err := lite.SetupDataLoader(l, given, o)
				if err != nil {
					return err
				}
				_, err = lite.SetupDataLoader(l, ld)
				require.ErrorContains(t, err, "this loader was set up already")
				loaders = append(loaders, weak.Make(ld))
				given = data.NewLoader(data.NewTensorDatasetOf(torch.Zeros(4, 1)), 2)
			}
		}
		require.Eventually(t, func() bool {
			runtime.GC()
			left := 0
			for _, w := range loaders {
				if w.Value() != nil {
					left++
				}
			}
			return left <= 2
		}, 10*time.Second, 10*time.Millisecond)
		return nil
	}))
}
