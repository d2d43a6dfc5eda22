package optim

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	"github.com/golite/golite/torch/nn"
)

// AdamaxOptions are NewAdamax's optional arguments.
type AdamaxOptions struct {
	Betas       *[2]float64 // of the running mean of the gradient and the running largest; nil: 0.9, 0.999
	Eps         *float64    // added to the gradient's magnitude; nil: 1e-8
	WeightDecay float64     // L2 penalty
	Maximize    bool        // go up the gradient
}

// Adamax is Adam with the infinity norm in the place of the root of the mean square (torch.optim.Adamax; PyTorch's
// default rate is 0.002).
type Adamax struct{ Base }

// NewAdamax makes an optimizer of params with a learning rate (torch.optim.Adamax, whose default rate is 0.002). It
// panics where every constructor does (see the package's comment).
func NewAdamax(params []nn.Parameter, lr float64, opts ...AdamaxOptions) *Adamax {
	return NewAdamaxGroups(single(params), lr, opts...)
}

// NewAdamaxGroups is NewAdamax for groups of parameters, of which each may have settings of its own (torch.optim.Adamax
// with a list of dictionaries).
func NewAdamaxGroups(groups []Group, lr float64, opts ...AdamaxOptions) *Adamax {
	o := one("Adamax", opts)
	a := &Adamax{}
	a.setUp(adamax{torchRule{"Adamax", adamaxSettings, ParamGroup{
		LR: lr, Betas: orElse(o.Betas, [2]float64{0.9, 0.999}), Eps: orElse(o.Eps, 1e-8),
		WeightDecay: o.WeightDecay, Maximize: o.Maximize,
	}}}, groups)
	return a
}

type adamax struct{ torchRule }

// adamaxSettings are the settings of Adamax, as torch.optim.Adamax has them.
var adamaxSettings = []string{
	"lr", "betas", "eps", "weight_decay", "foreach", "maximize", "differentiable", "capturable",
}

func (adamax) Slots() []Slot {
	return []Slot{{Name: "step"}, {Name: "exp_avg"}, {Name: "exp_inf"}}
}

func (adamax) Update(g *ParamGroup, b *Batch) {
	grads, fresh := b.effectiveGrads(g, true)
	aten.ForeachLerpScalar_(b.State("exp_avg"), grads, torch.Float(1-g.Betas[0]))
	largest := b.State("exp_inf")
	scale(largest, g.Betas[1])
	if fresh {
		aten.ForeachAbs_(grads)
	} else {
		grads = aten.ForeachAbs(grads)
	}
	aten.ForeachAddScalar_(grads, torch.Float(g.Eps))
	aten.ForeachMaximumList_(largest, grads)
	b.CountSteps(func(steps float64, b *Batch) {
		rate := g.LR / (1 - pow(g.Betas[0], steps))
		aten.ForeachAddcdivScalar_(b.Params, b.State("exp_avg"), b.State("exp_inf"), torch.Float(-rate))
	})
}
