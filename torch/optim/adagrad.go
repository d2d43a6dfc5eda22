package optim

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	"github.com/golite/golite/torch/nn"
)

// AdagradOptions are NewAdagrad's optional arguments.
type AdagradOptions struct {
	LRDecay      float64  // the rate is divided by 1 + steps * LRDecay
	WeightDecay  float64  // L2 penalty
	InitialValue float64  // initial_accumulator_value: what the sums of squares begin with
	Eps          *float64 // added to the denominator; nil: 1e-10
	Maximize     bool     // go up the gradient
	Fused        bool     // libtorch's fused kernel, on the CPU only: faster, with other rounding
}

// Adagrad divides gradients by the root of the sum of all their squares (torch.optim.Adagrad; PyTorch's default rate is
// 0.01).
type Adagrad struct{ Base }

// NewAdagrad makes an optimizer of params with a learning rate (torch.optim.Adagrad, whose default rate is 0.01). It
// panics where every constructor does (see the package's comment), and if LRDecay or InitialValue is below 0.
func NewAdagrad(params []nn.Parameter, lr float64, opts ...AdagradOptions) *Adagrad {
	return NewAdagradGroups(single(params), lr, opts...)
}

// NewAdagradGroups is NewAdagrad for groups of parameters, of which each may have settings of its own
// (torch.optim.Adagrad with a list of dictionaries).
func NewAdagradGroups(groups []Group, lr float64, opts ...AdagradOptions) *Adagrad {
	o := one("Adagrad", opts)
	atLeastZero("Adagrad", "decay of the learning rate", o.LRDecay)
	atLeastZero("Adagrad", "initial value", o.InitialValue)
	a := &Adagrad{}
	a.setUp(adagrad{torchRule{"Adagrad", adagradSettings, ParamGroup{
		LR: lr, LRDecay: o.LRDecay, Eps: orElse(o.Eps, 1e-10), WeightDecay: o.WeightDecay,
		InitialAcc: o.InitialValue, Maximize: o.Maximize, Fused: o.Fused,
	}}}, groups)
	return a
}

type adagrad struct{ torchRule }

// adagradSettings are the settings of Adagrad, as torch.optim.Adagrad has them.
var adagradSettings = []string{
	"lr", "lr_decay", "eps", "weight_decay", "initial_accumulator_value", "foreach", "maximize",
	"differentiable", "fused",
}

func (adagrad) EagerInit() {}

func (adagrad) Slots() []Slot {
	return []Slot{{Name: "step"}, {Name: "sum", Init: func(g *ParamGroup, p *torch.Tensor) *torch.Tensor {
		return torch.FullLike(p, g.InitialAcc)
	}}}
}

func (adagrad) Capturable(g *ParamGroup) error { return needsFused(g) }

func (adagrad) Update(g *ParamGroup, b *Batch) {
	if g.Fused {
		b.fused(true, func(b *Batch) {
			if b.rate != nil {
				aten.FusedAdagradTensorLr_(b.Params, b.Grads, b.State("sum"), b.State("step"), b.rate,
					g.LRDecay, g.WeightDecay, g.Eps, g.Maximize, nil, b.foundInf)
				return
			}
			aten.FusedAdagrad_(b.Params, b.Grads, b.State("sum"), b.State("step"), g.LR,
				g.LRDecay, g.WeightDecay, g.Eps, g.Maximize, nil, b.foundInf)
		})
		return
	}
	b.CountSteps(func(steps float64, b *Batch) {
		grads, _ := b.effectiveGrads(g, true)
		rate := g.LR / (1 + (steps-1)*g.LRDecay)
		sums := b.State("sum")
		aten.ForeachAddcmulScalar_(sums, grads, grads, torch.Float(1))
		roots := aten.ForeachSqrt(sums)
		aten.ForeachAddScalar_(roots, torch.Float(g.Eps))
		aten.ForeachAddcdivScalar_(b.Params, grads, roots, torch.Float(-rate))
	})
}
