package trainer_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
	"github.com/golite/golite/trainer"
)

var errKilled = errors.New("the run was ended by the test")

// journal is a logger that keeps its rows, by rank 0.
type journal struct{ rows []string }

func (j *journal) Name() string                        { return "journal" }
func (j *journal) LogHyperparams(map[string]any) error { return nil }
func (j *journal) Close(error) error                   { return nil }
func (j *journal) LogMetrics(m map[string]float64, step int64) error {
	row := fmt.Sprint(step)
	for _, name := range slices.Sorted(maps.Keys(m)) {
		row += fmt.Sprintf(" %s=%v", name, m[name])
	}
	j.rows = append(j.rows, row)
	return nil
}

// killer ends a run after a number of batches.
type killer struct{ at, seen int }

func (k *killer) OnTrainBatchStart(*trainer.Trainer, any, int) error {
	if k.seen++; k.at > 0 && k.seen > k.at {
		return errKilled
	}
	return nil
}

type outcome struct {
	losses  [][]float64 // by rank
	rows    []string
	weights map[string][]float64
}

// resumeData is a shuffled loader with workers.
type resumeData struct {
	recordedData
	workers int
	samples int
}

func (d resumeData) TrainDataLoader(*trainer.Trainer) (*data.Loader[data.Example], error) {
	set := data.NewTensorDataset(numbers(d.samples, 4, 5, 11), numbers(d.samples, 2, 7, 13))
	return data.NewLoader(set, 4, data.Options{Shuffle: true, Workers: d.workers}), nil
}

// train runs a Fit, until kill batches were begun if kill is positive.
func train(t *testing.T, r *recordedRun, strategy string, ranks, workers, kill int, from, dir string, o trainer.Options) (out outcome) {
	out.losses, out.weights = make([][]float64, ranks), map[string][]float64{}
	j := &journal{}
	cfg := lite.Config{Loggers: []lite.MetricLogger{j}}
	if ranks > 1 {
		cfg.Strategy, cfg.Devices = strategy, lite.Devices(fmt.Sprint(ranks))
	}
	var mu sync.Mutex
	err := lite.Run(t.Context(), cfg, func(ctx context.Context, l *lite.Lite) error {
		l.SeedEverything(uint64(1))
		net := newRecordedNet(r)
		if l.SeedEverything(7); from != "" {
			torch.Rand(3) // the checkpoint has the streams
		}
		if ranks > 1 { // ddp refuses trained layers that have no part in the loss
			nn.RequiresGrad(net.Norm, false)
		}
		o := o
		o.RootDir, o.NoProgressBar, o.NoModelSummary, o.MaxEpochs, o.LogEveryNSteps = dir, true, true, 3, 1
		o.Callbacks = []trainer.Callback{
			&killer{at: kill}, &trainer.ModelCheckpoint{Dir: dir, EveryNTrainSteps: 1, SaveTopK: -1, SaveLast: "copy"},
			&trainer.EarlyStopping{Monitor: "val_loss", Patience: new(100)},
		}
		if slices.Contains(r.Callbacks, "ema") {
			o.Callbacks = append(o.Callbacks, &trainer.WeightAveraging{Average: optim.EMA(0.5), EveryNSteps: 2, StartingAtStep: 3})
		}
		tr, err := trainer.New(l, o)
		if err != nil {
			return err
		}
		torch.WithNumThreads(1, func() {
			err = trainer.Fit(ctx, tr, net, resumeData{recordedData{r}, workers, 26 - 2*(ranks-1)}, trainer.FitOptions{CkptPath: from})
		})
		mu.Lock()
		defer mu.Unlock()
		out.losses[l.GlobalRank()] = net.losses
		if l.IsGlobalZero() {
			for name, p := range nn.StateDict(net).All() {
				out.weights[name] = floats(p)
			}
		}
		return err
	})
	if kill > 0 {
		require.ErrorIs(t, err, errKilled)
	} else {
		require.NoError(t, err)
	}
	out.rows = j.rows
	return out
}

// A run that ended after any batch and goes on from its newest checkpoint has the losses, the logged values and the
// weights of one that never ended.
func TestResumeAfterEveryBatch(t *testing.T) {
	run := func(name string) *recordedRun {
		for _, r := range recordedRuns(t) {
			if r.Name == name {
				return r
			}
		}
		require.Fail(t, "no such run", name)
		return nil
	}
	for name, c := range map[string]struct {
		run, strategy  string
		ranks, workers int
		o              trainer.Options
	}{
		"plain":                      {"shuffled dropout norm", "", 1, 0, trainer.Options{}},
		"workers, accumulation":      {"shuffled dropout norm", "", 1, 2, trainer.Options{AccumulateGradBatches: 3}},
		"validation within a window": {"accumulate 3", "", 1, 0, trainer.Options{AccumulateGradBatches: 2, ValCheckInterval: trainer.Batches(3)}},
		"weight averaging":           {"ema", "", 1, 0, trainer.Options{}},
		"plateau":                    {"plateau", "", 1, 0, trainer.Options{}},
		"2 ranks":                    {"no sanity check, shuffled", "ddp_spawn", 2, 0, trainer.Options{}},
		"2 ranks, accumulation":      {"adam step", "ddp_spawn", 2, 0, trainer.Options{AccumulateGradBatches: 3}},
		"2 ranks, fsdp":              {"adam step", "fsdp_spawn", 2, 0, trainer.Options{}},
		"2 ranks, deepspeed":         {"adamw onecycle", "deepspeed_stage_2_spawn", 2, 0, trainer.Options{GradientClipVal: 0.1}},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(c.run)
			r.Log = "both"
			whole := train(t, r, c.strategy, c.ranks, c.workers, 0, "", t.TempDir(), c.o)
			batches := len(whole.losses[0])
			for kill := 1; kill < batches; kill += 1 + kill/6 {
				dir := t.TempDir()
				first := train(t, r, c.strategy, c.ranks, c.workers, kill, "", dir, c.o)
				last := filepath.Join(dir, "last.ckpt")
				if files, err := filepath.Glob(last); err != nil || len(files) == 0 {
					continue // no step was made yet
				}
				second := train(t, r, c.strategy, c.ranks, c.workers, 0, last, dir, c.o)
				for rank := range whole.losses {
					n := len(whole.losses[rank]) - len(second.losses[rank])
					require.LessOrEqual(t, n, len(first.losses[rank]), "killed after %d", kill)
					require.Equal(t, whole.losses[rank][n:], second.losses[rank], "killed after %d batches, rank %d", kill, rank)
				}
				n := len(whole.rows) - len(second.rows)
				require.GreaterOrEqual(t, n, 0)
				require.Equal(t, whole.rows[n:], second.rows, "killed after %d batches: rows", kill)
				require.Equal(t, whole.weights, second.weights, "killed after %d", kill)
			}
		})
	}
}
