package trainer_test

import (
	"context"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/trainer"
)

// A run that goes on in mid-epoch with another number of ranks trains on each sample once, validates at the epoch's end, and
// has the epoch's sums.
func TestResumeWithOtherRanks(t *testing.T) {
	for _, c := range [][2]int{{1, 2}, {2, 1}} {
		dir := t.TempDir()
		var mu sync.Mutex
		run := func(ranks, kill int, from string) (rows []float64, epochSum float64, validations int) {
			cfg := lite.Config{}
			if ranks > 1 {
				cfg.Strategy, cfg.Devices = "ddp_spawn", "2"
			}
			err := lite.Run(t.Context(), cfg, func(ctx context.Context, l *lite.Lite) error {
				l.SeedEverything(1)
				n := &counter{}
				tr, err := trainer.New(l, quiet(trainer.Options{MaxEpochs: 1, RootDir: dir, NoFinalValidation: true, Callbacks: []trainer.Callback{
					n, &killer{at: kill}, &trainer.ModelCheckpoint{Dir: dir, EveryNTrainSteps: 1, SaveLast: "copy"},
				}}))
				if err != nil {
					return err
				}
				m := newSimple()
				m.step = func(t *trainer.Trainer, m *simple, x *torch.Tensor, i int) *torch.Tensor {
					mu.Lock()
					rows = append(rows, torch.ToSlice[float64](x.Select(1, 0).To(torch.Float64))...)
					mu.Unlock()
					t.Log("rows", x.Size(0), trainer.LogOptions{When: trainer.OnEpoch, Reduce: trainer.Sum})
					return m.loss(x)
				}
				samples := torch.Arange(24).To(torch.Float32).Reshape(24, 1).Expand(24, 4).Contiguous()
				d := simpleData()
				d.Train = data.NewLoader(data.NewTensorDatasetOf(samples), 2, data.Options{Shuffle: true})
				err = trainer.Fit(ctx, tr, m, d, trainer.FitOptions{CkptPath: from})
				if l.IsGlobalZero() {
					epochSum, _ = tr.Metric("rows")
					validations = n.validations
				}
				return err
			})
			if kill > 0 {
				require.ErrorIs(t, err, errKilled)
			} else {
				require.NoError(t, err)
			}
			return rows, epochSum, validations
		}
		first, _, _ := run(c[0], 2, "")
		second, total, validations := run(c[1], 0, filepath.Join(dir, "last.ckpt"))
		seen := map[float64]int{}
		for _, x := range append(first, second...) {
			seen[x]++
		}
		require.Len(t, seen, 24, "%v", c)
		require.Len(t, append(first, second...), 24, "%v", c)
		require.Equal(t, 24.0, total, "%v", c)
		require.Equal(t, 1, validations, "%v", c)
	}
}
