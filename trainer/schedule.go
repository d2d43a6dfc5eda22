package trainer

import (
	"fmt"
	"maps"
	"slices"

	"github.com/golite/golite/torch/optim"
)

// stepper is a scheduler that needs no value.
type stepper interface{ Step() }

// check checks a Schedule and gives it its defaults.
func (s *Schedule) check(t *Trainer, name string, i int) error {
	_, plateau := s.Scheduler.(*optim.ReduceLROnPlateau)
	_, steps := s.Scheduler.(stepper)
	switch {
	case isNil(s.Scheduler):
		return fmt.Errorf("%s returned a Schedule without a Scheduler, number %d", name, i)
	case !plateau && !steps:
		return fmt.Errorf("%s returned a %T as Scheduler: want an optim.Scheduler or an *optim.ReduceLROnPlateau", name, s.Scheduler)
	case plateau && s.Monitor == "":
		return fmt.Errorf("%s returned a ReduceLROnPlateau without Monitor: want the name of a value that is logged", name)
	case s.Frequency < 0:
		return fmt.Errorf("%s returned a Schedule with Frequency %d: want 1 or more", name, s.Frequency)
	case s.Interval != Epoch && s.Interval != Step:
		return fmt.Errorf("%s returned a Schedule with Interval %d: want Epoch or Step", name, s.Interval)
	}
	if s.Frequency == 0 {
		s.Frequency = 1
	}
	if _, oneCycle := s.Scheduler.(*optim.OneCycleLR); oneCycle && s.Interval == Epoch {
		t.l.Logger().Warn("trainer: a OneCycleLR is stepped once an epoch: it is meant for Interval Step, with t.EstimatedSteps() steps in all")
	}
	return nil
}

// stepSchedules steps those of an interval that are due: those that take a value or the others. Those of an epoch come
// with its last batch, so that validation runs with the next epoch's rates.
func (t *Trainer) stepSchedules(interval Interval, plateau bool) error {
	if len(t.schedules) == 0 || t.optimizer == nil || interval == Step && t.accumulating() {
		return nil
	}
	at := t.Epoch()
	if interval == Step {
		at = t.BatchIdx()
	}
	for i := range t.schedules {
		s := &t.schedules[i]
		_, takes := s.Scheduler.(*optim.ReduceLROnPlateau)
		if s.Interval != interval || takes != plateau || (at+1)%s.Frequency != 0 {
			continue
		}
		if err := t.stepSchedule(s, takes); err != nil {
			return err
		}
	}
	return nil
}

func (t *Trainer) stepSchedule(s *Schedule, takes bool) error {
	var metric *float64
	if takes {
		v, ok := t.Metric(s.Monitor)
		switch {
		case !ok && !s.NonStrict:
			return fmt.Errorf("trainer: ReduceLROnPlateau has the Monitor %q, which was not logged: there are %q; set NonStrict to pass over steps without it",
				s.Monitor, slices.Sorted(maps.Keys(t.logged.callback)))
		case !ok:
			t.l.Logger().Warn(fmt.Sprintf("trainer: ReduceLROnPlateau is not stepped: its Monitor %q was not logged", s.Monitor))
			return nil
		}
		metric = &v
	}
	t.schedulerSteps.ready()
	switch own := t.hooks.schedulerStep; {
	case own != nil:
		if err := own.LRSchedulerStep(t, s.Scheduler, metric); err != nil {
			return fmt.Errorf("trainer: LRSchedulerStep: %w", err)
		}
	case takes:
		s.Scheduler.(*optim.ReduceLROnPlateau).Step(*metric)
	default:
		s.Scheduler.(stepper).Step()
	}
	t.schedulerSteps.completed()
	return nil
}

// stepPlateaus steps, at the end of an epoch that was run to its last batch, the schedulers that take a value.
func (t *Trainer) stepPlateaus() error {
	if !t.isLastBatch {
		return nil
	}
	return t.stepSchedules(Epoch, true)
}
