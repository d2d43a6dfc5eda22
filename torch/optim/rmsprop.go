package optim

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	"github.com/golite/golite/torch/nn"
)

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
