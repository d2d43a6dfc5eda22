package optim

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	"github.com/golite/golite/torch/nn"
)

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
