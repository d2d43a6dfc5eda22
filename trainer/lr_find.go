package trainer

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

// LRFindOptions are LRFind's optional arguments.
type LRFindOptions struct {
	// Min and Max are the first and the last rate. 0: 1e-8 and 1.
	Min, Max float64
	// Steps is how many rates are tried. 0: 100.
	Steps int
	// Linear takes equal steps between the rates; else each rate is the same multiple of the one before.
	Linear bool
	// EarlyStopThreshold ends the search where the smoothed loss is more than so many times the least. 0: 4. -1: never.
	EarlyStopThreshold float64
}

// LRFinder is what LRFind found: the rates, and the loss after a step with each, smoothed
// (lightning.pytorch.tuner.lr_finder._LRFinder).
type LRFinder struct{ LR, Loss []float64 }

// LRFind trains for some steps, each with a larger rate, and leaves the module and the random streams as they were
// (Tuner.lr_find). ConfigureOptimizers returns one optimizer; its schedules are not stepped. All ranks call it. The
// module's rate is the program's to set, before Fit:
//
//	f, err := trainer.LRFind(ctx, t, m, d)
//	if lr, ok := f.Suggestion(); err == nil && ok {
//		m.LR = lr
//	}
func LRFind[B any](ctx context.Context, t *Trainer, m Module[B], d TrainData[B], opts ...LRFindOptions) (*LRFinder, error) {
	o, err := options.One(opts)
	if err == nil {
		err = o.check()
	}
	if err != nil {
		return nil, fmt.Errorf("trainer: LRFind: %w", err)
	}
	if t.l.Sharded() {
		return nil, errors.New("trainer: LRFind puts whole weights back, and the strategy divides them among the ranks: use ddp")
	}
	if isNil(m) {
		return nil, errors.New("trainer: LRFind: the module is nil")
	}
	if _, err := t.setUp(m); err != nil { // so that both Trainers have it
		return nil, err
	}
	weights := torch.NoGradOf(func() *torch.StateDict {
		sd := &torch.StateDict{}
		for name, p := range nn.StateDict(m).All() {
			sd.Set(name, p.Clone())
		}
		return sd
	})
	f := &finder{o: o, found: &LRFinder{}}
	search := &Trainer{l: t.l, models: t.models, accumulate: t.o.AccumulateGradBatches, finding: true, o: Options{
		MaxEpochs: -1, MaxSteps: o.Steps, LimitTrainBatches: t.o.LimitTrainBatches, LimitValBatches: Batches(0), NoSanityCheck: true,
		NoFinalValidation: true, CheckValEveryNEpochs: 1, AccumulateGradBatches: t.o.AccumulateGradBatches, GradientClipVal: t.o.GradientClipVal,
		GradientClipAlgorithm: t.o.GradientClipAlgorithm, LogEveryNSteps: -1, Callbacks: []Callback{f}, RootDir: t.o.RootDir,
	}}
	err = t.isolated(func() error { return Fit(ctx, search, m, d) })
	nn.ZeroGrad(m)
	return f.found, errors.Join(err, nn.LoadStateDict(m, weights))
}

func (o *LRFindOptions) check() error {
	if o.Min == 0 {
		o.Min = 1e-8
	}
	if o.Max == 0 {
		o.Max = 1
	}
	if o.Steps == 0 {
		o.Steps = 100
	}
	if o.EarlyStopThreshold == 0 {
		o.EarlyStopThreshold = 4
	}
	switch {
	case !(o.Min > 0 && o.Max > o.Min) || math.IsInf(o.Max, 0):
		return fmt.Errorf("the rates are from %v to %v: want a positive one and a larger one", o.Min, o.Max)
	case o.Steps < 2:
		return fmt.Errorf("the number of Steps is %d: want 2 or more", o.Steps)
	case o.EarlyStopThreshold < 0 && o.EarlyStopThreshold != -1:
		return fmt.Errorf("the EarlyStopThreshold is %v: want a positive number, or -1 for never", o.EarlyStopThreshold)
	}
	return nil
}

// finder sets the rates and records the losses.
type finder struct {
	o       LRFindOptions
	found   *LRFinder
	average float64
	least   float64
}

// rate is that of a step, from 0. The first is Min, as Lightning's schedulers leave it.
func (f *finder) rate(step int) float64 {
	if step == 0 {
		return f.o.Min
	}
	r := float64(step+1) / float64(f.o.Steps)
	if f.o.Linear {
		return f.o.Min + r*(f.o.Max-f.o.Min)
	}
	return f.o.Min * math.Pow(f.o.Max/f.o.Min, r)
}

// OnTrainBatchStart sets the rate.
func (f *finder) OnTrainBatchStart(t *Trainer, _ any, batchIdx int) error {
	if t.optimizer == nil {
		return errors.New("LRFind has one optimizer, and ConfigureOptimizers returned Manual ones")
	}
	lr := f.rate(t.GlobalStep())
	for _, g := range t.optimizer.ParamGroups() {
		g.LR = lr
	}
	if (batchIdx+1)%t.accumulate == 0 {
		f.found.LR = append(f.found.LR, lr)
	}
	return nil
}

// OnTrainBatchEnd records the loss, smoothed.
func (f *finder) OnTrainBatchEnd(t *Trainer, loss *torch.Tensor, _ any, batchIdx int) error {
	if (batchIdx+1)%t.accumulate != 0 {
		return nil
	}
	const beta = 0.98
	if loss == nil {
		return errors.New("LRFind has no loss to look at: TrainingStep returned nil")
	}
	f.average = beta*f.average + (1-beta)*loss.Item()
	step := t.GlobalStep()
	smoothed := f.average / (1 - math.Pow(beta, float64(step+1)))
	if over := f.o.EarlyStopThreshold; over > 0 && step > 1 && t.anyRank(smoothed > over*f.least) {
		t.o.MaxSteps = step
	}
	if smoothed < f.least || step == 1 {
		f.least = smoothed
	}
	f.found.Loss = append(f.found.Loss, smoothed)
	return nil
}

// Suggestion returns the rate at which the loss falls most steeply, leaving out the first 10 steps and the last
// (suggestion). ok reports whether there is one: there are enough losses that are finite.
func (f *LRFinder) Suggestion() (lr float64, ok bool) {
	const first, last = 10, 1
	var at []int
	var x, y []float32
	for i := first; i < len(f.Loss)-last; i++ {
		if !math.IsNaN(f.Loss[i]) && !math.IsInf(f.Loss[i], 0) {
			at, x, y = append(at, i), append(x, float32(f.LR[i])), append(y, float32(f.Loss[i]))
		}
	}
	if len(at) < 2 {
		return 0, false
	}
	steepest, least := 0, float32(math.Inf(1))
	for i := range at {
		if s := slope(x, y, i); s < least {
			steepest, least = i, s
		}
	}
	return f.LR[at[steepest]], true
}

// slope is torch.gradient's: a parabola through three points, and a line at the ends.
func slope(x, y []float32, i int) float32 {
	n := len(x)
	switch i {
	case 0:
		return (y[1] - y[0]) / (x[1] - x[0])
	case n - 1:
		return (y[n-1] - y[n-2]) / (x[n-1] - x[n-2])
	}
	before, after := x[i]-x[i-1], x[i+1]-x[i]
	a := -after / (before * (before + after))
	b := (after - before) / (before * after)
	c := before / (after * (before + after))
	return a*y[i-1] + b*y[i] + c*y[i+1]
}
