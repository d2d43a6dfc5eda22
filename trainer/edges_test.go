package trainer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/metrics"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
	"github.com/golite/golite/trainer"
)

// rowsOf is an Iterable of n rows, whose length is not known.
type rowsOf int

func (n rowsOf) Samples(context.Context) iter.Seq2[*torch.Tensor, error] {
	return func(yield func(*torch.Tensor, error) bool) {
		for i := range int(n) {
			if !yield(numbers(1, 4, 3+i, 5).Select(0, 0), nil) {
				return
			}
		}
	}
}

func stream(rows, batch int) *data.Loader[*torch.Tensor] {
	return data.NewIterableLoader[*torch.Tensor](rowsOf(rows), batch)
}

// several is a data module of several loaders for each stage.
type several struct {
	trainer.Data[*torch.Tensor]
	all []*data.Loader[*torch.Tensor]
}

func (d several) ValDataLoaders(*trainer.Trainer) ([]*data.Loader[*torch.Tensor], error) {
	return d.all, nil
}
func (d several) TestDataLoaders(*trainer.Trainer) ([]*data.Loader[*torch.Tensor], error) {
	return d.all, nil
}
func (d several) PredictDataLoaders(*trainer.Trainer) ([]*data.Loader[*torch.Tensor], error) {
	return d.all, nil
}

func (m *simple) TestStep(t *trainer.Trainer, x *torch.Tensor, i int) { m.ValidationStep(t, x, i) }

func (m *simple) PredictStep(_ *trainer.Trainer, x *torch.Tensor, _ int) int { return x.Size(0) }

// in runs f with a Trainer on one rank.
func in(t *testing.T, o trainer.Options, f func(ctx context.Context, tr *trainer.Trainer) error) error {
	return lite.Run(t.Context(), lite.Config{}, func(ctx context.Context, l *lite.Lite) error {
		l.SeedEverything(1)
		tr, err := trainer.New(l, quiet(o))
		if err != nil {
			return err
		}
		return f(ctx, tr)
	})
}

// counter counts validations, and the batches and steps of training.
type counter struct{ batches, validations, epochs int }

func (c *counter) OnTrainBatchEnd(*trainer.Trainer, *torch.Tensor, any, int) error {
	c.batches++
	return nil
}
func (c *counter) OnTrainEpochEnd(*trainer.Trainer) error { c.epochs++; return nil }
func (c *counter) OnValidationEnd(t *trainer.Trainer) error {
	if !t.SanityChecking() {
		c.validations++
	}
	return nil
}

// Limits and intervals at their edges, of loaders of known and of unknown length: batches that were trained, steps,
// validations and steps of a scheduler by epoch.
func TestLimitsAtTheirEdges(t *testing.T) {
	known := func(rows int) *data.Loader[*torch.Tensor] {
		return data.NewLoader(data.NewTensorDatasetOf(numbers(rows, 4, 3, 5)), 2)
	}
	type want struct{ batches, steps, validations, epochs, scheduled int }
	for name, c := range map[string]struct {
		o     trainer.Options
		train *data.Loader[*torch.Tensor]
		want
	}{
		"all":                           {trainer.Options{}, known(12), want{6, 6, 1, 1, 1}},
		"none":                          {trainer.Options{LimitTrainBatches: trainer.Batches(0)}, known(12), want{0, 0, 0, 0, 0}},
		"one":                           {trainer.Options{LimitTrainBatches: trainer.Batches(1)}, known(12), want{1, 1, 1, 1, 1}},
		"more than there are":           {trainer.Options{LimitTrainBatches: trainer.Batches(100)}, known(12), want{6, 6, 1, 1, 1}},
		"one batch":                     {trainer.Options{}, known(1), want{1, 1, 1, 1, 1}},
		"unknown":                       {trainer.Options{}, stream(12, 2), want{6, 6, 1, 1, 1}},
		"unknown, limited":              {trainer.Options{LimitTrainBatches: trainer.Batches(4)}, stream(12, 2), want{4, 4, 1, 1, 1}},
		"unknown, limit of its length":  {trainer.Options{LimitTrainBatches: trainer.Batches(6)}, stream(12, 2), want{6, 6, 1, 1, 1}},
		"unknown, limit beyond":         {trainer.Options{LimitTrainBatches: trainer.Batches(7)}, stream(12, 2), want{6, 6, 1, 1, 1}},
		"unknown, one":                  {trainer.Options{LimitTrainBatches: trainer.Batches(1)}, stream(12, 2), want{1, 1, 1, 1, 1}},
		"unknown, accumulate":           {trainer.Options{AccumulateGradBatches: 4}, stream(12, 2), want{6, 2, 1, 1, 1}},
		"unknown, interval":             {trainer.Options{ValCheckInterval: trainer.Batches(2)}, stream(12, 2), want{6, 6, 3, 1, 1}},
		"interval across epochs":        {trainer.Options{ValCheckInterval: trainer.Batches(4), CheckValEveryNEpochs: -1, MaxEpochs: 2}, known(12), want{12, 12, 3, 2, 2}},
		"fraction of all":               {trainer.Options{ValCheckInterval: trainer.Fraction(1)}, known(12), want{6, 6, 1, 1, 1}},
		"second epoch":                  {trainer.Options{CheckValEveryNEpochs: 2, MaxEpochs: 3}, known(12), want{18, 18, 2, 3, 3}},
		"accumulation beyond the epoch": {trainer.Options{AccumulateGradBatches: 100, MaxEpochs: 2}, known(12), want{12, 2, 2, 2, 2}},
		"max steps in mid-epoch":        {trainer.Options{MaxSteps: 4}, known(12), want{4, 4, 1, 1, 0}},
		"max steps at the end":          {trainer.Options{MaxSteps: 6}, known(12), want{6, 6, 1, 1, 1}},
		"fast dev run":                  {trainer.Options{FastDevRun: 2, MaxEpochs: 9}, known(12), want{2, 2, 1, 1, 1}},
		"fast dev run beyond":           {trainer.Options{FastDevRun: 50}, known(12), want{6, 6, 1, 1, 1}},
		"overfit":                       {trainer.Options{OverfitBatches: trainer.Batches(2), MaxEpochs: 2}, known(12), want{4, 4, 2, 2, 2}},
		"reload":                        {trainer.Options{ReloadEvery: 1, MaxEpochs: 3}, known(12), want{18, 18, 3, 3, 3}},
		"no validation":                 {trainer.Options{LimitValBatches: trainer.Batches(0)}, known(12), want{6, 6, 0, 1, 1}},
		"time":                          {trainer.Options{ValCheckInterval: trainer.Every(time.Nanosecond), NoFinalValidation: true}, known(12), want{6, 6, 6, 1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			n := &counter{}
			c.o.Callbacks = []trainer.Callback{n}
			require.NoError(t, in(t, c.o, func(ctx context.Context, tr *trainer.Trainer) error {
				m := newSimple()
				var s *optim.StepLR
				m.optimize = func(*trainer.Trainer, *simple) trainer.Optimization {
					o := optim.NewSGD(nn.Parameters(m), 1)
					s = optim.NewStepLR(o, 1, optim.StepLROptions{Gamma: new(0.5)})
					return trainer.Optimization{Optimizer: o, Schedules: []trainer.Schedule{{Scheduler: s}}}
				}
				if err := trainer.Fit(ctx, tr, m, trainer.Data[*torch.Tensor]{Train: c.train, Val: simpleLoader()}); err != nil {
					return err
				}
				require.Equal(t, c.want, want{n.batches, tr.GlobalStep(), n.validations, n.epochs, int(math.Round(-math.Log2(s.LastLR()[0])))})
				return nil
			}))
		})
	}
}

// A loader without samples is no endless loop.
func TestEmptyLoaders(t *testing.T) {
	err := in(t, trainer.Options{MaxEpochs: -1, MaxSteps: 5}, func(ctx context.Context, tr *trainer.Trainer) error {
		return trainer.Fit(ctx, tr, newSimple(), trainer.Data[*torch.Tensor]{Train: stream(0, 2)})
	})
	require.ErrorContains(t, err, "an epoch had no batch")
	require.NoError(t, in(t, trainer.Options{}, func(ctx context.Context, tr *trainer.Trainer) error {
		empty := data.NewLoader(data.NewTensorDatasetOf(torch.Zeros(1, 4)), 2, data.Options{DropLast: true})
		return trainer.Fit(ctx, tr, newSimple(), trainer.Data[*torch.Tensor]{Train: empty})
	}))
	require.ErrorContains(t, in(t, trainer.Options{}, func(ctx context.Context, tr *trainer.Trainer) error {
		one := simpleLoader()
		return trainer.Fit(ctx, tr, newSimple(), trainer.Data[*torch.Tensor]{Train: one, Val: one})
	}), "make one for each")
	for stage, f := range map[string]func(ctx context.Context, tr *trainer.Trainer) error{
		"validate": func(ctx context.Context, tr *trainer.Trainer) error {
			_, err := trainer.Validate(ctx, tr, newSimple(), trainer.Data[*torch.Tensor]{})
			return err
		},
		"test": func(ctx context.Context, tr *trainer.Trainer) error {
			_, err := trainer.Test(ctx, tr, newSimple(), trainer.Data[*torch.Tensor]{})
			return err
		},
		"predict": func(ctx context.Context, tr *trainer.Trainer) error {
			_, err := trainer.Predict(ctx, tr, newSimple(), trainer.Data[*torch.Tensor]{})
			return err
		},
	} {
		require.ErrorContains(t, in(t, trainer.Options{}, f), "no loader for "+stage)
	}
}

// One Data serves all stages, one after the other, and Fit twice.
func TestStagesShareLoaders(t *testing.T) {
	require.NoError(t, in(t, trainer.Options{MaxEpochs: 2}, func(ctx context.Context, tr *trainer.Trainer) error {
		m, d := newSimple(), simpleData()
		d.Test, d.Predict = d.Val, d.Train
		before, err := trainer.Validate(ctx, tr, m, d)
		require.NoError(t, err)
		require.NoError(t, trainer.Fit(ctx, tr, m, d))
		require.NoError(t, trainer.Fit(ctx, tr, m, d))
		require.Equal(t, 12, tr.GlobalStep())
		after, err := trainer.Validate(ctx, tr, m, d)
		require.NoError(t, err)
		require.Less(t, after[0]["val_loss"], before[0]["val_loss"])
		tested, err := trainer.Test(ctx, tr, m, d)
		require.NoError(t, err)
		require.Equal(t, after, tested)
		p, err := trainer.Predict(ctx, tr, m, d)
		require.NoError(t, err)
		require.Len(t, p[0], 6)
		return nil
	}))
}

// Several loaders of different lengths, with a value that is logged in one of them only.
func TestSeveralLoaders(t *testing.T) {
	for _, ranks := range []int{1, 2} {
		cfg := lite.Config{}
		if ranks > 1 {
			cfg = lite.Config{Strategy: "ddp_spawn", Devices: "2"}
		}
		err := lite.Run(t.Context(), cfg, func(ctx context.Context, l *lite.Lite) error {
			tr, err := trainer.New(l, quiet(trainer.Options{}))
			if err != nil {
				return err
			}
			m := newSimple()
			m.validate = func(t *trainer.Trainer, m *simple, x *torch.Tensor, i int) {
				t.Log("rows", x.Size(0), trainer.LogOptions{Reduce: trainer.Sum})
				if t.LoaderIdx() == 1 {
					t.Log("second", 7)
				}
			}
			set := func(n int) *data.Loader[*torch.Tensor] {
				return data.NewLoader(data.NewTensorDatasetOf(numbers(n, 4, 3, 5)), 2)
			}
			d := several{all: []*data.Loader[*torch.Tensor]{set(4), set(12), set(8)}}
			got, err := trainer.Test(ctx, tr, m, d)
			if err != nil {
				return err
			}
			require.Equal(t, []map[string]float64{
				{"rows/dataloader_idx_0": 4}, {"rows/dataloader_idx_1": 12, "second/dataloader_idx_1": 7}, {"rows/dataloader_idx_2": 8},
			}, got)
			d.all = append(d.all, data.NewLoader(data.NewTensorDatasetOf(torch.Zeros(1, 4)), 2, data.Options{DropLast: true}))
			p, err := trainer.Predict(ctx, tr, m, d)
			if err != nil {
				return err
			}
			require.Len(t, p, 4)
			require.Len(t, p[1], 6/ranks)
			require.Empty(t, p[3])
			return nil
		})
		require.NoError(t, err, "%d ranks", ranks)
	}
}

// stopper calls Stop in one hook.
type stopper struct{ at string }

func (s *stopper) call(t *trainer.Trainer, hook string) error {
	if s.at == hook {
		t.Stop()
	}
	return nil
}
func (s *stopper) Setup(t *trainer.Trainer, _ trainer.Stage) error { return s.call(t, "Setup") }
func (s *stopper) OnFitStart(t *trainer.Trainer) error             { return s.call(t, "OnFitStart") }
func (s *stopper) OnSanityCheckEnd(t *trainer.Trainer) error       { return s.call(t, "OnSanityCheckEnd") }
func (s *stopper) OnTrainStart(t *trainer.Trainer) error           { return s.call(t, "OnTrainStart") }
func (s *stopper) OnTrainEpochStart(t *trainer.Trainer) error      { return s.call(t, "OnTrainEpochStart") }
func (s *stopper) OnTrainBatchStart(t *trainer.Trainer, _ any, i int) error {
	return s.call(t, fmt.Sprint("OnTrainBatchStart", i))
}
func (s *stopper) OnTrainBatchEnd(t *trainer.Trainer, _ *torch.Tensor, _ any, i int) error {
	return s.call(t, fmt.Sprint("OnTrainBatchEnd", i))
}
func (s *stopper) OnTrainEpochEnd(t *trainer.Trainer) error { return s.call(t, "OnTrainEpochEnd") }
func (s *stopper) OnTrainEnd(t *trainer.Trainer) error      { return s.call(t, "OnTrainEnd") }

// Stop has its effect from each hook, and not on the next Fit.
func TestStopFromEachHook(t *testing.T) {
	for hook, steps := range map[string]int{
		"Setup": 0, "OnFitStart": 0, "OnSanityCheckEnd": 0, "OnTrainStart": 0, "OnTrainBatchStart1": 2, "OnTrainBatchEnd1": 2,
		"OnTrainEpochEnd": 6, "OnTrainEnd": 18,
	} {
		s := &stopper{at: hook}
		require.NoError(t, in(t, trainer.Options{MaxEpochs: 3, Callbacks: []trainer.Callback{s}}, func(ctx context.Context, tr *trainer.Trainer) error {
			m := newSimple()
			if err := trainer.Fit(ctx, tr, m, simpleData()); err != nil {
				return err
			}
			require.Equal(t, steps, tr.GlobalStep(), hook)
			require.True(t, tr.Stopped(), hook)
			s.at = ""
			if err := trainer.Fit(ctx, tr, m, simpleData()); err != nil {
				return err
			}
			require.Equal(t, 3, tr.Epoch(), "the second Fit goes on")
			return nil
		}), hook)
	}
}

// sum is a metric.
type sum struct {
	total, n float64
	result   func() *torch.Tensor
}

func (s *sum) Compute(metrics.Ranks) *torch.Tensor {
	if s.result != nil {
		return s.result()
	}
	return torch.Full(s.total)
}
func (s *sum) Last() *torch.Tensor { return nil }
func (s *sum) Reset()              { s.total, s.n = 0, 0 }

// What a metric computes is never a silent zero, and a metric of training is not reset by validation.
func TestMetricsAreChecked(t *testing.T) {
	for want, step := range map[string]func(t *trainer.Trainer, m *simple, x *torch.Tensor, i int) *torch.Tensor{
		"Compute of the metric: the tensor is nil": func(t *trainer.Trainer, m *simple, x *torch.Tensor, i int) *torch.Tensor {
			t.Log("m", &sum{result: func() *torch.Tensor { return nil }}, trainer.LogOptions{When: trainer.OnEpoch})
			return m.loss(x)
		},
		"the shape [3]": func(t *trainer.Trainer, m *simple, x *torch.Tensor, i int) *torch.Tensor {
			t.Log("m", &sum{result: func() *torch.Tensor { return torch.Zeros(3) }}, trainer.LogOptions{When: trainer.OnEpoch})
			return m.loss(x)
		},
		"want Mean, Min, Max or Sum": func(t *trainer.Trainer, m *simple, x *torch.Tensor, i int) *torch.Tensor {
			t.Log("m", 1, trainer.LogOptions{Reduce: 7})
			return m.loss(x)
		},
		"BatchSize is -1": func(t *trainer.Trainer, m *simple, x *torch.Tensor, i int) *torch.Tensor {
			t.Log("m", 1, trainer.LogOptions{BatchSize: -1})
			return m.loss(x)
		},
	} {
		require.ErrorContains(t, fit(t, lite.Config{}, trainer.Options{LimitTrainBatches: trainer.Batches(1)}, func() *simple {
			m := newSimple()
			m.step = step
			return m
		}), want)
	}
	require.ErrorContains(t, fit(t, lite.Config{}, trainer.Options{}, func() *simple {
		m, both := newSimple(), &sum{}
		m.step = func(t *trainer.Trainer, m *simple, x *torch.Tensor, i int) *torch.Tensor {
			t.Log("train", both, trainer.LogOptions{When: trainer.OnEpoch})
			return m.loss(x)
		}
		m.validate = func(t *trainer.Trainer, m *simple, x *torch.Tensor, i int) { t.Log("val", both) }
		return m
	}), "make one for each")
}

// brokenWriter fails, as a pipe does that was closed.
type brokenWriter struct{ writes int }

func (w *brokenWriter) Write([]byte) (int, error) { w.writes++; return 0, io.ErrClosedPipe }

// A bar that can't be written does not end training.
func TestBarOnAClosedPipe(t *testing.T) {
	w := &brokenWriter{}
	require.NoError(t, lite.Run(t.Context(), lite.Config{}, func(ctx context.Context, l *lite.Lite) error {
		tr, err := trainer.New(l, trainer.Options{
			MaxEpochs: 2, NoLogger: true, NoCheckpointing: true, NoModelSummary: true, Callbacks: []trainer.Callback{&trainer.ProgressBar{Writer: w}},
		})
		if err != nil {
			return err
		}
		if err := trainer.Fit(ctx, tr, newSimple(), simpleData()); err != nil {
			return err
		}
		require.Equal(t, 2, tr.Epoch())
		return nil
	}))
	require.Equal(t, 1, w.writes)
}

// brokenLogger fails in one of its methods.
type brokenLogger struct {
	journal
	at     string
	closed int
}

var errLogger = errors.New("the disk is full")

func (l *brokenLogger) LogMetrics(map[string]float64, int64) error {
	if l.at == "metrics" {
		return errLogger
	}
	return nil
}
func (l *brokenLogger) LogHyperparams(map[string]any) error {
	if l.at == "hyperparameters" {
		return errLogger
	}
	return nil
}
func (l *brokenLogger) Close(error) error { l.closed++; return nil }

// A logger that fails ends the run with an error that names it, on 1 and 2 ranks.
func TestLoggersThatFail(t *testing.T) {
	for _, at := range []string{"metrics", "hyperparameters"} {
		for _, ranks := range []int{1, 2} {
			j := &brokenLogger{at: at}
			cfg := lite.Config{Loggers: []lite.MetricLogger{j}}
			if ranks > 1 {
				cfg.Strategy, cfg.Devices = "ddp_spawn", "2"
			}
			err := lite.Run(t.Context(), cfg, func(ctx context.Context, l *lite.Lite) error {
				tr, err := trainer.New(l, trainer.Options{MaxEpochs: 1, NoCheckpointing: true, NoProgressBar: true, NoModelSummary: true, LogEveryNSteps: 1})
				if err != nil {
					return err
				}
				return trainer.Fit(ctx, tr, newSimple(), simpleData())
			})
			require.ErrorIs(t, err, errLogger, "%s, %d ranks", at, ranks)
			require.ErrorContains(t, err, "logger journal")
			require.Equal(t, 1, j.closed)
		}
	}
}
