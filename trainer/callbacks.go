package trainer

import (
	"fmt"
	"time"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/optim"
)

// LearningRateMonitor logs learning rates, under lr-SGD and the like (lightning.pytorch.callbacks.LearningRateMonitor).
// Several parameter groups have /pg1, /pg2, ... in their names, several optimizers of one type -1, -2, ...
type LearningRateMonitor struct {
	// Interval is when rates are logged. nil: each schedule's own.
	Interval *Interval
	// Momentum and WeightDecay log these settings too.
	Momentum, WeightDecay bool
}

// OnTrainStart checks that there is a logger.
func (c *LearningRateMonitor) OnTrainStart(t *Trainer) error {
	if len(t.loggers) == 0 {
		return fmt.Errorf("LearningRateMonitor has no logger to log to: leave out NoLogger, or the callback")
	}
	return nil
}

// OnTrainBatchStart logs the rates of schedules that step by step.
func (c *LearningRateMonitor) OnTrainBatchStart(t *Trainer, _ any, _ int) error {
	if !t.logDue(t.steppedBatches+1) || c.Interval != nil && *c.Interval != Step {
		return nil
	}
	return c.log(t, Step)
}

// OnTrainEpochStart logs the rates of schedules that step by epoch.
func (c *LearningRateMonitor) OnTrainEpochStart(t *Trainer) error {
	if c.Interval != nil && *c.Interval != Epoch {
		return nil
	}
	return c.log(t, Epoch)
}

func (c *LearningRateMonitor) log(t *Trainer, interval Interval) error {
	values, count := metrics{}, map[string]int{}
	for _, o := range t.Optimizers() {
		s := t.scheduleOf(o)
		if s != nil && s.Interval != interval && c.Interval == nil || s == nil && interval != Epoch && c.Interval == nil {
			continue
		}
		name := "lr-" + typeName(o)
		if s != nil && s.Name != "" {
			name = s.Name
		}
		if n := count[name]; n > 0 {
			count[name]++
			name = fmt.Sprintf("%s-%d", name, n)
		} else {
			count[name] = 1
		}
		groups := o.ParamGroups()
		for i, g := range groups {
			key := name
			if len(groups) > 1 {
				key = fmt.Sprintf("%s/pg%d", name, i+1)
			}
			values[key] = value{x: g.LR}
			if c.Momentum {
				momentum := g.Momentum
				if g.Betas[0] != 0 {
					momentum = g.Betas[0]
				}
				values[key+"-momentum"] = value{x: momentum}
			}
			if c.WeightDecay {
				values[key+"-weight_decay"] = value{x: g.WeightDecay}
			}
		}
	}
	rounded := metrics{}
	for key, v := range values {
		rounded[key] = number(v.x)
	}
	t.logged.update(logged{callback: rounded})
	if len(values) == 0 {
		return nil
	}
	at := int64(t.steppedBatches)
	return t.eachLogger(func(l lite.MetricLogger) error { return l.LogMetrics(values.floats(), at) })
}

// scheduleOf returns the schedule of an optimizer, nil if it has none. With one optimizer it is the first.
func (t *Trainer) scheduleOf(o optim.Optimizer) *Schedule {
	for i := range t.schedules {
		if len(t.Optimizers()) == 1 || i < len(t.Optimizers()) && t.Optimizers()[i] == o {
			return &t.schedules[i]
		}
	}
	return nil
}

// Timer ends training after a time (lightning.pytorch.callbacks.Timer). The time before a resume counts.
type Timer struct {
	// Duration is the time. 0: no limit, for Elapsed alone.
	Duration time.Duration
	// Interval is when the time is looked at: Epoch, or each Step, which is the default of Options.MaxTime's Timer.
	Interval Interval

	start  time.Time
	before time.Duration
}

// Elapsed returns how long training has run.
func (c *Timer) Elapsed() time.Duration {
	if c.start.IsZero() {
		return c.before
	}
	return c.before + time.Since(c.start)
}

// OnFitStart begins the time.
func (c *Timer) OnFitStart(t *Trainer) error {
	c.before, c.start = c.Elapsed(), time.Now()
	return c.check(t)
}

// Teardown ends the time.
func (c *Timer) Teardown(*Trainer, Stage) error {
	c.before, c.start = c.Elapsed(), time.Time{}
	return nil
}

// OnTrainBatchEnd looks at the time.
func (c *Timer) OnTrainBatchEnd(t *Trainer, _ *torch.Tensor, _ any, _ int) error {
	if c.Interval == Epoch && t.o.MaxTime == 0 {
		return nil
	}
	return c.check(t)
}

// OnTrainEpochEnd looks at the time.
func (c *Timer) OnTrainEpochEnd(t *Trainer) error { return c.check(t) }

func (c *Timer) check(t *Trainer) error {
	if c.Duration > 0 && t.agree(c.Elapsed() >= c.Duration) {
		t.Stop()
	}
	return nil
}

// StateDict returns the elapsed time.
func (c *Timer) StateDict() map[string]any {
	return map[string]any{"time_elapsed": map[string]any{"train": c.Elapsed().Seconds(), "sanity_check": 0.0, "validate": 0.0, "test": 0.0, "predict": 0.0}}
}

// LoadStateDict takes a state of StateDict's or Lightning's.
func (c *Timer) LoadStateDict(s map[string]any) error {
	elapsed, err := entry[map[string]any](s, "time_elapsed")
	if err != nil {
		return err
	}
	seconds, err := scalarOf(elapsed["train"])
	if err != nil {
		return fmt.Errorf("time_elapsed: %w", err)
	}
	c.before = time.Duration(seconds * float64(time.Second))
	return nil
}

// GradientAccumulationScheduler changes how many batches a step has, from an epoch on
// (lightning.pytorch.callbacks.GradientAccumulationScheduler): map[int]int{0: 1, 4: 8}.
type GradientAccumulationScheduler struct{ Scheduling map[int]int }

// Setup checks the settings.
func (c *GradientAccumulationScheduler) Setup(t *Trainer, stage Stage) error {
	for epoch, n := range c.Scheduling {
		if epoch < 0 || n < 1 {
			return fmt.Errorf("GradientAccumulationScheduler: from epoch %d on %d batches: want an epoch of 0 or more and 1 batch or more", epoch, n)
		}
	}
	if t.o.AccumulateGradBatches > 1 {
		return fmt.Errorf("GradientAccumulationScheduler and AccumulateGradBatches exclude each other: use one of them")
	}
	return nil
}

// OnTrainEpochStart sets the number for the epoch.
func (c *GradientAccumulationScheduler) OnTrainEpochStart(t *Trainer) error {
	if t.optimizer == nil {
		return fmt.Errorf("GradientAccumulationScheduler: TrainingStep accumulates by itself in manual optimization")
	}
	t.accumulate = 1
	at := -1
	for epoch, n := range c.Scheduling {
		if epoch <= t.Epoch() && epoch > at {
			at, t.accumulate = epoch, n
		}
	}
	return nil
}
