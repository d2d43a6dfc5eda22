package optim

import (
	"errors"

	"github.com/golite/golite/torch"
)

// Optimizer is what all optimizers are, by embedding Base.
type Optimizer interface {
	// Step changes the parameters by their gradients (Optimizer.step). A parameter without a gradient is passed over.
	Step()
	// StepFunc is Step after a closure that computes the loss and its gradients; it returns the closure's first result.
	StepFunc(closure func() *torch.Tensor) *torch.Tensor
	// ZeroGrad removes the gradients of all parameters (Optimizer.zero_grad).
	ZeroGrad()
	// ParamGroups returns the groups of parameters with their settings, which may be changed (Optimizer.param_groups).
	ParamGroups() []*ParamGroup
	// Tensors returns the parameters of all groups, in their order.
	Tensors() []*torch.Tensor
	// Skipped tells that the last Step left the parameters as they were, because a gradient scaler found an overflow.
	Skipped() bool
	// StateDict returns the state in Python's layout (Optimizer.state_dict); the tensors are the optimizer's own.
	StateDict() map[string]any
	// LoadStateDict copies a state in Python's layout; on an error nothing is changed (Optimizer.load_state_dict).
	LoadStateDict(map[string]any) error

	base() *Base
}

// ErrIntercepted is what Intercept returns for an optimizer that was handed to lite already.
var ErrIntercepted = errors.New("optim: the optimizer was set up already")

// Base is the part that all optimizers share.
type Base struct {
	groups    []*ParamGroup
	rule      rule
	states    map[*torch.Tensor]*state
	tensors   []*torch.Tensor
	skipped   bool
	intercept func(step func()) (ran bool)
	scratch   []batch
}

// rule is an optimizer's own part.
type rule interface {
	// name is PyTorch's, for messages.
	name() string
	// init makes the state of a parameter at its first step.
	init(g *ParamGroup, p *torch.Tensor) *state
	// update makes one step of the parameters of a group that have gradients.
	update(g *ParamGroup, b *batch)
	// settings lists the group's settings in the order of Python's state dict.
	settings(g *ParamGroup) []setting
	// slots lists the keys of a parameter's state, in the order of Python's.
	slots(g *ParamGroup) []string
}

// state is what an optimizer remembers of a parameter, in the order of the rule's slots; nil where a slot isn't used.
type state struct{ slots []*torch.Tensor }

// batch is the parameters of a group that take part in a step, with their gradients and state, as foreach operators
// want them: one list for each.
type batch struct {
	params, grads []*torch.Tensor
	states        []*state
	lists         [][]*torch.Tensor
}

// slot returns slot i of the state of all parameters.
func (b *batch) slot(i int) []*torch.Tensor { return b.lists[i] }

func (b *Base) base() *Base { return b }

// setUp fills a Base: every constructor ends in it.
func (b *Base) setUp(r rule, groups []*ParamGroup) {
	b.rule, b.groups, b.states = r, groups, map[*torch.Tensor]*state{}
	seen := map[*torch.Tensor]bool{}
	for i, g := range groups {
		if len(g.Params) == 0 {
			torch.Fail("optim.New"+r.name(), "group %d has no parameters", i)
		}
		for _, p := range g.Params {
			if p.Tensor == nil {
				torch.Fail("optim.New"+r.name(), "a parameter of group %d is nil", i)
			}
			if !p.IsLeaf() {
				torch.Fail("optim.New"+r.name(), "a parameter of group %d is the result of an operation: only leaves can be optimized", i)
			}
			if seen[p.Tensor] {
				torch.Fail("optim.New"+r.name(), "a parameter of group %d is in the groups twice", i)
			}
			seen[p.Tensor] = true
			b.tensors = append(b.tensors, p.Tensor)
		}
	}
	b.scratch = make([]batch, len(groups))
}

// ParamGroups returns the groups of parameters with their settings, which may be changed.
func (b *Base) ParamGroups() []*ParamGroup { return b.groups }

// Tensors returns the parameters of all groups, in their order.
func (b *Base) Tensors() []*torch.Tensor { return b.tensors }

// Skipped tells that the last Step left the parameters as they were, because a gradient scaler found an overflow.
func (b *Base) Skipped() bool { return b.skipped }

// ZeroGrad removes the gradients of all parameters.
func (b *Base) ZeroGrad() { torch.ClearGrads(b.tensors) }

// Step changes the parameters by their gradients.
func (b *Base) Step() {
	b.skipped = false
	if b.intercept != nil {
		b.skipped = !b.intercept(b.step)
		return
	}
	b.step()
}

// StepFunc is Step after a closure that computes the loss and its gradients.
func (b *Base) StepFunc(closure func() *torch.Tensor) *torch.Tensor {
	loss := torch.EnableGradOf(closure)
	b.Step()
	return loss
}

func (b *Base) step() {
	torch.NoGrad(func() {
		torch.Scope(func() {
			for i, g := range b.groups {
				if batch := b.gather(i, g); len(batch.params) > 0 {
					b.rule.update(g, batch)
				}
			}
		})
	})
}

// gather fills a group's batch: the parameters with a gradient, and their state, made now if it is the first step.
func (b *Base) gather(i int, g *ParamGroup) *batch {
	c := &b.scratch[i]
	params := b.groupTensors(i)
	grads := torch.Grads(params)
	c.params, c.grads, c.states = c.params[:0], c.grads[:0], c.states[:0]
	for k, p := range params {
		if grads[k] == nil {
			continue
		}
		s := b.states[p]
		if s == nil {
			torch.Outside(func() { s = b.rule.init(g, p) })
			b.states[p] = s
		}
		c.params, c.grads, c.states = append(c.params, p), append(c.grads, grads[k]), append(c.states, s)
	}
	for k := range c.lists {
		c.lists[k] = c.lists[k][:0]
	}
	for _, s := range c.states {
		for k, t := range s.slots {
			if k == len(c.lists) {
				c.lists = append(c.lists, nil)
			}
			c.lists[k] = append(c.lists[k], t)
		}
	}
	return c
}

// groupTensors is the part of all tensors that are a group's.
func (b *Base) groupTensors(i int) []*torch.Tensor {
	start := 0
	for _, g := range b.groups[:i] {
		start += len(g.Params)
	}
	return b.tensors[start : start+len(b.groups[i].Params)]
}

// Intercept puts f around every Step of an optimizer: f is given the step itself, runs it or not, and tells whether it
// did. It is how lite brings in gradient scaling and strategies; an optimizer has one at a time.
func Intercept(o Optimizer, f func(step func()) (ran bool)) error {
	b := o.base()
	if b.intercept != nil {
		return ErrIntercepted
	}
	b.intercept = f
	return nil
}

// Release undoes Intercept.
func Release(o Optimizer) { o.base().intercept = nil }

// MoveState moves what an optimizer has stored to where its parameters are now, and converts it to their type, except
// for counts of steps. Setup does it for optimizers whose state was loaded before.
func MoveState(o Optimizer) {
	b := o.base()
	torch.NoGrad(func() {
		for p, s := range b.states {
			for i, t := range s.slots {
				if t != nil {
					s.slots[i] = placed(b.rule.slots(nil)[i], t, p)
				}
			}
		}
	})
}

// placed gives t as the state of p: on its device, and in its type unless it counts steps.
func placed(slot string, t, p *torch.Tensor) *torch.Tensor {
	if slot == "step" {
		return t
	}
	if t.Device() == p.Device() && (t.DType() == p.DType() || !p.DType().IsFloating()) {
		return t
	}
	var moved *torch.Tensor
	torch.Outside(func() {
		if p.DType().IsFloating() && t.DType().IsFloating() {
			moved = t.To(p.DType(), p.Device())
		} else {
			moved = t.To(p.Device())
		}
	})
	return moved
}
