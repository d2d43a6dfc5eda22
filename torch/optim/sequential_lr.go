package optim

import (
	"fmt"
	"slices"

	"github.com/golite/golite/internal/typename"
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

// group is the schedulers inside another.
type group struct {
	opt  *Base
	list []child
}

// children checks the schedulers that another is made of; without an optimizer, the first one's counts.
func children(name string, o Optimizer, schedulers []Scheduler) group {
	if len(schedulers) == 0 {
		torch.Fail("optim.New"+name, "there are no schedulers")
	}
	var g group
	if o != nil {
		g.opt = baseOf("optim.New"+name, o)
	}
	for i, s := range schedulers {
		c, ok := s.(child)
		if !ok {
			torch.Fail("optim.New"+name, "scheduler %d is a %T: want one of this package's", i, s)
		}
		if g.opt == nil {
			g.opt = c.optimizer()
		}
		if c.optimizer() != g.opt {
			torch.Fail("optim.New"+name, "scheduler %d, a %T, is another optimizer's", i, s)
		}
		g.list = append(g.list, c)
	}
	return g
}

func (g *group) optimizer() *Base { return g.opt }

func (g *group) undo() {
	for _, c := range g.list {
		c.undo()
	}
}

func (g *group) rates() []float64 {
	out := make([]float64, len(g.opt.groups))
	for i, p := range g.opt.groups {
		out[i] = p.LR
	}
	return out
}

func (g *group) states() []any {
	out := make([]any, len(g.list))
	for i, c := range g.list {
		out[i] = c.StateDict()
	}
	return out
}

// load reads the children's states and the fields; if one fails, those before it get their old states back.
func (g *group) load(label string, d map[string]any, fields []setting) (err error) {
	states, ok := list(d["_schedulers"])
	if !ok || len(states) != len(g.list) {
		return fmt.Errorf("optim: state of %s: it has %d schedulers inside, want %d", label, len(states), len(g.list))
	}
	before := g.states()
	for i, c := range g.list {
		entry, ok := mapping(states[i])
		if !ok {
			err = fmt.Errorf("optim: state of %s: scheduler %d is a %s", label, i, typename.Of(states[i]))
		} else {
			err = c.LoadStateDict(entry)
		}
		if err != nil {
			break
		}
	}
	if err == nil {
		err = loadFields(label, d, fields, len(g.opt.groups))
	}
	if err == nil {
		return nil
	}
	for i, c := range g.list {
		if undo := c.LoadStateDict(before[i].(map[string]any)); undo != nil {
			return fmt.Errorf("%w; and its own state could not be put back: %w", err, undo)
		}
	}
	return err
}
