package optim

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	"github.com/golite/golite/torch/nn"
)

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
