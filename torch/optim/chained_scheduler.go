package optim

import (
	"slices"

	"github.com/golite/golite/torch"
)

// ChainedScheduler steps several schedulers at once, so that their factors multiply
// (torch.optim.lr_scheduler.ChainedScheduler).
type ChainedScheduler struct {
	group
	lastLR []float64
}

// NewChainedScheduler makes a ChainedScheduler of schedulers of one optimizer
// (torch.optim.lr_scheduler.ChainedScheduler). It panics if there are none, one is another optimizer's, or one is not
// of this package.
func NewChainedScheduler(schedulers ...Scheduler) *ChainedScheduler {
	s := &ChainedScheduler{group: children("ChainedScheduler", nil, schedulers)}
	s.lastLR = s.rates()
	return s
}

// Step steps all, in their order.
func (s *ChainedScheduler) Step() {
	for _, c := range s.list {
		c.Step()
	}
	s.lastLR = s.rates()
}

// LastLR returns the rates that the last Step set, one for each group.
func (s *ChainedScheduler) LastLR() []float64 { return slices.Clone(s.lastLR) }

// StateDict returns the state in Python's layout, with those of the schedulers inside.
func (s *ChainedScheduler) StateDict() map[string]any {
	return map[string]any{"_last_lr": value(&s.lastLR), "_schedulers": s.states()}
}

// LoadStateDict takes a state in Python's layout; on an error nothing is changed.
func (s *ChainedScheduler) LoadStateDict(d map[string]any) error {
	return s.load("ChainedScheduler", d, []setting{{"_last_lr", &s.lastLR}})
}

func (s *ChainedScheduler) initialStep() { s.Step() }

func (s *ChainedScheduler) restart() {
	torch.Fail("optim.ChainedScheduler", "a ChainedScheduler can only be the first scheduler inside a SequentialLR")
}
