package optim

import (
	"slices"

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

func (adagrad) SparseGrads() {}

func (adagrad) Slots() []Slot {
	return []Slot{{Name: "step"}, {Name: "sum", Init: func(g *ParamGroup, p *torch.Tensor) *torch.Tensor {
		return torch.FullLike(p, g.InitialAcc)
	}}}
}

func (adagrad) Capturable(g *ParamGroup) error { return needsFused(g) }

func (r adagrad) Update(g *ParamGroup, b *Batch) {
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
		rate := g.LR / (1 + (steps-1)*g.LRDecay)
		if b = r.sparse(g, b, rate); len(b.Params) == 0 {
			return
		}
		grads, _ := b.effectiveGrads(g, true)
		sums := b.State("sum")
		aten.ForeachAddcmulScalar_(sums, grads, grads, torch.Float(1))
		roots := aten.ForeachSqrt(sums)
		aten.ForeachAddScalar_(roots, torch.Float(g.Eps))
		aten.ForeachAddcdivScalar_(b.Params, grads, roots, torch.Float(-rate))
	})
}

// sparse steps the parameters whose gradients are sparse, and returns those with dense ones.
func (adagrad) sparse(g *ParamGroup, b *Batch, rate float64) (dense *Batch) {
	isSparse := func(i int) bool { return b.Grads[i].Layout() == torch.SparseCOO }
	if !slices.ContainsFunc(b.Grads, func(t *torch.Tensor) bool { return t.Layout() == torch.SparseCOO }) {
		return b
	}
	part := b.subset(isSparse)
	for i, sum := range part.State("sum") {
		sparseAdagradStep(g, rate, part.Params[i], part.Grads[i], sum)
	}
	return b.subset(func(i int) bool { return !isSparse(i) })
}

// sparseAdagradStep changes the rows that a gradient has of a parameter and its sum of squares.
func sparseAdagradStep(g *ParamGroup, rate float64, p, grad, sum *torch.Tensor) {
	if g.Maximize {
		grad = aten.Neg(grad)
	}
	grad = aten.Coalesce(grad) // a square is of a whole row
	indices, values := aten.InternalIndices(grad), aten.InternalValues(grad)
	add := func(to, rows *torch.Tensor, alpha float64) {
		sparse := aten.SparseCooTensorIndicesSize(indices, rows, grad.Shape(), 0, 0, torch.Device{}, nil, nil)
		aten.AddTensor_(to, sparse, torch.Float(alpha))
	}
	add(sum, aten.PowTensorScalar(values, torch.Int(2)), 1)
	roots := aten.Sqrt_(aten.InternalValues(aten.SparseMask(sum, grad)))
	add(p, aten.DivTensor(values, aten.AddScalar_(roots, torch.Float(g.Eps), torch.Int(1))), -rate)
}
