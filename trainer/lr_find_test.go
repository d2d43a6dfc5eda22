package trainer_test

import (
	"context"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/trainer"
)

// Rates, losses and suggestions are those of Lightning's finder; module and random streams are as they were.
func TestLRFind(t *testing.T) {
	var recorded map[string]struct {
		LR, Loss   []float64
		Suggestion float64
	}
	text, err := os.ReadFile("testdata/lr_find.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &recorded))
	for name, c := range map[string]struct {
		run recordedRun
		o   trainer.LRFindOptions
	}{
		"exponential": {recordedRun{}, trainer.LRFindOptions{}},
		"linear":      {recordedRun{}, trainer.LRFindOptions{Linear: true, Max: 3, Steps: 40}},
		"adam":        {recordedRun{Opt: "adam", Shuffle: true}, trainer.LRFindOptions{Steps: 60, EarlyStopThreshold: -1}},
	} {
		t.Run(name, func(t *testing.T) {
			want := recorded[name]
			require.NotEmpty(t, want.Loss)
			require.NoError(t, lite.Run(t.Context(), lite.Config{}, func(ctx context.Context, l *lite.Lite) (err error) {
				m := newRecordedNet(&c.run)
				weights := floats(m.First.Weight.Tensor)
				l.SeedEverything(7)
				stream := torch.DefaultGenerator(torch.CPU).State()
				tr, err := trainer.New(l, quiet(trainer.Options{}))
				if err != nil {
					return err
				}
				var f *trainer.LRFinder
				torch.WithNumThreads(1, func() { f, err = trainer.LRFind(ctx, tr, m, recordedData{&c.run}, c.o) })
				if err != nil {
					return err
				}
				require.InEpsilonSlice(t, want.LR, f.LR, 1e-12)
				require.InEpsilonSlice(t, want.Loss, f.Loss, 1e-12)
				lr, ok := f.Suggestion()
				require.True(t, ok)
				require.InEpsilon(t, want.Suggestion, lr, 1e-12)
				require.Equal(t, weights, floats(m.First.Weight.Tensor))
				require.True(t, stream.Equal(torch.DefaultGenerator(torch.CPU).State()))
				for name, p := range nn.NamedParameters(m) {
					require.Nil(t, p.Grad(), name)
				}
				return trainer.Fit(ctx, tr, m, recordedData{&c.run}) // the same Trainer goes on
			}))
		})
	}
}

func TestLRFindIsChecked(t *testing.T) {
	for want, o := range map[string]trainer.LRFindOptions{
		"the rates are from 1 to 1":  {Min: 1},
		"the rates are from -1 to 1": {Min: -1},
		"number of Steps is 1":       {Steps: 1},
		"EarlyStopThreshold is -2":   {EarlyStopThreshold: -2},
	} {
		err := lite.Run(t.Context(), lite.Config{}, func(ctx context.Context, l *lite.Lite) error {
			tr, err := trainer.New(l, quiet(trainer.Options{}))
			if err == nil {
				_, err = trainer.LRFind(ctx, tr, newSimple(), simpleData(), o)
			}
			return err
		})
		require.ErrorContains(t, err, want)
	}
	_, ok := (&trainer.LRFinder{LR: []float64{1}, Loss: []float64{1}}).Suggestion()
	require.False(t, ok)
}
