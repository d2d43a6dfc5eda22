package optim

import (
	"errors"
	"slices"

	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
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
	// Skipped reports whether the last Step left the parameters as they were, because a gradient scaler found an
	// overflow.
	Skipped() bool
	// StateDict returns the state in Python's layout (Optimizer.state_dict); the tensors are the optimizer's own.
	StateDict() map[string]any
	// LoadStateDict copies a state in Python's layout; on an error nothing is changed (Optimizer.load_state_dict).
	LoadStateDict(map[string]any) error

	base() *Base
}

// ErrIntercepted is what Intercept returns for an optimizer that was set up already.
var ErrIntercepted = errors.New("optim: the optimizer was set up already")

// Base is an Optimizer made of a Rule: what New returns, and what all optimizers embed (torch.optim.Optimizer). The
// methods of the zero value panic.
type Base struct {
	groups      []*ParamGroup
	settings    ParamGroup // of groups without their own
	member      map[*torch.Tensor]bool
	rule        Rule
	keys        []string       // the names of the rule's settings, sorted
	fixed       map[string]any // the settings of fixedNames
	slots       []Slot         // the rule's
	states      map[*torch.Tensor]*state
	tensors     []*torch.Tensor
	skipped     bool
	interceptor Interceptor
	scratch     []Batch
	foundInf    *torch.Tensor
	sparse      bool // the rule takes sparse gradients
	own         bool // the rule is one of torch.optim's, whose WeightDecay is added to the gradient

	rates         []*torch.Tensor // the learning rate of each group, on the device; nil: not made
	written       []float64       // what they hold
	ratesOnDevice bool            // fused kernels read the rates there
	revision      int             // how often the state was replaced
}

func (b *Base) base() *Base { return b }

// AddParamGroup adds a group of parameters, with the optimizer's settings where the group has none of its own: for
// layers that are frozen at first (Optimizer.add_param_group). It panics, and adds nothing, where a constructor
// would. Schedulers that were made before leave the new group's rate as it is.
func (b *Base) AddParamGroup(g Group) {
	b.made("optim.Base.AddParamGroup").add("optim."+b.rule.Name()+".AddParamGroup", g)
}

func (b *Base) add(operation string, group Group) {
	g, n := b.paramGroup(operation, group), len(b.groups)
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
	if r, checks := b.rule.(checker); checks {
		if err := r.Check(g); err != nil {
			torch.Fail(operation, "group %d: %v", n, err)
		}
	}
	if b.member == nil {
		b.member = map[*torch.Tensor]bool{}
	}
	for _, p := range g.Params {
		b.member[p.Tensor] = true
	}
	b.tensors, b.groups, b.scratch = tensors, append(b.groups, g), append(b.scratch, Batch{names: b.slots})
	if _, early := b.rule.(eager); early {
		torch.NoGrad(func() {
			for _, p := range g.Params {
				torch.NoScope(func() { b.states[p.Tensor] = b.newState(g, p.Tensor) })
			}
		})
	}
}

// ParamGroups returns the groups of parameters with their settings, which may be changed (Optimizer.param_groups).
func (b *Base) ParamGroups() []*ParamGroup { return b.made("optim.Base.ParamGroups").groups }

// Tensors returns the parameters of all groups, in their order.
func (b *Base) Tensors() []*torch.Tensor { return b.made("optim.Base.Tensors").tensors }

// Skipped reports whether the last Step left the parameters as they were, because a gradient scaler found an overflow.
func (b *Base) Skipped() bool { return b.made("optim.Base.Skipped").skipped }

// ZeroGrad removes the gradients of all parameters (Optimizer.zero_grad, whose set_to_none is true by default).
func (b *Base) ZeroGrad() {
	b.made("optim.Base.ZeroGrad")
	torch.ClearGrads(b.tensors)
	if b.interceptor != nil {
		b.interceptor.ZeroGrad()
	}
}

// Step changes the parameters by their gradients, and passes over those without one (Optimizer.step).
func (b *Base) Step() {
	b.made("optim.Base.Step")
	b.intercepted(b.step)
}

// intercepted runs a step inside the interceptor.
func (b *Base) intercepted(step func()) {
	b.skipped = false
	if b.interceptor == nil {
		if w, ok := torch.Owner().(Watcher); ok {
			w.StepOf(b.tensors)
		}
		step()
		return
	}
	b.skipped = !b.interceptor.Step(step)
	b.interceptor.Stepped()
}

// StepFunc is Step after a closure that computes the loss and its gradients, with gradients enabled; it returns the
// closure's result (Optimizer.step with a closure).
func (b *Base) StepFunc(closure func() *torch.Tensor) *torch.Tensor {
	b.made("optim.Base.StepFunc")
	if closure == nil {
		torch.Fail("optim."+b.rule.Name()+".StepFunc", "the closure is nil")
	}
	loss := torch.EnableGradOf(closure)
	b.Step()
	return loss
}

func (b *Base) step() {
	torch.NoGrad(func() {
		torch.Scope(func() {
			for i, g := range b.groups {
				if batch := b.gather(i, g); len(batch.Params) > 0 {
					batch.foundInf, batch.rate = b.foundInf, b.rate(i)
					b.rule.Update(g, batch)
				}
			}
		})
	})
}

// gather fills a group's batch: the parameters with a gradient, and their state, made now if it is the first step.
func (b *Base) gather(i int, g *ParamGroup) *Batch {
	c := &b.scratch[i]
	params := b.groupTensors(i)
	grads := torch.Grads(params)
	c.Params, c.Grads, c.states = c.Params[:0], c.Grads[:0], c.states[:0]
	for k, p := range params {
		if grads[k] == nil {
			continue
		}
		s := b.states[p]
		if (s == nil || !s.gradChecked) && (!b.sparse || g.Fused || g.WeightDecay != 0 && b.own) {
			b.dense(g, p, grads[k])
		}
		if s == nil {
			torch.NoScope(func() { s = b.newState(g, p) })
			b.states[p] = s
		}
		s.gradChecked = true
		c.Params, c.Grads, c.states = append(c.Params, p), append(c.Grads, grads[k]), append(c.states, s)
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

// dense panics for a sparse gradient, before anything is changed. A parameter's gradients are of one kind: only the
// first is checked.
func (b *Base) dense(g *ParamGroup, p, grad *torch.Tensor) {
	layout := grad.Layout()
	switch {
	case layout == torch.Strided:
	case b.sparse && g.Fused:
		torch.Fail("optim."+b.rule.Name(), "the gradient of a parameter %v is %s, which the fused kernel does not take: "+
			"leave out Fused", p.Shape(), layout)
	case b.sparse:
		torch.Fail("optim."+b.rule.Name(), "the gradient of a parameter %v is %s, with which WeightDecay does not work: "+
			"set it to 0 for the parameter's group", p.Shape(), layout)
	default:
		torch.Fail("optim."+b.rule.Name(), "the gradient of a parameter %v is %s, which %s does not take: "+
			"optim.SparseAdam, optim.Adagrad and optim.SGD do, or make the gradient dense (Sparse: false of nn.Embedding)",
			p.Shape(), layout, b.rule.Name())
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

// Interceptor is a hook around an optimizer's steps, set by Intercept. Where it has a method Loss(loss float64)
// float64, LBFGS uses its result in place of its closure's loss.
type Interceptor interface {
	// Step is given the step itself, runs it or not, and reports whether it did.
	Step(step func()) (ran bool)
	// Stepped is called after each step, run or not, when Skipped reports the outcome.
	Stepped()
	// ZeroGrad is called after the gradients were removed.
	ZeroGrad()
}

// Watcher is a torch.Owner that is called at the steps of optimizers without an interceptor.
type Watcher interface {
	// StepOf is called before a step, with all parameters of the optimizer.
	StepOf(tensors []*torch.Tensor)
}

// Intercept puts i around an optimizer. lite uses it for gradient scaling and strategies; an optimizer has one at a
// time. An optimizer that was not made by a constructor is an error.
func Intercept(o Optimizer, i Interceptor) error {
	var b *Base
	if err := torch.Try(func() { b = baseOf("optim.Intercept", o) }); err != nil {
		return err
	}
	if b.interceptor != nil {
		return ErrIntercepted
	}
	b.interceptor = i
	return nil
}

// Release undoes Intercept.
func Release(o Optimizer) { baseOf("optim.Release", o).interceptor = nil }

// MoveState moves what an optimizer has stored to where its parameters are now, and converts it to their type, except
// for counts of steps. Setup does it for optimizers whose state was loaded before.
func MoveState(o Optimizer) {
	b := baseOf("optim.MoveState", o)
	if m, ok := o.(interface{ moveState() }); ok {
		m.moveState()
		return
	}
	b.revision++
	torch.NoGrad(func() {
		for i, g := range b.groups {
			for _, p := range b.groupTensors(i) {
				s := b.states[p]
				if s == nil {
					continue
				}
				for k, t := range s.slots {
					if t != nil {
						s.slots[k] = placed(b.slots[k].Name, t, p, g.Fused)
					}
				}
			}
		}
	})
}

// placed gives t as the state of p: on its device, and in its type if both are floating. A count of steps stays where
// it is, but with fused kernels.
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
	torch.NoScope(func() { moved = t.To(dtype, device) })
	return moved
}

// Group is parameters with settings of their own, for AddParamGroup and the constructors whose names end in Groups: one
// of the dictionaries that PyTorch's optimizers take (torch.optim.Optimizer's params). A nil pointer means the
// optimizer's setting.
type Group struct {
	Params      []nn.Parameter // leaves, of no other group
	LR          *float64       // learning rate
	WeightDecay *float64       // L2 penalty, or decay of the weights themselves where the optimizer decouples it
	Momentum    *float64       // SGD's and RMSprop's
	Betas       *[2]float64    // Adam's and its kin's
	Eps         *float64       // what is added to the denominator

	// Extra is further settings by PyTorch's names: any of the optimizer's, such as "nesterov" of SGD, or the
	// "ns_steps" of a Rule of one's own. A name that the optimizer does not have, or a value of another type, panics.
	Extra map[string]any
}

// ParamGroup is a group of parameters and the settings that hold for it now (torch.optim.Optimizer.param_groups).
// Schedulers change LR, and some Momentum or Betas; changing any of them by hand takes effect at the next step. An
// optimizer uses those that it has.
type ParamGroup struct {
	Params    []nn.Parameter // in the order in which they were given
	LR        float64        // the learning rate of the next step
	InitialLR *float64       // the rate that schedulers start from, once there is one

	Momentum, Dampening float64    // SGD's; RMSprop has a momentum as well
	Betas               [2]float64 // Adam's and its kin's
	Eps, WeightDecay    float64    // of all that have them
	Alpha, Rho          float64    // RMSprop's and ASGD's alpha, Adadelta's rho
	LRDecay, InitialAcc float64    // Adagrad's
	Lambd, T0           float64    // ASGD's
	MomentumDecay       float64    // NAdam's
	Etas, StepSizes     [2]float64 // Rprop's

	// The options of the same names.
	Nesterov, Maximize, AMSGrad, Centered, Decoupled, Fused bool

	// What CyclicLR, OneCycleLR and SWALR keep in the group, as in Python; nil until they do.
	MaxLR, MinLR, BaseMomentum, MaxMomentum, SWALR *float64

	// Extra is the settings of a Rule that have no field here, by name; a value keeps the type of its default.
	Extra map[string]any
}

// one returns the only element of a trailing options parameter, or the zero value.
func one[T any](name string, opts []T) T { return options.Must("optim.New"+name, opts, torch.Fail) }

// orElse returns *p, or d if p is nil.
func orElse[T any](p *T, d T) T {
	if p == nil {
		return d
	}
	return *p
}

func single(params []nn.Parameter) []Group { return []Group{{Params: params}} }

func atLeastZero(name, what string, v float64) {
	if !(v >= 0) {
		torch.Fail("optim.New"+name, "the %s is %v: want 0 or more", what, v)
	}
}
