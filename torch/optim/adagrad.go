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

// AdadeltaOptions are NewAdadelta's optional arguments.
type AdadeltaOptions struct {
	Rho         *float64 // of the running means of squares; nil: 0.9
	Eps         *float64 // added to the denominator; nil: 1e-6
	WeightDecay float64  // L2 penalty
	Maximize    bool     // go up the gradient
}

// Adadelta scales steps by the running magnitude of steps over that of gradients (torch.optim.Adadelta; PyTorch's
// default rate is 1).
type Adadelta struct{ Base }

// NewAdadelta makes an optimizer of params with a learning rate (torch.optim.Adadelta, whose default rate is 1). It
// panics where every constructor does (see the package's comment), and if Rho is not from 0 to 1.
func NewAdadelta(params []nn.Parameter, lr float64, opts ...AdadeltaOptions) *Adadelta {
	return NewAdadeltaGroups(single(params), lr, opts...)
}

// NewAdadeltaGroups is NewAdadelta for groups of parameters, of which each may have settings of its own
// (torch.optim.Adadelta with a list of dictionaries).
func NewAdadeltaGroups(groups []Group, lr float64, opts ...AdadeltaOptions) *Adadelta {
	o := one("Adadelta", opts)
	rho := orElse(o.Rho, 0.9)
	if !(rho >= 0 && rho <= 1) {
		torch.Fail("optim.NewAdadelta", "rho is %v: want 0 to 1", rho)
	}
	a := &Adadelta{}
	a.setUp(adadelta{torchRule{"Adadelta", adadeltaSettings, ParamGroup{
		LR: lr, Rho: rho, Eps: orElse(o.Eps, 1e-6), WeightDecay: o.WeightDecay, Maximize: o.Maximize,
	}}}, groups)
	return a
}

type adadelta struct{ torchRule }

// adadeltaSettings are the settings of Adadelta, as torch.optim.Adadelta has them.
var adadeltaSettings = []string{
	"lr", "rho", "eps", "weight_decay", "maximize", "capturable", "foreach", "differentiable",
}

func (adadelta) Slots() []Slot {
	return []Slot{{Name: "step"}, {Name: "square_avg"}, {Name: "acc_delta"}}
}

func (adadelta) Update(g *ParamGroup, b *Batch) {
	b.CountSteps(func(float64, *Batch) {})
	grads, _ := b.effectiveGrads(g, true)
	squares, moved := b.State("square_avg"), b.State("acc_delta")
	scale(squares, g.Rho)
	aten.ForeachAddcmulScalar_(squares, grads, grads, torch.Float(1-g.Rho))

	roots := aten.ForeachAddScalar(squares, torch.Float(g.Eps))
	aten.ForeachSqrt_(roots)
	steps := aten.ForeachAddScalar(moved, torch.Float(g.Eps))
	aten.ForeachSqrt_(steps)
	aten.ForeachDivList_(steps, roots)
	aten.ForeachMulList_(steps, grads)

	scale(moved, g.Rho)
	aten.ForeachAddcmulScalar_(moved, steps, steps, torch.Float(1-g.Rho))
	aten.ForeachAddList_(b.Params, steps, torch.Float(-g.LR))
}

// RMSpropOptions are NewRMSprop's optional arguments.
type RMSpropOptions struct {
	Alpha       *float64 // of the running mean of squares; nil: 0.99
	Eps         *float64 // added to the denominator; nil: 1e-8
	WeightDecay float64  // L2 penalty
	Momentum    float64  // what is left of the last step in this one; 0: none
	Centered    bool     // divide by the gradient's standard deviation
	Maximize    bool     // go up the gradient
}

// RMSprop divides gradients by a running mean of their magnitude (torch.optim.RMSprop; PyTorch's default rate is 0.01).
type RMSprop struct{ Base }

// NewRMSprop makes an optimizer of params with a learning rate (torch.optim.RMSprop, whose default rate is 0.01). It
// panics where every constructor does (see the package's comment), and if Alpha is below 0.
func NewRMSprop(params []nn.Parameter, lr float64, opts ...RMSpropOptions) *RMSprop {
	return NewRMSpropGroups(single(params), lr, opts...)
}

// NewRMSpropGroups is NewRMSprop for groups of parameters, of which each may have settings of its own
// (torch.optim.RMSprop with a list of dictionaries).
func NewRMSpropGroups(groups []Group, lr float64, opts ...RMSpropOptions) *RMSprop {
	o := one("RMSprop", opts)
	r := &RMSprop{}
	alpha := orElse(o.Alpha, 0.99)
	atLeastZero("RMSprop", "alpha", alpha)
	r.setUp(rmsprop{torchRule{"RMSprop", rmspropSettings, ParamGroup{
		LR: lr, Alpha: alpha, Eps: orElse(o.Eps, 1e-8), WeightDecay: o.WeightDecay, Momentum: o.Momentum,
		Centered: o.Centered, Maximize: o.Maximize,
	}}}, groups)
	return r
}

type rmsprop struct{ torchRule }

// rmspropSettings are the settings of RMSprop, as torch.optim.RMSprop has them.
var rmspropSettings = []string{
	"lr", "momentum", "alpha", "eps", "centered", "weight_decay", "capturable", "foreach", "maximize",
	"differentiable",
}

func (rmsprop) Slots() []Slot {
	return []Slot{{Name: "step"}, {Name: "square_avg"},
		{Name: "momentum_buffer", Init: when(func(g *ParamGroup) bool { return g.Momentum > 0 })},
		{Name: "grad_avg", Init: when(func(g *ParamGroup) bool { return g.Centered })}}
}

func (rmsprop) Update(g *ParamGroup, b *Batch) {
	b.CountSteps(func(float64, *Batch) {})
	grads, _ := b.effectiveGrads(g, true)
	squares := b.State("square_avg")
	scale(squares, g.Alpha)
	aten.ForeachAddcmulScalar_(squares, grads, grads, torch.Float(1-g.Alpha))
	var roots []*torch.Tensor
	if g.Centered {
		means := b.State("grad_avg")
		aten.ForeachLerpScalar_(means, grads, torch.Float(1-g.Alpha))
		roots = aten.ForeachAddcmulScalar(squares, means, means, torch.Float(-1))
		aten.ForeachSqrt_(roots)
	} else {
		roots = aten.ForeachSqrt(squares)
	}
	aten.ForeachAddScalar_(roots, torch.Float(g.Eps))
	if g.Momentum > 0 {
		buffers := b.State("momentum_buffer")
		scale(buffers, g.Momentum)
		aten.ForeachAddcdivScalar_(buffers, grads, roots, torch.Float(1))
		aten.ForeachAddList_(b.Params, buffers, torch.Float(-g.LR))
		return
	}
	aten.ForeachAddcdivScalar_(b.Params, grads, roots, torch.Float(-g.LR))
}
