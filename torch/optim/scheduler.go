package optim

import (
	"fmt"
	"maps"
	"slices"

	"github.com/golite/golite/internal/typename"
	"github.com/golite/golite/torch"
)

// Scheduler changes learning rates as training goes on (torch.optim.lr_scheduler.LRScheduler). Step it once an epoch or
// once a step, after the optimizer.
type Scheduler interface {
	// Step goes on by one and sets the groups' learning rates.
	Step()
	// LastLR returns the rates that the last Step set, one for each group (get_last_lr).
	LastLR() []float64
	// StateDict returns the state in Python's layout (state_dict). Functions are not in it.
	StateDict() map[string]any
	// LoadStateDict takes a state in Python's layout; on an error nothing is changed (load_state_dict). The optimizer's
	// rates are the optimizer's state, and stay as they are.
	LoadStateDict(map[string]any) error
}

// LRScheduler is the part that most schedulers share (torch.optim.lr_scheduler.LRScheduler).
type LRScheduler struct {
	label                string
	opt                  *Base
	baseLRs, lastLR      []float64
	lastEpoch, stepCount int
	initial              bool

	rates   func() []float64 // the next rates
	closed  func() []float64 // the same from the count alone, where there is a formula; else nil
	advance func()           // Step
	fields  []setting        // what the state dict holds beside the shared part
}

// start fills an LRScheduler and makes its initial step, as PyTorch's constructors do.
func (s *LRScheduler) start(label string, o Optimizer, rates func() []float64, fields ...setting) {
	s.label, s.opt, s.rates, s.fields = label, baseOf("optim.New"+label, o), rates, fields
	if s.advance == nil {
		s.advance = s.step
	}
	s.baseLRs = nil
	for _, g := range s.opt.groups {
		if g.InitialLR == nil {
			g.InitialLR = new(g.LR)
		}
		s.baseLRs = append(s.baseLRs, *g.InitialLR)
	}
	s.lastEpoch = -1
	s.initialStep()
}

// Step goes on by one and sets the groups' learning rates (LRScheduler.step).
func (s *LRScheduler) Step() { s.advance() }

// LastLR returns the rates that the last Step set, one for each group (LRScheduler.get_last_lr).
func (s *LRScheduler) LastLR() []float64 { return slices.Clone(s.lastLR) }

func (s *LRScheduler) step() {
	s.stepCount++
	s.lastEpoch++
	s.set(s.rates())
}

// set gives the groups their rates.
func (s *LRScheduler) set(rates []float64) {
	for i, g := range s.opt.groups {
		g.LR = rates[i]
	}
	s.lastLR = s.current()
}

// current is the groups' rates.
func (s *LRScheduler) current() []float64 {
	return s.each(func(_ int, g *ParamGroup) float64 { return g.LR })
}

// scaled is the groups' rates times a factor.
func (s *LRScheduler) scaled(factor float64) []float64 {
	return s.each(func(_ int, g *ParamGroup) float64 { return g.LR * factor })
}

func (s *LRScheduler) each(f func(i int, g *ParamGroup) float64) []float64 {
	out := make([]float64, len(s.opt.groups))
	for i, g := range s.opt.groups {
		out[i] = f(i, g)
	}
	return out
}

// fromBase is a formula of the base rates.
func (s *LRScheduler) fromBase(f func(base float64) float64) []float64 {
	return s.each(func(i int, _ *ParamGroup) float64 { return f(s.baseLRs[i]) })
}

// child is what SequentialLR and ChainedScheduler do with the schedulers inside them.
type child interface {
	Scheduler
	optimizer() *Base
	initialStep()
	restart() // as at the count of 0
	undo()    // the constructor's step
}

func (s *LRScheduler) optimizer() *Base { return s.opt }

func (s *LRScheduler) initialStep() {
	s.stepCount, s.initial = 0, true
	s.advance()
	s.initial = false
}

func (s *LRScheduler) restart() {
	s.lastEpoch = 0
	if s.closed != nil {
		s.set(s.closed())
		return
	}
	s.set(s.rates())
}

func (s *LRScheduler) undo() { s.lastEpoch-- }

// shared is the part of the state dict that all have.
func (s *LRScheduler) shared() []setting {
	return []setting{{"base_lrs", &s.baseLRs}, {"last_epoch", &s.lastEpoch}, {"_step_count", &s.stepCount},
		{"_is_initial", false},
		{"_get_lr_called_within_step", false}, {"_last_lr", &s.lastLR}}
}

// StateDict returns the state in Python's layout; functions are not in it (LRScheduler.state_dict).
func (s *LRScheduler) StateDict() map[string]any {
	out := map[string]any{}
	for _, f := range slices.Concat(s.fields, s.shared()) {
		out[f.key] = value(f.value)
	}
	return out
}

// LoadStateDict takes a state in Python's layout; what it lacks stays as it is, and on an error nothing is changed
// (LRScheduler.load_state_dict).
func (s *LRScheduler) LoadStateDict(d map[string]any) error {
	return loadFields(s.label, d, slices.Concat(s.fields, s.shared()), len(s.opt.groups))
}

// loadFields reads settings from a state dict. One that isn't there keeps its value; lists of numbers must have one for
// each group.
func loadFields(label string, d map[string]any, fields []setting, groups int) error {
	if _, ok := d["_last_lr"]; !ok {
		return fmt.Errorf("optim: state of %s: it has no _last_lr: want a scheduler's state, found the keys %v", label,
			slices.Sorted(maps.Keys(d)))
	}
	var apply []func()
	for _, f := range fields {
		v, there := d[f.key]
		if !there {
			continue
		}
		set, err := assignment(f.value, v)
		if list, ok := v.([]any); err == nil && ok && len(list) != groups {
			if _, ok := f.value.(*[]float64); ok {
				err = fmt.Errorf("it has %d numbers, and the optimizer %d groups", len(list), groups)
			}
		}
		if err != nil {
			return fmt.Errorf("optim: state of %s: %s: %w", label, f.key, err)
		}
		apply = append(apply, set)
	}
	for _, f := range apply {
		f()
	}
	return nil
}

// loadable is a field that reads itself.
type loadable interface {
	value() any
	parse(v any) (apply func(), err error)
}

// assignment checks that v fits what a setting points at, and returns what puts it there.
func assignment(to, v any) (func(), error) {
	bad := fmt.Errorf("%v is a %s", v, typename.Of(v))
	switch p := to.(type) {
	case *int:
		if f, ok := number(v); ok && f == float64(int(f)) {
			return func() { *p = int(f) }, nil
		}
		return nil, bad
	case *float64:
		if f, ok := number(v); ok {
			return func() { *p = f }, nil
		}
		return nil, bad
	case *bool:
		if b, ok := v.(bool); ok {
			return func() { *p = b }, nil
		}
		return nil, bad
	case *string:
		if s, ok := v.(string); ok {
			return func() { *p = s }, nil
		}
		return nil, bad
	case *[]float64:
		return numbers(p, v)
	case loadable:
		return p.parse(v)
	}
	return func() {}, nil
}

func numbers(to *[]float64, v any) (func(), error) {
	items, ok := list(v)
	if !ok {
		return nil, fmt.Errorf("%v is a %s, want a list of numbers", v, typename.Of(v))
	}
	out := make([]float64, len(items))
	for i, x := range items {
		if out[i], ok = number(x); !ok {
			return nil, fmt.Errorf("element %d is a %s, want a number", i, typename.Of(x))
		}
	}
	return func() { *to = out }, nil
}

// perGroup gives each group its own number of list, or all the same if there is no list.
func perGroup(name, what string, o Optimizer, list []float64, same float64) []float64 {
	n := len(baseOf("optim.New"+name, o).groups)
	if list == nil {
		return slices.Repeat([]float64{same}, n)
	}
	if len(list) != n {
		torch.Fail("optim.New"+name, "there are %d %s, and the optimizer has %d groups", len(list), what, n)
	}
	return slices.Clone(list)
}
