package optim

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/golite/golite/torch"
)

// Rule is the part of an optimizer that differs from the others: its settings, what it keeps of each parameter, and its
// update. New makes an Optimizer of it. Every optimizer of this package but LBFGS is one (in PyTorch, a subclass of
// torch.optim.Optimizer):
//
//	type signSGD struct{ lr float64 }
//
//	func (signSGD) Name() string               { return "SignSGD" }
//	func (r signSGD) Defaults() map[string]any { return map[string]any{"lr": r.lr} }
//	func (signSGD) Slots() []optim.Slot        { return nil }
//	func (signSGD) Update(g *optim.ParamGroup, b *optim.Batch) {
//		aten.ForeachAddList_(b.Params, aten.ForeachSign(b.Grads), torch.Float(-g.LR))
//	}
//	func (signSGD) Capturable(*optim.ParamGroup) error { return nil }
//
//	opt := optim.New(signSGD{lr: 0.01}, optim.Group{Params: nn.Parameters(net)})
//
// A Rule is not changed by steps: what changes from step to step belongs into slots, which are saved and loaded. Three
// methods are optional:
//
//	Check(g *ParamGroup) error // refuses a group's settings, or its parameters, when the group is added
//	SparseGrads()              // marks an Update that takes sparse gradients; else they panic before the step
//	EagerInit()                // marks state that is made when a group is added, not at a parameter's first step
type Rule interface {
	// Name is the optimizer's name in messages and where it is printed: PyTorch's class name.
	Name() string

	// Defaults returns the settings by PyTorch's names, each with the value for groups without their own (the
	// defaults of torch.optim.Optimizer). "lr" must be among them. Names with a field in ParamGroup are that field
	// ("lr" is LR, "betas" Betas, "weight_decay" WeightDecay); the others are in ParamGroup.Extra. A value is a
	// float64, int, bool or string, an array or slice of float64, or nil, and keeps its type; an int stands for a
	// float64 where the field is one. "foreach", "capturable" and "differentiable" are written to state dicts as they
	// are here, and never read.
	Defaults() map[string]any

	// Slots lists what is kept of each parameter (the keys of torch.optim.Optimizer.state). A slot named "step", which
	// comes first, counts the parameter's steps: see Batch.CountSteps.
	Slots() []Slot

	// Update makes one step for the parameters of a group that have gradients. It changes them and their state in
	// place, without gradients being recorded; tensors that it makes are freed after it. One foreach operation for a
	// list of tensors (aten.ForeachMulScalar_ and others) is faster than one operation for each.
	Update(g *ParamGroup, b *Batch)

	// Capturable returns why a CUDA graph cannot replay Update, nil if it can. A graph replays kernels with the
	// numbers that they were recorded with: an Update that computes a number in Go from the count of steps, or reads
	// one from a tensor, is none. The settings may be read: a change of one is recorded anew.
	Capturable(g *ParamGroup) error
}

// Slot is a tensor that a Rule keeps of each parameter (a key of torch.optim.Optimizer.state).
type Slot struct {
	// Name is the key in state dicts.
	Name string
	// Init makes the tensor at the parameter's first step, or returns nil for one that is not in use; nil makes zeros
	// like the parameter. Loaded tensors must have the shape that Init makes, the parameter's where it makes none, or
	// no dimensions; they are converted to the parameter's type, as in PyTorch.
	Init func(g *ParamGroup, p *torch.Tensor) *torch.Tensor
}

// unused is the Init of a slot that Update fills when it needs it.
func unused(*ParamGroup, *torch.Tensor) *torch.Tensor { return nil }

// when is the Init of a slot that is zeros where the settings use it.
func when(used func(g *ParamGroup) bool) func(*ParamGroup, *torch.Tensor) *torch.Tensor {
	return func(g *ParamGroup, p *torch.Tensor) *torch.Tensor {
		if !used(g) {
			return nil
		}
		return torch.ZerosLike(p)
	}
}

// The optional methods of a Rule.
type (
	checker     interface{ Check(g *ParamGroup) error }
	sparseTaker interface{ SparseGrads() }
	eager       interface{ EagerInit() }
	// integerSteps marks SparseAdam, whose steps are an int in Python's state dict.
	integerSteps interface{ integerSteps() }
)

// New makes an optimizer of a Rule and groups of parameters (a subclass of torch.optim.Optimizer). A type of its own
// embeds the result:
//
//	type Lion struct{ *optim.Base }
//
//	func NewLion(params []nn.Parameter, lr float64) *Lion {
//		return &Lion{optim.New(lion{lr: lr}, optim.Group{Params: params})}
//	}
//
// New panics where every constructor does (see the package's comment), for a Rule whose Defaults or Slots are not what
// Rule describes, and for a group that its Check refuses.
func New(r Rule, groups ...Group) *Base {
	if v := reflect.ValueOf(r); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		torch.Fail("optim.New", "the rule is nil: want an optim.Rule")
	}
	b := &Base{}
	b.setUp(r, groups)
	return b
}

// setUp fills a Base: every constructor ends in it.
func (b *Base) setUp(r Rule, groups []Group) {
	operation := "optim.New"
	own, ok := r.(torchRules)
	if ok {
		operation += own.torchName()
	}
	b.rule, b.states, b.fixed, b.own = r, map[*torch.Tensor]*state{}, map[string]any{}, ok
	_, b.sparse = r.(sparseTaker)
	if err := b.readRule(); err != nil {
		torch.Fail(operation, "%v", err)
	}
	if len(groups) == 0 {
		torch.Fail(operation, "there are no parameters")
	}
	for _, g := range groups {
		b.add(operation, g)
	}
}

// readRule takes the settings and the slots of the rule, and checks them.
func (b *Base) readRule() error {
	name, defaults := b.rule.Name(), b.rule.Defaults()
	if name == "" {
		return fmt.Errorf("Name of the rule %T is empty: want the optimizer's name", b.rule)
	}
	if _, there := defaults["lr"]; !there {
		return fmt.Errorf("Defaults of the rule %s have no \"lr\": want the learning rate among them", name)
	}
	_, own := b.rule.(torchRules)
	for _, key := range slices.Sorted(maps.Keys(defaults)) {
		if key == "params" || slices.Contains(keptNames, key) {
			return fmt.Errorf("Defaults of the rule %s have %q, which parameter groups keep themselves: want another name",
				name, key)
		}
		if key == "fused" && !own {
			return fmt.Errorf("Defaults of the rule %s have \"fused\", which selects kernels of libtorch's own optimizers",
				name)
		}
		b.keys = append(b.keys, key)
		if slices.Contains(fixedNames, key) {
			b.fixed[key] = defaults[key]
			continue
		}
		if err := b.settings.setDefault(key, defaults[key]); err != nil {
			return fmt.Errorf("Defaults of the rule %s: %w", name, err)
		}
	}
	b.slots = b.rule.Slots()
	for i, s := range b.slots {
		switch {
		case s.Name == "":
			return fmt.Errorf("slot %d of the rule %s has no name", i, name)
		case s.Name == "step" && i > 0:
			return fmt.Errorf("slot %d of the rule %s is \"step\", the count of steps: want it first", i, name)
		case slices.ContainsFunc(b.slots[:i], func(o Slot) bool { return o.Name == s.Name }):
			return fmt.Errorf("the rule %s has two slots named %q", name, s.Name)
		}
	}
	return nil
}

// newState makes the state of a parameter from the slots.
func (b *Base) newState(g *ParamGroup, p *torch.Tensor) *state {
	s := &state{slots: make([]*torch.Tensor, len(b.slots))}
	for i, slot := range b.slots {
		switch {
		case slot.Init != nil:
			s.slots[i] = slot.Init(g, p)
		case slot.Name == "step":
			s.slots[i] = counter(g, p)
		default:
			s.slots[i] = torch.ZerosLike(p)
		}
	}
	return s
}

// counts reports whether the rule counts steps.
func (b *Base) counts() bool { return len(b.slots) > 0 && b.slots[0].Name == "step" }

// torchRules is what the rules of this package have beside the methods of Rule.
type torchRules interface{ torchName() string }

// torchRule is what the rules of PyTorch's own optimizers share: a name, and settings that all have fields.
type torchRule struct {
	label    string
	keys     []string
	settings ParamGroup
}

func (r torchRule) Name() string { return r.label }

func (r torchRule) torchName() string { return r.label }

func (r torchRule) Defaults() map[string]any {
	d := map[string]any{}
	for _, key := range r.keys {
		switch key {
		case "foreach":
			d[key] = nil
		case "capturable", "differentiable":
			d[key] = false
		case "fused":
			d[key] = fusedFlag(&r.settings)
		default:
			d[key] = value(r.settings.field(key))
		}
	}
	return d
}

// Capturable refuses: most updates depend on the count of steps.
func (torchRule) Capturable(*ParamGroup) error { return errInGo }

var (
	errInGo    = errors.New("computes part of its steps in Go")
	errUnfused = errors.New("counts its steps in Go: give it Fused")
)

// needsFused refuses a group without Fused, whose kernels count steps on the device.
func needsFused(g *ParamGroup) error {
	if g.Fused {
		return nil
	}
	return errUnfused
}

// errNotMade is the remedy for an optimizer that has no rule.
const errNotMade = "the optimizer was not made by optim.New or a constructor such as optim.NewAdam: " +
	"a type that embeds optim.Base embeds what optim.New(rule, groups...) returns, as in &Lion{Base: optim.New(...)}"

// made returns b, and panics where no constructor has filled it.
func (b *Base) made(operation string) *Base {
	if b == nil || b.rule == nil {
		torch.Fail(operation, "%s", errNotMade)
	}
	return b
}

// baseOf returns the Base of an optimizer, and panics where it has none that a constructor filled.
func baseOf(operation string, o Optimizer) (b *Base) {
	if o == nil {
		torch.Fail(operation, "the optimizer is nil")
	}
	func() {
		defer func() { _ = recover() }() // an embedded pointer or interface is nil: b stays nil
		b = o.base()
	}()
	return b.made(operation)
}
