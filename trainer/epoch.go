package trainer

import (
	"errors"
	"fmt"
	"time"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
)

// epoch runs one epoch, or what is left of it after a resume.
func (f *fit[B]) epoch() error {
	t := f.t
	if err := f.load(); err != nil {
		return err
	}
	t.results = f.values
	f.odd = false
	resume := f.resume
	f.resume = nil
	if !resume.inEpoch() {
		t.at, t.isLastBatch = atStart, false
		t.epochs.ready()
		t.batches.reset()
		t.schedulerSteps.reset()
		t.steps.reset()
		t.zeroGrads.reset()
		t.manualSteps.reset()
		t.valBatches.total = counts{}
		if err := t.plain("OnTrainEpochStart"); err != nil {
			return err
		}
		t.epochs.started()
	} else {
		f.odd = resume.otherRanks(t)
		if err := f.finishBatch(resume.at); err != nil {
			return err
		}
	}
	before := t.batches.current.ready
	if err := f.batches(); err != nil {
		return err
	}
	if t.trainBatches == noLimit && t.batches.total.ready == 0 && before == 0 {
		return fmt.Errorf("trainer: %T.TrainDataLoader: an epoch had no batch: want a loader with samples", f.d)
	}
	return f.endEpoch()
}

// finishBatch does what was left of a batch when the checkpoint was saved.
func (f *fit[B]) finishBatch(at position) error {
	t := f.t
	f.values.inBatch = true
	switch at {
	case atBatchEnd:
		t.batches.completed()
		if err := t.logStep(f.values); err != nil {
			return err
		}
		return f.afterBatch()
	case atValidationEnd:
		t.validated, t.weightsValidated = true, t.GlobalStep()
		return f.afterValidation()
	}
	return nil
}

// batches runs the batches of the epoch, or those that are left of it.
func (f *fit[B]) batches() error {
	t := f.t
	var none B
	defer func() { f.batch = none }()
	over := t.isLastBatch || t.batches.current.ready >= t.trainBatches && !f.odd || t.batchesDone()
	for batch, err := range f.ahead() {
		if err != nil {
			return err
		}
		if over { // the loop is entered all the same, so that the loader's pass ends
			break
		}
		f.batch = batch
		if err := f.trainBatch(); errors.Is(err, ErrSkipEpoch) {
			break
		} else if err != nil {
			return err
		}
		if err := f.afterBatch(); err != nil {
			return err
		}
		over = t.isLastBatch || t.batchesDone()
		if over {
			break
		}
	}
	return nil
}

// ahead reads batches. Where the loader's length is unknown it is one ahead, so that the last batch is known as such.
func (f *fit[B]) ahead() func(yield func(B, error) bool) {
	t := f.t
	isLimit := func() bool { return t.batches.current.ready+1 >= t.trainBatches && !f.odd }
	if f.loader.Len() >= 0 && !f.odd {
		return func(yield func(B, error) bool) {
			for b, err := range f.loader.Batches(f.ctx) {
				t.isLastBatch = isLimit()
				if !yield(b, err) {
					return
				}
			}
		}
	}
	return func(yield func(B, error) bool) {
		var next B
		has := false
		t.isLastBatch = false
		defer func() { f.read = nil }()
		for b, err := range f.loader.Batches(f.ctx) {
			if err != nil {
				yield(b, err)
				return
			}
			after := f.loader.StateDict()
			torch.EachTensor(after, func(t *torch.Tensor) { t.Keep() })
			torch.EachTensor(b, func(t *torch.Tensor) { t.Keep() }) // it is used in the scope of the next
			if has && !yield(next, nil) {
				return
			}
			next, has, f.read = b, true, after
			if isLimit() {
				break
			}
		}
		if t.isLastBatch = true; has {
			yield(next, nil)
		}
	}
}

// batchesDone reports whether the epoch ends before its last batch.
func (t *Trainer) batchesDone() bool {
	return t.o.MaxSteps > 0 && t.GlobalStep() >= t.o.MaxSteps || t.stopsNow()
}

// trainBatch runs one batch with its hooks.
func (f *fit[B]) trainBatch() error {
	t := f.t
	t.batches.ready()
	f.values.inBatch = true
	f.values.batches++
	idx := t.BatchIdx()
	err := f.batchHooks.start.each(t, func(h func(*Trainer, B, int) error) error { return h(t, f.batch, idx) })
	if errors.Is(err, ErrSkipEpoch) {
		t.isLastBatch = true
		t.batches.processed()
		return errors.Join(err, t.stepSchedules(Step, false), t.stepSchedules(Epoch, false))
	} else if err != nil {
		return err
	}
	t.batches.started()
	loss, err := f.optimize()
	if err != nil {
		return err
	}
	t.batches.processed()
	if err := t.stepSchedules(Step, false); err != nil {
		return err
	}
	if t.isLastBatch {
		if err := t.stepSchedules(Epoch, false); err != nil {
			return err
		}
	}
	t.at = atBatchEnd
	err = f.batchHooks.end.each(t, func(h func(*Trainer, any, *torch.Tensor, B, int) error) error { return h(t, nil, loss, f.batch, idx) })
	if err != nil {
		return err
	}
	t.batches.completed()
	return t.logStep(f.values)
}

// afterBatch validates where that is due, and looks for a request to stop.
func (f *fit[B]) afterBatch() error {
	t := f.t
	if f.val != nil && t.valDue() {
		if !t.accumulating() {
			for _, o := range t.Optimizers() {
				o.ZeroGrad()
			}
		}
		t.at = atValidationEnd
		if err := f.validate(); err != nil {
			return err
		}
	}
	return f.afterValidation()
}

// afterValidation ends a batch.
func (f *fit[B]) afterValidation() error {
	t := f.t
	if err := t.stepSchedules(Step, true); err != nil {
		return err
	}
	if !t.accumulating() {
		t.steppedBatches++
	}
	t.at = atStepEnd
	if f.rewinds {
		if t.rewind = nil; !t.accumulating() {
			t.rewind = f.snapshot()
		}
	}
	if t.accumulating() || !t.l.Stopping() {
		return nil
	}
	if err := t.saveStopped(); err != nil {
		return err
	}
	return fmt.Errorf("trainer: Fit was asked to stop, in epoch %d after step %d: %w", t.Epoch(), t.GlobalStep(), lite.ErrStopped)
}

// endEpoch computes the epoch's values and calls its hooks.
func (f *fit[B]) endEpoch() error {
	t := f.t
	t.at = atEpochEnd
	t.refresh()
	f.values.inBatch = false
	t.logged.update(f.values.collect(t))
	t.epochs.processed()
	if err := t.plain("OnTrainEpochEnd"); err != nil {
		return err
	}
	t.logged.update(f.values.collect(t))
	if err := t.hooks.epochEndMonitors.call(t); err != nil {
		return err
	}
	m := f.values.collect(t)
	t.logged.update(m)
	if err := t.stepPlateaus(); err != nil {
		return err
	}
	if err := t.logMetrics(m.log, t.steppedBatches-1); err != nil {
		return err
	}
	f.values.reset()
	t.epochs.completed()
	t.at = atStart
	return nil
}

// accumulating reports whether the batch that runs adds to the gradients without a step.
func (t *Trainer) accumulating() bool {
	return t.optimizer != nil && t.batches.current.ready%t.accumulate != 0 && !t.isLastBatch
}

// valDue reports whether validation follows this batch.
func (t *Trainer) valDue() bool {
	every := t.o.CheckValEveryNEpochs
	if every > 0 && (t.Epoch()+1)%every != 0 {
		return false
	}
	if t.stopsNow() {
		return true
	}
	switch a := t.o.ValCheckInterval; {
	case a.kind == amountTime:
		return t.agree(time.Since(t.lastVal) >= a.time)
	case t.valCheckBatch == 0:
		return t.isLastBatch
	case every == -1:
		return t.batches.total.ready%t.valCheckBatch == 0
	}
	return t.batches.current.ready%t.valCheckBatch == 0
}

// setValInterval finds after how many batches validation runs.
func (t *Trainer) setValInterval() error {
	t.valCheckBatch = 0 // at the last batch
	switch a := t.o.ValCheckInterval; {
	case a.kind == amountTime:
	case a.kind == amountBatches:
		if t.valCheckBatch = a.n; t.o.CheckValEveryNEpochs != -1 && a.n > t.trainBatches {
			return fmt.Errorf("trainer: ValCheckInterval is %v, and an epoch has %d batches: want at most as many, or CheckValEveryNEpochs of -1, "+
				"which counts across epochs", a, t.trainBatches)
		}
	case t.trainBatches == noLimit:
		if a.kind == amountFraction && a.fraction < 1 {
			return fmt.Errorf("trainer: ValCheckInterval is %v, and the loader's length is unknown: want Batches(n)", a)
		}
	case a.kind == amountFraction && a.fraction < 1:
		t.valCheckBatch = max(1, int(float64(t.trainBatches)*a.fraction))
	}
	return nil
}

// agree returns rank 0's answer on all ranks.
func (t *Trainer) agree(v bool) bool {
	if t.l.WorldSize() == 1 {
		return v
	}
	return lite.Broadcast(t.l, v, 0)
}

// anyRank reports whether v holds on any rank.
func (t *Trainer) anyRank(v bool) bool {
	if t.l.WorldSize() == 1 {
		return v
	}
	n := 0
	if v {
		n = 1
	}
	return lite.Sum(t.l, n) > 0
}
