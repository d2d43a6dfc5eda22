package optim

import (
	"errors"
	"slices"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// Optimizer is what all optimizers are, by embedding Base (torch.optim.Optimizer).
type Optimizer interface {
	// Step changes the parameters by their gradients (Optimizer.step). A parameter without a gradient is passed over.
	Step()
	// StepFunc is Step after a closure that computes the loss and its gradients; it returns the closure's first result.
	StepFunc(closure func() *torch.Tensor) *torch.Tensor
	// ZeroGrad removes the gradients of all parameters (Optimizer.zero_grad).
	ZeroGrad()
	// ParamGroups returns the groups of parameters with their settings, which may be changed (Optimizer.param_groups).
	ParamGroups() []*ParamGroup
	// AddParamGroup adds a group of parameters (Optimizer.add_param_group).
	AddParamGroup(g Group)
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

// Base is the part that all optimizers share (torch.optim.Optimizer).
type Base struct {
	groups   []*ParamGroup
	settings ParamGroup // of groups without their own
	member   map[*torch.Tensor]bool
	rule     rule
	states   map[*torch.Tensor]*state
	tensors  []*torch.Tensor
	skipped  bool
	around   Interceptor
	scratch  []batch
	unless   *torch.Tensor
	sparse   bool // the rule takes sparse gradients

	rates    []*torch.Tensor // of each group, on the device; nil: not made
	written  []float64       // what they hold
	live     bool            // fused kernels read the rates there
	revision int             // how often the state was replaced
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
	// slots lists the keys of a parameter's state, in the order of Python's. A count of steps comes first.
	slots() []string
	// A rule may also have check(operation, group), which panics for settings that don't go together, early(), which tells that
	// the state is made before the first step, sparse(), which tells that it takes sparse gradients,
	// and wholeSteps(), which tells that the state dict counts steps in a number.
}

// state is what an optimizer remembers of a parameter, in the order of the rule's slots; nil where a slot isn't used. The
// steps are counted here: the tensor that Python counts them in, slot 0, is brought up to date when somebody wants it.
type state struct {
	slots  []*torch.Tensor
	steps  float64
	behind bool
	ahead  bool // the tensor knows better: a step on the device was left out, or was replayed
}

// countedTensor returns the tensor of the steps, with the present count.
func (s *state) countedTensor() *torch.Tensor {
	if s.behind {
		s.slots[0].Fill_(s.steps)
		s.behind = false
	}
	return s.slots[0]
}

// batch is the parameters of a group that take part in a step, with their gradients and state, as foreach operators
// want them: one list for each.
type batch struct {
	params, grads []*torch.Tensor
	states        []*state
	lists         [][]*torch.Tensor
	unless        *torch.Tensor // above 0: fused kernels leave everything as it is; nil: they don't ask
	rate          *torch.Tensor // where fused kernels read the learning rate; nil: they are told it
}

// slot returns slot i of the state of all parameters.
func (b *batch) slot(i int) []*torch.Tensor { return b.lists[i] }

// need is slot, with zeros made where there is nothing yet: after a setting was changed, or a state without it loaded.
func (b *batch) need(i int) []*torch.Tensor {
	list := b.lists[i]
	for k, t := range list {
		if t == nil {
			torch.Outside(func() { list[k] = torch.ZerosLike(b.params[k]) })
			b.states[k].slots[i] = list[k]
		}
	}
	return list
}

// where returns the part of a batch that keep tells.
func (b *batch) where(keep func(i int) bool) *batch {
	part := &batch{lists: make([][]*torch.Tensor, len(b.lists)), unless: b.unless, rate: b.rate}
	for i := range b.params {
		if !keep(i) {
			continue
		}
		part.params, part.grads, part.states = append(part.params, b.params[i]), append(part.grads, b.grads[i]), append(part.states, b.states[i])
		for k, list := range b.lists {
			part.lists[k] = append(part.lists[k], list[i])
		}
	}
	return part
}

// count adds a step to every parameter's, and calls f with the parameters that have had the same number, mostly all.
func (b *batch) count(f func(steps float64, part *batch)) {
	for _, s := range b.states {
		if s.ahead {
			s.steps, s.ahead = s.slots[0].Item(), false
		}
		s.steps = float64(float32(s.steps) + 1) // a float32 in Python, which stops at 2^24
		s.behind = true
	}
	split(b, func(i int) float64 { return b.states[i].steps }, f)
}

// split calls f with the parts of a batch whose parameters have the same key.
func split[K comparable](b *batch, key func(i int) K, f func(k K, part *batch)) {
	first := key(0)
	var others []K
	for i := range b.params {
		if k := key(i); k != first && !slices.Contains(others, k) {
			others = append(others, k)
		}
	}
	if others == nil {
		f(first, b)
		return
	}
	for _, k := range append([]K{first}, others...) {
		f(k, b.where(func(i int) bool { return key(i) == k }))
	}
}

// descent returns the gradients to follow: turned round if the group is to be maximized, with the L2 penalty if there is
// one. fresh tells that they are copies, and may be written.
func (b *batch) descent(g *ParamGroup, penalty bool) (grads []*torch.Tensor, fresh bool) {
	grads = b.grads
	if g.Maximize {
		grads, fresh = aten.ForeachNeg(grads), true
	}
	if penalty && g.WeightDecay != 0 {
		if fresh {
			aten.ForeachAddList_(grads, b.params, torch.Float(g.WeightDecay))
		} else {
			grads, fresh = aten.ForeachAddList(grads, b.params, torch.Float(g.WeightDecay)), true
		}
	}
	return grads, fresh
}

// place is where a fused kernel's tensors must all be.
type place struct {
	device torch.Device
	dtype  torch.DType
}

// fused calls f with the parts of a batch that are on one device and of one type, as fused kernels want them; slot 0 of
// counted optimizers holds the number of this step.
func (b *batch) fused(counted bool, f func(part *batch)) {
	if counted {
		for _, s := range b.states {
			s.countedTensor()
		}
		aten.ForeachAddScalar_(b.slot(0), torch.Float(1))
		for _, s := range b.states {
			s.steps = float64(float32(s.steps) + 1)
			s.ahead = s.ahead || b.unless != nil
		}
	}
	split(b, func(i int) place { return place{b.params[i].Device(), b.params[i].DType()} }, func(_ place, part *batch) { f(part) })
	if counted && b.unless != nil {
		back := make([]*torch.Tensor, len(b.states))
		for i := range back {
			back[i] = b.unless
		}
		aten.ForeachSubList_(b.slot(0), back, torch.Float(1))
	}
}

func (b *Base) base() *Base { return b }

// setUp fills a Base: every constructor ends in it. settings are those of groups that have none of their own.
func (b *Base) setUp(r rule, groups []Group, settings ParamGroup) {
	b.rule, b.settings, b.states = r, settings, map[*torch.Tensor]*state{}
	_, b.sparse = r.(interface{ sparse() })
	operation := "optim.New" + r.name()
	if len(groups) == 0 {
		torch.Fail(operation, "there are no parameters")
	}
	for _, g := range groups {
		b.add(operation, g)
	}
}

// AddParamGroup adds a group of parameters, with the optimizer's settings where the group has none of its own: for layers that are
// frozen at first (Optimizer.add_param_group). It panics, and adds nothing, where a constructor would. Schedulers that were made
// before leave the new group's rate as it is.
func (b *Base) AddParamGroup(g Group) { b.add("optim."+b.rule.name()+".AddParamGroup", g) }

func (b *Base) add(operation string, group Group) {
	g, n := paramGroup(operation, group, b.settings), len(b.groups)
	if r, strict := b.rule.(interface{ check(string, *ParamGroup) }); strict {
		r.check(operation, g)
	}
	if len(g.Params) == 0 {
		torch.Fail(operation, "group %d has no parameters", n)
	}
	tensors := slices.Clip(b.tensors)
	for _, p := range g.Params {
		switch {
		case p.Tensor == nil:
			torch.Fail(operation, "a parameter of group %d is nil", n)
		case !p.IsLeaf():
			torch.Fail(operation, "a parameter of group %d is the result of an operation: only leaves can be optimized", n)
		case b.member[p.Tensor] || slices.Contains(tensors[len(b.tensors):], p.Tensor):
			torch.Fail(operation, "a parameter of group %d is in the groups twice", n)
		}
		tensors = append(tensors, p.Tensor)
	}
	if b.member == nil {
		b.member = map[*torch.Tensor]bool{}
	}
	for _, p := range g.Params {
		b.member[p.Tensor] = true
	}
	b.tensors, b.groups, b.scratch = tensors, append(b.groups, g), append(b.scratch, batch{})
	if _, early := b.rule.(interface{ early() }); early {
		torch.NoGrad(func() {
			for _, p := range g.Params {
				torch.Outside(func() { b.states[p.Tensor] = b.rule.init(g, p.Tensor) })
			}
		})
	}
}

// ParamGroups returns the groups of parameters with their settings, which may be changed (Optimizer.param_groups).
func (b *Base) ParamGroups() []*ParamGroup { return b.groups }

// Tensors returns the parameters of all groups, in their order.
func (b *Base) Tensors() []*torch.Tensor { return b.tensors }

// Skipped tells that the last Step left the parameters as they were, because a gradient scaler found an overflow.
func (b *Base) Skipped() bool { return b.skipped }

// ZeroGrad removes the gradients of all parameters (Optimizer.zero_grad, whose set_to_none is true by default).
func (b *Base) ZeroGrad() {
	torch.ClearGrads(b.tensors)
	if b.around != nil {
		b.around.ZeroGrad()
	}
}

// Step changes the parameters by their gradients, and passes over those without one (Optimizer.step).
func (b *Base) Step() { b.intercepted(b.step) }

// intercepted runs a step in whatever was put around the optimizer.
func (b *Base) intercepted(step func()) {
	b.skipped = false
	if b.around == nil {
		if w, ok := torch.Owner().(Watcher); ok {
			w.StepOf(b.tensors)
		}
		step()
		return
	}
	b.skipped = !b.around.Step(step)
	b.around.Stepped()
}

// StepFunc is Step after a closure that computes the loss and its gradients, with gradients enabled; it returns the
// closure's result (Optimizer.step with a closure).
func (b *Base) StepFunc(closure func() *torch.Tensor) *torch.Tensor {
	if closure == nil {
		torch.Fail("optim."+b.rule.name()+".StepFunc", "the closure is nil")
	}
	loss := torch.EnableGradOf(closure)
	b.Step()
	return loss
}

func (b *Base) step() {
	torch.NoGrad(func() {
		torch.Scope(func() {
			for i, g := range b.groups {
				if batch := b.gather(i, g); len(batch.params) > 0 {
					batch.unless, batch.rate = b.unless, b.rate(i)
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
		if (!b.sparse || g.Fused) && (s == nil || s.steps == 0) {
			b.dense(p, grads[k])
		}
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

// dense panics for a sparse gradient, before anything is changed. A parameter's gradients are of one kind: the first is looked at.
func (b *Base) dense(p, grad *torch.Tensor) {
	if layout := grad.Layout(); layout != torch.Strided {
		torch.Fail("optim."+b.rule.name(), "the gradient of a parameter %v is %s, which %s does not take: optim.SparseAdam and optim.SGD do, "+
			"or make the gradient dense (Sparse: false of nn.Embedding)", p.Shape(), layout, b.rule.name())
	}
}

// groupTensors is the part of all tensors that are a group's.
func (b *Base) groupTensors(i int) []*torch.Tensor {
	start := 0
	for _, g := range b.groups[:i] {
		start += len(g.Params)
	}
	return b.tensors[start : start+len(b.groups[i].Params)]
}

// Interceptor is what Intercept puts around an optimizer.
type Interceptor interface {
	// Step is given the step itself, runs it or not, and tells whether it did.
	Step(step func()) (ran bool)
	// Stepped comes after each step, run or not, when Skipped tells how it went.
	Stepped()
	// ZeroGrad comes after the gradients were removed.
	ZeroGrad()
}

// Watcher is a torch.Owner that learns of the steps of optimizers that nothing was put around.
type Watcher interface {
	// StepOf comes ahead of a step, with all parameters of the optimizer.
	StepOf(tensors []*torch.Tensor)
}

// Intercept puts i around an optimizer. It is how lite brings in gradient scaling and strategies; an optimizer has one at
// a time.
func Intercept(o Optimizer, i Interceptor) error {
	b := o.base()
	if b.around != nil {
		return ErrIntercepted
	}
	b.around = i
	return nil
}

// Release undoes Intercept.
func Release(o Optimizer) { o.base().around = nil }

// MoveState moves what an optimizer has stored to where its parameters are now, and converts it to their type, except
// for counts of steps. Setup does it for optimizers whose state was loaded before.
func MoveState(o Optimizer) {
	b := o.base()
	if m, ok := o.(interface{ moveState() }); ok {
		m.moveState()
		return
	}
	b.revision++
	names := b.rule.slots()
	torch.NoGrad(func() {
		for i, g := range b.groups {
			for _, p := range b.groupTensors(i) {
				s := b.states[p]
				if s == nil {
					continue
				}
				for k, t := range s.slots {
					if t != nil {
						s.slots[k] = placed(names[k], t, p, g.Fused)
					}
				}
			}
		}
	})
}

// placed gives t as the state of p: on its device, and in its type if both are floating. A count of steps stays where it
// is, but with fused kernels.
func placed(slot string, t, p *torch.Tensor, fused bool) *torch.Tensor {
	dtype, device := t.DType(), p.Device()
	switch {
	case slot == "step" && fused:
		dtype = torch.Float32
	case slot == "step":
		device = t.Device()
	case p.DType().IsFloating():
		dtype = p.DType()
	}
	if t.Device() == device && t.DType() == dtype {
		return t
	}
	var moved *torch.Tensor
	torch.Outside(func() { moved = t.To(dtype, device) })
	return moved
}
