package optim

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	"github.com/golite/golite/torch/nn"
)

// AdamOptions are NewAdam's optional arguments.
type AdamOptions struct {
	Betas       *[2]float64 // of the running means of gradient and square; nil: 0.9, 0.999
	Eps         *float64    // added to the denominator; nil: 1e-8
	WeightDecay float64     // L2 penalty, or decay of the weights themselves if Decoupled
	Decoupled   bool        // decoupled_weight_decay: as AdamW
	AMSGrad     bool        // divide by the largest square so far
	Maximize    bool        // go up the gradient
	Fused       bool        // libtorch's fused kernel: faster, with other rounding
}

// Adam divides a running mean of the gradients by the root of one of their squares, both corrected for their beginning
// at 0 (torch.optim.Adam; PyTorch's default rate is 0.001).
type Adam struct{ Base }

// NewAdam makes an optimizer of params with a learning rate (torch.optim.Adam, whose default rate is 0.001). It panics
// where every constructor does (see the package's comment).
func NewAdam(params []nn.Parameter, lr float64, opts ...AdamOptions) *Adam {
	return NewAdamGroups(single(params), lr, opts...)
}

// NewAdamGroups is NewAdam for groups of parameters, of which each may have settings of its own (torch.optim.Adam with
// a list of dictionaries).
func NewAdamGroups(groups []Group, lr float64, opts ...AdamOptions) *Adam {
	o := one("Adam", opts)
	a := &Adam{}
	a.setUp(adam{torchRule{"Adam", adamSettings, ParamGroup{
		LR: lr, Betas: orElse(o.Betas, [2]float64{0.9, 0.999}), Eps: orElse(o.Eps, 1e-8),
		WeightDecay: o.WeightDecay, Decoupled: o.Decoupled, AMSGrad: o.AMSGrad, Maximize: o.Maximize,
		Fused: o.Fused,
	}}}, groups)
	return a
}

// AdamWOptions are NewAdamW's optional arguments.
type AdamWOptions struct {
	Betas       *[2]float64 // of the running means of gradient and square; nil: 0.9, 0.999
	Eps         *float64    // added to the denominator; nil: 1e-8
	WeightDecay *float64    // of the weights themselves; nil: 0.01
	AMSGrad     bool        // divide by the largest square so far
	Maximize    bool        // go up the gradient
	Fused       bool        // libtorch's fused kernel: faster, with other rounding
}

// AdamW is Adam whose weight decay shrinks the weights themselves and is no part of the gradients (torch.optim.AdamW;
// PyTorch's default rate is 0.001).
type AdamW struct{ Base }

// NewAdamW makes an optimizer of params with a learning rate (torch.optim.AdamW, whose default rate is 0.001). It
// panics where every constructor does (see the package's comment).
func NewAdamW(params []nn.Parameter, lr float64, opts ...AdamWOptions) *AdamW {
	return NewAdamWGroups(single(params), lr, opts...)
}

// NewAdamWGroups is NewAdamW for groups of parameters, of which each may have settings of its own (torch.optim.AdamW
// with a list of dictionaries).
func NewAdamWGroups(groups []Group, lr float64, opts ...AdamWOptions) *AdamW {
	o := one("AdamW", opts)
	a := &AdamW{}
	a.setUp(adam{torchRule{"AdamW", adamSettings, ParamGroup{
		LR: lr, Betas: orElse(o.Betas, [2]float64{0.9, 0.999}), Eps: orElse(o.Eps, 1e-8),
		WeightDecay: orElse(o.WeightDecay, 0.01), Decoupled: true, AMSGrad: o.AMSGrad, Maximize: o.Maximize,
		Fused: o.Fused,
	}}}, groups)
	return a
}

// adam is the rule of both: they differ in what their weight decay decays.
type adam struct{ torchRule }

// adamSettings are the settings of Adam and AdamW, as torch.optim.Adam has them.
var adamSettings = []string{
	"lr", "betas", "eps", "weight_decay", "amsgrad", "maximize", "foreach", "capturable", "differentiable",
	"fused", "decoupled_weight_decay",
}

func (adam) Slots() []Slot {
	return []Slot{{Name: "step"}, {Name: "exp_avg"}, {Name: "exp_avg_sq"},
		{Name: "max_exp_avg_sq", Init: when(func(g *ParamGroup) bool { return g.AMSGrad })}}
}

// Capturable requires Fused, whose kernels count the steps on the device.
func (adam) Capturable(g *ParamGroup) error { return needsFused(g) }

func (a adam) Update(g *ParamGroup, b *Batch) {
	if g.Fused {
		b.fused(true, func(part *Batch) { a.fused(g, part) })
		return
	}
	grads, _ := b.effectiveGrads(g, !g.Decoupled)
	b.decouple(g)
	b.moments(g, grads)
	if g.AMSGrad {
		aten.ForeachMaximumList_(b.State("max_exp_avg_sq"), b.State("exp_avg_sq"))
	}
	b.CountSteps(func(steps float64, part *Batch) {
		squares := part.State("exp_avg_sq")
		if g.AMSGrad {
			squares = part.State("max_exp_avg_sq")
		}
		size := g.LR / (1 - pow(g.Betas[0], steps))
		root := pow(1-pow(g.Betas[1], steps), 0.5)
		denominators := aten.ForeachSqrt(squares)
		aten.ForeachDivScalar_(denominators, torch.Float(root))
		aten.ForeachAddScalar_(denominators, torch.Float(g.Eps))
		aten.ForeachAddcdivScalar_(part.Params, part.State("exp_avg"), denominators, torch.Float(-size))
	})
}

func (adam) fused(g *ParamGroup, b *Batch) {
	var largest []*torch.Tensor
	if g.AMSGrad {
		largest = b.State("max_exp_avg_sq")
	}
	if b.rate != nil {
		f := aten.FusedAdamTensorLr_
		if g.Decoupled {
			f = aten.FusedAdamwTensorLr_
		}
		f(b.Params, b.Grads, b.State("exp_avg"), b.State("exp_avg_sq"), largest, b.State("step"), b.rate, g.Betas[0],
			g.Betas[1],
			g.WeightDecay, g.Eps, g.AMSGrad, g.Maximize, nil, b.foundInf)
		return
	}
	f := aten.FusedAdam_
	if g.Decoupled {
		f = aten.FusedAdamw_
	}
	f(b.Params, b.Grads, b.State("exp_avg"), b.State("exp_avg_sq"), largest, b.State("step"), g.LR, g.Betas[0], g.Betas[1],
		g.WeightDecay, g.Eps, g.AMSGrad, g.Maximize, nil, b.foundInf)
}

// decouple decays the weights themselves, if the group's decay is of that kind.
func (b *Batch) decouple(g *ParamGroup) {
	if g.Decoupled && g.WeightDecay != 0 {
		scale(b.Params, 1-g.LR*g.WeightDecay)
	}
}

// moments updates the running means of the gradients and of their squares.
func (b *Batch) moments(g *ParamGroup, grads []*torch.Tensor) {
	aten.ForeachLerpScalar_(b.State("exp_avg"), grads, torch.Float(1-g.Betas[0]))
	scale(b.State("exp_avg_sq"), g.Betas[1])
	aten.ForeachAddcmulScalar_(b.State("exp_avg_sq"), grads, grads, torch.Float(1-g.Betas[1]))
}
