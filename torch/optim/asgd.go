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
	a.setUp(asgd{}, groups, ParamGroup{LR: lr, Lambd: orElse(o.Lambd, 1e-4), Alpha: orElse(o.Alpha, 0.75),
		T0: orElse(o.T0, 1e6), WeightDecay: o.WeightDecay, Maximize: o.Maximize})
	return a
}

type asgd struct{}

// The slots of asgd's state.
const (
	asgdEta = 1 + iota
	asgdMu
	asgdMean
)

func (asgd) name() string { return "ASGD" }

func (asgd) slots() []string { return []string{"step", "eta", "mu", "ax"} }

func (asgd) init(g *ParamGroup, p *torch.Tensor) *state {
	o := torch.Options{DType: torch.Float32, Device: p.Device()}
	return &state{slots: []*torch.Tensor{o.Zeros(), o.Scalar(g.LR), o.Ones(), torch.ZerosLike(p)}}
}

func (asgd) settings(g *ParamGroup) []setting {
	return []setting{{"lr", &g.LR}, {"lambd", &g.Lambd}, {"alpha", &g.Alpha}, {"t0", &g.T0}, {"weight_decay", &g.WeightDecay},
		{"foreach", nil}, {"maximize", &g.Maximize}, {"differentiable", false}, {"capturable", false}}
}

// pace is what a parameter's step and averaging go by.
type pace struct{ steps, eta, mu float64 }

func (r asgd) update(g *ParamGroup, b *batch) {
	b.count(func(float64, *batch) {})
	paces := make([]pace, len(b.params))
	for i, s := range b.states {
		paces[i] = pace{s.steps, s.slots[asgdEta].Item(), s.slots[asgdMu].Item()}
	}
	split(b, func(i int) pace { return paces[i] }, func(p pace, part *batch) { r.step(g, part, p) })
}

func (asgd) step(g *ParamGroup, b *batch, p pace) {
	grads, _ := b.descent(g, true)
	scale(b.params, 1-g.Lambd*p.eta)
	aten.ForeachAddList_(b.params, grads, torch.Float(-p.eta))
	means := b.slot(asgdMean)
	if p.mu == 1 {
		aten.ForeachCopy_(means, b.params, false)
	} else {
		apart := aten.ForeachSubList(b.params, means, torch.Float(1))
		scale(apart, p.mu)
		aten.ForeachAddList_(means, apart, torch.Float(1))
	}
	set(b.slot(asgdEta), g.LR/pow(1+g.Lambd*g.LR*p.steps, g.Alpha))
	set(b.slot(asgdMu), 1/max(1, p.steps-g.T0))
}

// set fills all tensors with a number.
func set(tensors []*torch.Tensor, v float64) {
	aten.ForeachZero_(tensors)
	aten.ForeachAddScalar_(tensors, torch.Float(v))
}
