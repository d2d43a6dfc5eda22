package trainer_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/metrics"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/trainer"
)

// A metric of package metrics that is logged is computed over all ranks at the end of the epoch, and reset.
func TestMetricsAreLogged(t *testing.T) {
	for _, ranks := range []int{1, 2} {
		t.Run(fmt.Sprint(ranks, " ranks"), func(t *testing.T) {
			cfg := lite.Config{}
			if ranks > 1 {
				cfg = lite.Config{Strategy: "ddp_spawn", Devices: "2"}
			}
			var mu sync.Mutex
			var got []float64
			err := lite.Run(t.Context(), cfg, func(ctx context.Context, l *lite.Lite) error {
				l.SeedEverything(1)
				m, mean := newSimple(), metrics.NewMean()
				m.validate = func(t *trainer.Trainer, m *simple, x *torch.Tensor, _ int) {
					mean.Update(x)
					t.Log("mean", mean)
				}
				tr, err := trainer.New(l, quiet(trainer.Options{MaxEpochs: 2}))
				if err != nil {
					return err
				}
				if err := trainer.Fit(ctx, tr, m, simpleData()); err != nil {
					return err
				}
				value, ok := tr.Metric("mean")
				require.True(t, ok)
				require.Zero(t, mean.UpdateCount())
				mu.Lock()
				defer mu.Unlock()
				got = append(got, value)
				return nil
			})
			require.NoError(t, err)
			for _, v := range got {
				require.InDelta(t, numbers(12, 4, 3, 5).Mean().Item(), v, 1e-7)
			}
		})
	}
}
