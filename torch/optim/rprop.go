package optim

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	"github.com/golite/golite/torch/nn"
)

// RpropOptions are NewRprop's optional arguments.
type RpropOptions struct {
	Etas      *[2]float64 // by what a step shrinks when the gradient's sign turns, and grows when not; nil: 0.5, 1.2
	StepSizes *[2]float64 // the smallest and the largest step; nil: 1e-6, 50
	Maximize  bool        // go up the gradient
}

// Rprop uses the gradient's sign alone: the rate is the size of the first step (torch.optim.Rprop; PyTorch's default
// rate is 0.01).
type Rprop struct{ Base }

// NewRprop makes an optimizer of params with a learning rate (torch.optim.Rprop, whose default rate is 0.01). It panics
// where every constructor does (see the package's comment), and unless the first of Etas is between 0 and 1 and the
// second above 1.
func NewRprop(params []nn.Parameter, lr float64, opts ...RpropOptions) *Rprop {
	return NewRpropGroups(single(params), lr, opts...)
}

// NewRpropGroups is NewRprop for groups of parameters, of which each may have settings of its own (torch.optim.Rprop
// with a list of dictionaries).
func NewRpropGroups(groups []Group, lr float64, opts ...RpropOptions) *Rprop {
	o := one("Rprop", opts)
	etas := orElse(o.Etas, [2]float64{0.5, 1.2})
	if !(0 < etas[0] && etas[0] < 1 && 1 < etas[1]) {
		torch.Fail("optim.NewRprop", "the etas are %v: want the first between 0 and 1, the second above 1", etas)
	}
	r := &Rprop{}
	r.setUp(rprop{torchRule{"Rprop", rpropSettings, ParamGroup{
		LR: lr, Etas: etas, StepSizes: orElse(o.StepSizes, [2]float64{1e-6, 50}), Maximize: o.Maximize,
	}}}, groups)
	return r
}

type rprop struct{ torchRule }

// rpropSettings are the settings of Rprop, as torch.optim.Rprop has them.
var rpropSettings = []string{
	"lr", "etas", "step_sizes", "foreach", "maximize", "differentiable", "capturable",
}

func (rprop) Slots() []Slot {
	size := func(g *ParamGroup, p *torch.Tensor) *torch.Tensor { return torch.FullLike(p, g.LR) }
	return []Slot{{Name: "step"}, {Name: "prev"}, {Name: "step_size", Init: size}}
}

func (rprop) Update(g *ParamGroup, b *Batch) {
	b.CountSteps(func(float64, *Batch) {})
	grads, _ := b.effectiveGrads(g, false)
	previous, sizes := b.State("prev"), b.State("step_size")
	factors := aten.ForeachMulList(grads, previous)
	aten.ForeachSign_(factors)
	aten.ForeachCopy_(previous, grads, false)
	for i, f := range factors {
		aten.MaskedFillScalar_(f, aten.GtScalar(f, torch.Float(0)), torch.Float(g.Etas[1]))
		aten.MaskedFillScalar_(f, aten.LtScalar(f, torch.Float(0)), torch.Float(g.Etas[0]))
		aten.MaskedFillScalar_(f, aten.EqScalar(f, torch.Float(0)), torch.Float(1))
		// Where the sign turned, this step isn't made, and the next one doesn't see a turn.
		aten.MaskedFillScalar_(previous[i], aten.EqScalar(f, torch.Float(g.Etas[0])), torch.Float(0))
	}
	aten.ForeachMulList_(sizes, factors)
	aten.ForeachClampMinScalar_(sizes, torch.Float(g.StepSizes[0]))
	aten.ForeachClampMaxScalar_(sizes, torch.Float(g.StepSizes[1]))
	aten.ForeachAddcmulScalar_(b.Params, aten.ForeachSign(previous), sizes, torch.Float(-1))
}
