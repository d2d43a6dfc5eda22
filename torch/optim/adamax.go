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
	a.setUp(adamax{}, groups, ParamGroup{LR: lr, Betas: orElse(o.Betas, [2]float64{0.9, 0.999}),
		Eps: orElse(o.Eps, 1e-8), WeightDecay: o.WeightDecay, Maximize: o.Maximize})
	return a
}

type adamax struct{}

func (adamax) name() string { return "Adamax" }

func (adamax) slots() []string { return []string{"step", "exp_avg", "exp_inf"} }

func (adamax) init(g *ParamGroup, p *torch.Tensor) *state {
	return &state{slots: []*torch.Tensor{counter(g, p), torch.ZerosLike(p), torch.ZerosLike(p)}}
}

func (adamax) settings(g *ParamGroup) []setting {
	return []setting{{"lr", &g.LR}, {"betas", &g.Betas}, {"eps", &g.Eps}, {"weight_decay", &g.WeightDecay}, {"foreach", nil},
		{"maximize", &g.Maximize}, {"differentiable", false}, {"capturable", false}}
}

func (adamax) update(g *ParamGroup, b *batch) {
	grads, fresh := b.descent(g, true)
	aten.ForeachLerpScalar_(b.need(1), grads, torch.Float(1-g.Betas[0]))
	largest := b.need(2)
	scale(largest, g.Betas[1])
	if fresh {
		aten.ForeachAbs_(grads)
	} else {
		grads = aten.ForeachAbs(grads)
	}
	aten.ForeachAddScalar_(grads, torch.Float(g.Eps))
	aten.ForeachMaximumList_(largest, grads)
	b.count(func(steps float64, b *batch) {
		rate := g.LR / (1 - pow(g.Betas[0], steps))
		aten.ForeachAddcdivScalar_(b.params, b.slot(1), b.slot(2), torch.Float(-rate))
	})
}
