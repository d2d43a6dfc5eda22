package optim

import (
	"fmt"
	"slices"

	"github.com/golite/golite/torch"
)

// SequentialLR uses one scheduler after another (torch.optim.lr_scheduler.SequentialLR).
type SequentialLR struct {
	group
	at        []float64
	lastEpoch int
	lastLR    []float64
}

// NewSequentialLR makes a SequentialLR that goes over to the next scheduler at each step of at
// (torch.optim.lr_scheduler.SequentialLR). It panics if there are no schedulers, one is another optimizer's or not of
// this package, or at does not have one step fewer than there are schedulers.
func NewSequentialLR(o Optimizer, schedulers []Scheduler, at []int) *SequentialLR {
	s := &SequentialLR{group: children("SequentialLR", o, schedulers)}
	if len(at) != len(schedulers)-1 {
		torch.Fail("optim.NewSequentialLR", "there are %d schedulers and %d milestones: want one milestone fewer",
			len(schedulers), len(at))
	}
	for _, m := range at {
		s.at = append(s.at, float64(m))
	}
	for _, g := range s.opt.groups {
		g.LR = *g.InitialLR
	}
	s.undo()
	s.list[0].initialStep()
	s.lastLR = s.list[0].LastLR()
	return s
}

// Step steps the scheduler whose turn it is; one that a milestone brings in begins with its step 0. It panics where
// that is a SequentialLR or a ChainedScheduler, which can only be first.
func (s *SequentialLR) Step() {
	s.lastEpoch++
	turn := 0
	for turn < len(s.at) && s.at[turn] <= float64(s.lastEpoch) {
		turn++
	}
	if turn > 0 && s.at[turn-1] == float64(s.lastEpoch) {
		s.list[turn].restart()
	} else {
		s.list[turn].Step()
	}
	s.lastLR = s.list[turn].LastLR()
}

// LastLR returns the rates that the last Step set, one for each group.
func (s *SequentialLR) LastLR() []float64 { return slices.Clone(s.lastLR) }

// StateDict returns the state in Python's layout, with those of the schedulers inside.
func (s *SequentialLR) StateDict() map[string]any {
	turns := make([]any, len(s.at))
	for i, m := range s.at {
		turns[i] = int(m)
	}
	return map[string]any{"_milestones": turns, "last_epoch": s.lastEpoch, "_last_lr": value(&s.lastLR),
		"_schedulers": s.states()}
}

// LoadStateDict takes a state in Python's layout; on an error nothing is changed.
func (s *SequentialLR) LoadStateDict(d map[string]any) error {
	turns, ok := list(d["_milestones"])
	if ok && len(turns) != len(s.at) {
		return fmt.Errorf("optim: state of SequentialLR: it has %d milestones, want %d", len(turns), len(s.at))
	}
	return s.load("SequentialLR", d, []setting{{"last_epoch", &s.lastEpoch}, {"_last_lr", &s.lastLR},
		{"_milestones", &unchecked{&s.at}}})
}

func (s *SequentialLR) initialStep() { s.Step() }

func (s *SequentialLR) restart() {
	torch.Fail("optim.SequentialLR", "a SequentialLR can only be the first scheduler inside another")
}

// unchecked is a list of numbers that has nothing to do with groups.
type unchecked struct{ list *[]float64 }

func (u *unchecked) value() any                  { return *u.list }
func (u *unchecked) parse(v any) (func(), error) { return numbers(u.list, v) }
