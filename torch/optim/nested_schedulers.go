package optim

import (
	"fmt"

	"github.com/golite/golite/internal/typename"
	"github.com/golite/golite/torch"
)

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
