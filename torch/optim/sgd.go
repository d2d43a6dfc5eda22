package optim

import (
	"fmt"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	"github.com/golite/golite/torch/nn"
)

// SGDOptions are NewSGD's optional arguments; the zero value is plain descent.
type SGDOptions struct {
	Momentum    float64 // what is left of the last step in this one; 0: none
	Dampening   float64 // of the momentum
	WeightDecay float64 // L2 penalty
	Nesterov    bool    // needs momentum and no dampening
	Maximize    bool    // go up the gradient
	Fused       bool    // libtorch's fused kernel: faster, with other rounding
}

// SGD is stochastic gradient descent, with optional momentum (torch.optim.SGD; PyTorch's default rate is 0.001).
type SGD struct{ Base }

// NewSGD makes an optimizer of params with a learning rate (torch.optim.SGD, whose default rate is 0.001). It panics
// where every constructor does (see the package's comment), and if Nesterov is set without momentum or with dampening.
func NewSGD(params []nn.Parameter, lr float64, opts ...SGDOptions) *SGD {
	return NewSGDGroups(single(params), lr, opts...)
}

// NewSGDGroups is NewSGD for groups of parameters, of which each may have settings of its own (torch.optim.SGD with a
// list of dictionaries).
func NewSGDGroups(groups []Group, lr float64, opts ...SGDOptions) *SGD {
	o := one("SGD", opts)
	s := &SGD{}
	s.setUp(sgd{torchRule{"SGD", sgdSettings, ParamGroup{
		LR: lr, Momentum: o.Momentum, Dampening: o.Dampening, WeightDecay: o.WeightDecay, Nesterov: o.Nesterov,
		Maximize: o.Maximize, Fused: o.Fused,
	}}}, groups)
	return s
}

type sgd struct{ torchRule }

// sgdSettings are the settings of SGD, as torch.optim.SGD has them.
var sgdSettings = []string{
	"lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize", "foreach", "differentiable", "fused",
}

func (sgd) SparseGrads() {}

// Check refuses Nesterov without what it needs.
func (sgd) Check(g *ParamGroup) error {
	if g.Nesterov && (g.Momentum <= 0 || g.Dampening != 0) {
		return fmt.Errorf("the momentum of Nesterov needs a momentum above 0 and no dampening, got %v and %v", g.Momentum,
			g.Dampening)
	}
	return nil
}

func (sgd) Slots() []Slot {
	return []Slot{{Name: "momentum_buffer", Init: unused}}
}

// Capturable accepts all settings: nothing is computed from one step to the next in Go.
func (sgd) Capturable(*ParamGroup) error { return nil }

func (r sgd) Update(g *ParamGroup, b *Batch) {
	if g.Fused {
		r.fused(g, b)
		return
	}
	grads, _ := b.effectiveGrads(g, true)
	if g.Momentum != 0 {
		buffers := r.momentum(g, b, grads)
		if g.Nesterov {
			grads = aten.ForeachAddList(grads, buffers, torch.Float(g.Momentum))
		} else {
			grads = buffers
		}
	}
	aten.ForeachAddList_(b.Params, grads, torch.Float(-g.LR))
}

// momentum brings the buffers up to date; a parameter's first is a copy of its gradient.
func (sgd) momentum(g *ParamGroup, b *Batch, grads []*torch.Tensor) []*torch.Tensor {
	buffers := b.slot(0)
	var old, oldGrads []*torch.Tensor
	for i, buf := range buffers {
		if buf != nil {
			old, oldGrads = append(old, buf), append(oldGrads, grads[i])
			continue
		}
		torch.NoScope(func() { buffers[i] = grads[i].Clone() })
		b.states[i].slots[0] = buffers[i]
	}
	if len(old) > 0 {
		scale(old, g.Momentum)
		aten.ForeachAddList_(old, oldGrads, torch.Float(1-g.Dampening))
	}
	return buffers
}

func (r sgd) fused(g *ParamGroup, b *Batch) {
	b.fused(false, func(part *Batch) {
		if g.Momentum == 0 {
			r.kernel(g, part, nil, false)
			return
		}
		split(part, func(i int) bool { return part.slot(0)[i] == nil }, func(first bool, part *Batch) {
			r.kernel(g, part, part.slotOrZeros(0), first)
		})
	})
}

func (sgd) kernel(g *ParamGroup, b *Batch, buffers []*torch.Tensor, first bool) {
	if b.rate != nil {
		aten.FusedSgdTensorLr_(b.Params, b.Grads, buffers, g.WeightDecay, g.Momentum, b.rate,
			g.Dampening, g.Nesterov, g.Maximize, first, nil, b.foundInf)
		return
	}
	aten.FusedSgd_(b.Params, b.Grads, buffers, g.WeightDecay, g.Momentum, g.LR,
		g.Dampening, g.Nesterov, g.Maximize, first, nil, b.foundInf)
}

// ASGDOptions are NewASGD's optional arguments.
type ASGDOptions struct {
	Lambd       *float64 // decay term; nil: 1e-4
	Alpha       *float64 // power of the rate's decay; nil: 0.75
	T0          *float64 // the step at which averaging begins; nil: 1e6
	WeightDecay float64  // L2 penalty
	Maximize    bool     // go up the gradient
}

// ASGD is stochastic gradient descent that also keeps an average of the parameters (torch.optim.ASGD; PyTorch's default
// rate is 0.01).
type ASGD struct{ Base }

// NewASGD makes an optimizer of params with a learning rate (torch.optim.ASGD, whose default rate is 0.01). It panics
// where every constructor does (see the package's comment).
func NewASGD(params []nn.Parameter, lr float64, opts ...ASGDOptions) *ASGD {
	return NewASGDGroups(single(params), lr, opts...)
}

// NewASGDGroups is NewASGD for groups of parameters, of which each may have settings of its own (torch.optim.ASGD with
// a list of dictionaries).
func NewASGDGroups(groups []Group, lr float64, opts ...ASGDOptions) *ASGD {
	o := one("ASGD", opts)
	a := &ASGD{}
	a.setUp(asgd{torchRule{"ASGD", asgdSettings, ParamGroup{
		LR: lr, Lambd: orElse(o.Lambd, 1e-4), Alpha: orElse(o.Alpha, 0.75), T0: orElse(o.T0, 1e6),
		WeightDecay: o.WeightDecay, Maximize: o.Maximize,
	}}}, groups)
	return a
}

type asgd struct{ torchRule }

// asgdSettings are the settings of ASGD, as torch.optim.ASGD has them.
var asgdSettings = []string{
	"lr", "lambd", "alpha", "t0", "weight_decay", "foreach", "maximize", "differentiable", "capturable",
}

func (asgd) Slots() []Slot {
	onDevice := func(v func(g *ParamGroup) float64) func(*ParamGroup, *torch.Tensor) *torch.Tensor {
		return func(g *ParamGroup, p *torch.Tensor) *torch.Tensor {
			return torch.Options{DType: torch.Float32, Device: p.Device()}.Scalar(v(g))
		}
	}
	return []Slot{
		{Name: "step", Init: onDevice(func(*ParamGroup) float64 { return 0 })},
		{Name: "eta", Init: onDevice(func(g *ParamGroup) float64 { return g.LR })},
		{Name: "mu", Init: onDevice(func(*ParamGroup) float64 { return 1 })},
		{Name: "ax"},
	}
}

// pace is the step size and the averaging factor of a parameter.
type pace struct{ steps, eta, mu float64 }

func (r asgd) Update(g *ParamGroup, b *Batch) {
	b.CountSteps(func(float64, *Batch) {})
	etas, mus := b.State("eta"), b.State("mu")
	paces := make([]pace, len(b.Params))
	for i, s := range b.states {
		paces[i] = pace{s.steps, etas[i].Item(), mus[i].Item()}
	}
	split(b, func(i int) pace { return paces[i] }, func(p pace, part *Batch) { r.step(g, part, p) })
}

func (asgd) step(g *ParamGroup, b *Batch, p pace) {
	grads, _ := b.effectiveGrads(g, true)
	scale(b.Params, 1-g.Lambd*p.eta)
	aten.ForeachAddList_(b.Params, grads, torch.Float(-p.eta))
	means := b.State("ax")
	if p.mu == 1 {
		aten.ForeachCopy_(means, b.Params, false)
	} else {
		apart := aten.ForeachSubList(b.Params, means, torch.Float(1))
		scale(apart, p.mu)
		aten.ForeachAddList_(means, apart, torch.Float(1))
	}
	set(b.State("eta"), g.LR/pow(1+g.Lambd*g.LR*p.steps, g.Alpha))
	set(b.State("mu"), 1/max(1, p.steps-g.T0))
}

// set fills all tensors with a number.
func set(tensors []*torch.Tensor, v float64) {
	aten.ForeachZero_(tensors)
	aten.ForeachAddScalar_(tensors, torch.Float(v))
}
