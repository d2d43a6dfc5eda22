package metrics_test

import (
	"context"
	"io"
	"math"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/ranktest"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/metrics"
	"github.com/golite/golite/torch"
)

func ints(v ...int64) *torch.Tensor     { return torch.From(v, len(v)) }
func floats(v ...float32) *torch.Tensor { return torch.From(v, len(v)) }
func index(n int) *int                  { return &n }

// everyScorer is each metric of predictions and targets, with a function that draws a batch of n.
var everyScorer = map[string]struct {
	make func() metrics.Scorer
	draw func(n int) (preds, target *torch.Tensor)
}{
	"accuracy": {func() metrics.Scorer { return metrics.NewAccuracy(metrics.Multiclass(4)) }, drawClasses},
	"macro": {func() metrics.Scorer {
		return metrics.NewF1(metrics.Multiclass(4), metrics.ClassOptions{Average: metrics.Macro})
	}, drawClasses},
	"confusion":   {func() metrics.Scorer { return metrics.NewConfusionMatrix(metrics.Multiclass(4)) }, drawClasses},
	"matthews":    {func() metrics.Scorer { return metrics.NewMatthewsCorrCoef(metrics.Multiclass(4)) }, drawClasses},
	"auroc":       {func() metrics.Scorer { return metrics.NewAUROC(metrics.Multiclass(4)) }, drawClasses},
	"calibration": {func() metrics.Scorer { return metrics.NewCalibrationError(metrics.Multiclass(4)) }, drawClasses},
	"mse":         {func() metrics.Scorer { return metrics.NewMSE() }, drawNumbers},
	"r2":          {func() metrics.Scorer { return metrics.NewR2() }, drawNumbers},
	"pearson":     {func() metrics.Scorer { return metrics.NewPearson() }, drawNumbers},
	"spearman":    {func() metrics.Scorer { return metrics.NewSpearman() }, drawNumbers},
	"psnr":        {func() metrics.Scorer { return metrics.NewPSNR(1) }, drawNumbers},
}

func drawClasses(n int) (preds, target *torch.Tensor) {
	return torch.Randn(n, 4), torch.RandInt(0, 4, n)
}
func drawNumbers(n int) (preds, target *torch.Tensor) { return torch.Randn(n), torch.Randn(n) }

func TestOneBatchIsManyBatches(t *testing.T) {
	for name, s := range everyScorer {
		t.Run(name, func(t *testing.T) {
			torch.ManualSeed(3)
			preds, target := s.draw(24)
			one, many := s.make(), s.make()
			one.Update(preds, target)
			for from := 0; from < 24; from += 6 {
				many.Update(preds.Narrow(0, from, 6), target.Narrow(0, from, 6))
			}
			require.Equal(t, 4, many.UpdateCount())
			close := 1e-6
			a, b := one.Compute(nil), many.Compute(nil)
			require.True(t, a.AllClose(b, torch.CloseOptions{RTol: &close, ATol: &close}), "%v, want %v", b, a)
			require.True(t, b.Equal(many.Compute(nil)), "Compute changed the state")
		})
	}
}

// A metric's tensors live until Reset, those of its updates do not, in a scope and out of one.
func TestTensorsAreReleased(t *testing.T) {
	for name, s := range everyScorer {
		t.Run(name, func(t *testing.T) {
			preds, target := s.draw(8)
			m := s.make()
			pass := func() {
				for range 3 {
					torch.Scope(func() { m.Forward(preds, target); m.Update(preds, target) })
				}
				torch.Scope(func() { m.Compute(nil) })
				m.Reset()
			}
			pass()
			before := settled()
			pass()
			require.Equal(t, before, torch.LiveTensors())
			require.Nil(t, m.Last())
		})
	}
}

// settled returns the number of live tensors once the collector finds no more of other tests'.
func settled() int {
	n := -1
	for same := 0; same < 3; {
		runtime.GC()
		time.Sleep(5 * time.Millisecond)
		if now := torch.LiveTensors(); now == n {
			same++
		} else {
			n, same = now, 0
		}
	}
	return n
}

func TestStateIsSavedAndResumed(t *testing.T) {
	for name, s := range everyScorer {
		t.Run(name, func(t *testing.T) {
			torch.ManualSeed(5)
			path := filepath.Join(t.TempDir(), "metric.pt")
			p1, t1 := s.draw(9)
			p2, t2 := s.draw(7)
			m, whole := s.make(), s.make()
			whole.Update(p1, t1)
			whole.Update(p2, t2)
			m.Update(p1, t1)
			require.NoError(t, lite.Run(t.Context(), lite.Config{Output: io.Discard}, func(_ context.Context, l *lite.Lite) error {
				if err := l.Save(path, lite.State{"metric": m}); err != nil {
					return err
				}
				again := s.make()
				if _, err := l.Load(path, lite.State{"metric": again}); err != nil {
					return err
				}
				again.Update(p2, t2)
				require.Equal(t, 2, again.UpdateCount())
				require.True(t, whole.Compute(nil).Equal(again.Compute(l)))
				return nil
			}))
		})
	}
}

func TestWrongStatesAreRefused(t *testing.T) {
	m := metrics.NewAccuracy(metrics.Multiclass(4), metrics.ClassOptions{Average: metrics.Macro})
	m.Update(drawClasses(5))
	before := m.Compute(nil)
	other := metrics.NewMSE()
	other.Update(drawNumbers(3))
	small := metrics.NewAccuracy(metrics.Multiclass(3), metrics.ClassOptions{Average: metrics.Macro})
	small.Update(ints(1), ints(2))
	for want, state := range map[string]map[string]any{
		"update_count": {},
		`"tp"`:         other.StateDict(),
		"options":      small.StateDict(),
	} {
		require.ErrorContains(t, m.LoadStateDict(state), want)
	}
	require.True(t, before.Equal(m.Compute(nil)))
	require.NoError(t, m.LoadStateDict(metrics.NewMSE().StateDict())) // no batch yet
	require.Zero(t, m.UpdateCount())
}

func TestInvalidInput(t *testing.T) {
	three := metrics.Multiclass(3)
	for want, f := range map[string]func(){
		"1 elements of target": func() { metrics.NewAccuracy(three).Update(ints(0, 1), ints(0, 3)) },
		"or IgnoreIndex, -100": func() {
			metrics.NewAUROC(three, metrics.CurveOptions{IgnoreIndex: index(-100)}).Update(torch.Randn(2, 3), ints(0, -1))
		},
		"want 0 or 1":       func() { metrics.NewConfusionMatrix(metrics.Binary()).Update(ints(0, 2), ints(0, 1)) },
		"have 4 classes":    func() { metrics.NewF1(three).Update(torch.Randn(2, 4), ints(0, 1)) },
		"do not fit":        func() { metrics.NewF1(three).Update(torch.Randn(2, 3), ints(0, 1, 1)) },
		"target is float32": func() { metrics.NewF1(three).Update(torch.Randn(2, 3), floats(0, 1)) },
		"preds is nil":      func() { metrics.NewMSE().Update(nil, floats(1)) },
		"target is nil":     func() { metrics.NewAccuracy(three).Update(floats(1), nil) },
		"different shapes":  func() { metrics.NewMSE().Update(floats(1, 2), floats(1)) },
		"TopK 4":            func() { metrics.NewAccuracy(three, metrics.ClassOptions{TopK: 4}) },
		`Average "mean"`:    func() { metrics.NewAccuracy(three, metrics.ClassOptions{Average: "mean"}) },
		"the task is empty": func() { metrics.NewAccuracy(metrics.Task{}) },
		"2 or more":         func() { metrics.NewAccuracy(metrics.Multiclass(1)) },
		"beta is 0":         func() { metrics.NewFBeta(three, 0) },
		"elements of value": func() {
			metrics.NewMean(metrics.AggregateOptions{RefuseNaN: true}).Update(floats(1, float32(math.NaN())))
		},
		"at most one weight":          func() { metrics.NewMean().Update(floats(1), 1, 2) },
		"tokens of target":            func() { metrics.NewPerplexity().Update(torch.Randn(1, 2, 3), torch.From([]int64{1, 3}, 1, 2)) },
		"2 preds and 1 targets":       func() { metrics.NewWER().Update([]string{"a", "b"}, []string{"a"}) },
		"target[0] is empty":          func() { metrics.NewBLEU().Update([]string{"a"}, [][]string{nil}) },
		"too small for a window":      func() { x := torch.Rand(1, 1, 4, 4); metrics.NewSSIM().Update(x, x) },
		"dataRange 0":                 func() { metrics.NewPSNR(0) },
		"want [N, D]":                 func() { metrics.NewCosineSimilarity().Update(floats(1), floats(1)) },
		"want [N, 2] for Outputs 2":   func() { metrics.NewMSE(metrics.OutputOptions{Outputs: 2}).Update(floats(1), floats(1)) },
		"task is multilabel":          func() { metrics.NewCohenKappa(metrics.Multilabel(3)) },
		`metric "a" is nil`:           func() { metrics.NewCollection(map[string]metrics.Scorer{"a": nil}) },
		"Threshold 2":                 func() { task := metrics.Binary(); task.Threshold = 2; metrics.NewF1(task) },
		"preds are int64":             func() { metrics.NewAUROC(metrics.Binary()).Update(ints(1), ints(1)) },
		"preds are float32 and targe": func() { metrics.NewSpearman().Update(floats(1), ints(1)) },
	} {
		var e *torch.Error
		err := torch.Try(f)
		require.ErrorAs(t, err, &e, want)
		require.ErrorContains(t, err, want)
		require.Contains(t, e.Op, "metrics.New")
	}
}

// A refused Update leaves the state as it was.
func TestRefusedBatchIsNotCounted(t *testing.T) {
	m := metrics.NewAccuracy(metrics.Multiclass(3))
	m.Update(ints(0, 1), ints(0, 2))
	require.Error(t, torch.Try(func() { m.Update(ints(1, 1), ints(1, 7)) }))
	require.Equal(t, 0.5, m.Compute(nil).Item())
	require.Equal(t, 1, m.UpdateCount())
}

func TestValuesWithoutABatch(t *testing.T) {
	require.Zero(t, metrics.NewAccuracy(metrics.Binary()).Compute(nil).Item())
	require.Equal(t, []int{3, 2, 2}, metrics.NewConfusionMatrix(metrics.Multilabel(3)).Compute(nil).Shape())
	require.Equal(t, math.Inf(1), metrics.NewMin().Compute(nil).Item())
	for _, m := range []metrics.Metric{metrics.NewMean(), metrics.NewMSE(), metrics.NewAUROC(metrics.Binary()), metrics.NewWER()} {
		require.True(t, math.IsNaN(m.Compute(nil).Item()))
	}
}

// Counts do not lose what float32 cannot hold, and batches in float64 are added in float64.
func TestSumsAreExact(t *testing.T) {
	mean := metrics.NewMean()
	mean.Update(torch.Ones(1 << 24))
	mean.Update(torch.Ones(3))
	require.EqualValues(t, 1<<24+3, mean.StateDict()["count"].(*torch.Tensor).Item())
	total := metrics.NewSum()
	total.Update(torch.Options{DType: torch.Float64}.Full(1 << 24))
	total.Update(torch.Options{DType: torch.Float64}.Ones())
	require.EqualValues(t, 1<<24+1, total.Compute(nil).Item())
	nans := metrics.NewSum()
	nans.Update(floats(1, float32(math.NaN()), 2))
	require.Equal(t, 3.0, nans.Compute(nil).Item())
	require.Equal(t, 1, nans.NaNs())
}

func TestRanksWithoutSamples(t *testing.T) {
	torch.ManualSeed(7)
	type batch struct{ preds, target *torch.Tensor }
	batches := map[string]batch{}
	want := map[string]*torch.Tensor{}
	for name, s := range everyScorer {
		p, y := s.draw(10)
		batches[name] = batch{p, y}
		m := s.make()
		m.Update(p, y)
		want[name] = m.Compute(nil)
	}
	errs := ranktest.Run(t, "inprocess", 3, dist.Options{}, func(_ context.Context, g *dist.Group) error {
		list := map[string]metrics.Scorer{}
		for name, s := range everyScorer {
			list[name] = s.make()
		}
		all := metrics.NewCollection(list)
		for _, value := range all.Compute(metrics.Over(g)) {
			require.NotNil(t, value) // no rank has a sample
		}
		if g.Rank() == 1 {
			for name, b := range batches {
				all.Metric(name).Update(b.preds, b.target)
			}
		}
		for name, value := range all.Compute(metrics.Over(g)) {
			require.True(t, want[name].Equal(value), name)
		}
		return nil
	})
	for _, err := range errs {
		require.NoError(t, err)
	}
}

func TestCollectionResumesAndRefuses(t *testing.T) {
	build := func() *metrics.Collection {
		return metrics.NewCollection(map[string]metrics.Scorer{
			"accuracy": metrics.NewAccuracy(metrics.Multiclass(4)), "auroc": metrics.NewAUROC(metrics.Multiclass(4)),
		})
	}
	c := build()
	p, y := drawClasses(10)
	values := c.Forward(p, y)
	require.Equal(t, []string{"accuracy", "auroc"}, c.Names())
	again := build()
	require.NoError(t, again.LoadStateDict(c.StateDict()))
	for name, v := range again.Compute(nil) {
		require.True(t, v.Equal(values[name]), name)
	}
	broken := c.StateDict()
	broken["auroc"] = map[string]any{}
	again.Reset()
	require.ErrorContains(t, again.LoadStateDict(broken), `metric "auroc"`)
	require.Zero(t, again.Metric("accuracy").UpdateCount())
	require.ErrorContains(t, again.LoadStateDict(map[string]any{}), "want [accuracy auroc]")
}

// ScoresLogits decides what a batch of logits in [0, 1] means.
func TestScoresAreDecidedOnce(t *testing.T) {
	task := metrics.Binary()
	logits, target := floats(0.1, 0.2), ints(1, 1)
	auto := metrics.NewAccuracy(task)
	auto.Update(logits, target)
	require.Equal(t, 0.0, auto.Compute(nil).Item())
	task.Scores = metrics.ScoresLogits
	fixed := metrics.NewAccuracy(task)
	fixed.Update(logits, target)
	require.Equal(t, 1.0, fixed.Compute(nil).Item())
}
