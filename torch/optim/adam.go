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
	a.setUp(adam{"Adam"}, groups, ParamGroup{LR: lr, Betas: orElse(o.Betas, [2]float64{0.9, 0.999}), Eps: orElse(o.Eps, 1e-8),
		WeightDecay: o.WeightDecay, Decoupled: o.Decoupled, AMSGrad: o.AMSGrad, Maximize: o.Maximize, Fused: o.Fused})
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
	a.setUp(adam{"AdamW"}, groups, ParamGroup{LR: lr, Betas: orElse(o.Betas, [2]float64{0.9, 0.999}), Eps: orElse(o.Eps, 1e-8),
		WeightDecay: orElse(o.WeightDecay, 0.01), Decoupled: true, AMSGrad: o.AMSGrad, Maximize: o.Maximize, Fused: o.Fused})
	return a
}

// adam is the rule of both: they differ in what their weight decay decays.
type adam struct{ label string }

// The slots of adam's state.
const (
	adamStep = iota
	adamAvg
	adamSq
	adamMaxSq
)

func (a adam) name() string { return a.label }

func (adam) slots() []string {
	return []string{"step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"}
}

func (adam) init(g *ParamGroup, p *torch.Tensor) *state {
	s := &state{slots: []*torch.Tensor{counter(g, p), torch.ZerosLike(p), torch.ZerosLike(p), nil}}
	if g.AMSGrad {
		s.slots[adamMaxSq] = torch.ZerosLike(p)
	}
	return s
}

func (adam) settings(g *ParamGroup) []setting {
	return []setting{{"lr", &g.LR}, {"betas", &g.Betas}, {"eps", &g.Eps}, {"weight_decay", &g.WeightDecay}, {"amsgrad", &g.AMSGrad},
		{"maximize", &g.Maximize}, {"foreach", nil}, {"capturable", false}, {"differentiable", false}, {"fused", fusedFlag(g)},
		{"decoupled_weight_decay", &g.Decoupled}}
}

func (a adam) update(g *ParamGroup, b *batch) {
	if g.Fused {
		b.fused(true, func(part *batch) { a.fused(g, part) })
		return
	}
	grads, _ := b.descent(g, !g.Decoupled)
	b.decouple(g)
	b.moments(g, grads, adamAvg, adamSq)
	if g.AMSGrad {
		aten.ForeachMaximumList_(b.need(adamMaxSq), b.slot(adamSq))
	}
	b.count(func(steps float64, part *batch) {
		squares := part.slot(adamSq)
		if g.AMSGrad {
			squares = part.slot(adamMaxSq)
		}
		size := g.LR / (1 - pow(g.Betas[0], steps))
		root := pow(1-pow(g.Betas[1], steps), 0.5)
		denominators := aten.ForeachSqrt(squares)
		aten.ForeachDivScalar_(denominators, torch.Float(root))
		aten.ForeachAddScalar_(denominators, torch.Float(g.Eps))
		aten.ForeachAddcdivScalar_(part.params, part.slot(adamAvg), denominators, torch.Float(-size))
	})
}

func (adam) fused(g *ParamGroup, b *batch) {
	var largest []*torch.Tensor
	if g.AMSGrad {
		largest = b.need(adamMaxSq)
	}
	if b.rate != nil {
		f := aten.FusedAdamTensorLr_
		if g.Decoupled {
			f = aten.FusedAdamwTensorLr_
		}
		f(b.params, b.grads, b.slot(adamAvg), b.slot(adamSq), largest, b.slot(adamStep), b.rate, g.Betas[0], g.Betas[1], g.WeightDecay, g.Eps, g.AMSGrad, g.Maximize, nil, b.unless)
		return
	}
	f := aten.FusedAdam_
	if g.Decoupled {
		f = aten.FusedAdamw_
	}
	f(b.params, b.grads, b.slot(adamAvg), b.slot(adamSq), largest, b.slot(adamStep), g.LR, g.Betas[0], g.Betas[1], g.WeightDecay, g.Eps, g.AMSGrad, g.Maximize, nil, b.unless)
}

// decouple lets the weights themselves decay, if the group's decay is of that kind.
func (b *batch) decouple(g *ParamGroup) {
	if g.Decoupled && g.WeightDecay != 0 {
		scale(b.params, 1-g.LR*g.WeightDecay)
	}
}

// moments updates the running means of the gradients and of their squares, which are in two slots.
func (b *batch) moments(g *ParamGroup, grads []*torch.Tensor, mean, square int) {
	aten.ForeachLerpScalar_(b.slot(mean), grads, torch.Float(1-g.Betas[0]))
	scale(b.slot(square), g.Betas[1])
	aten.ForeachAddcmulScalar_(b.slot(square), grads, grads, torch.Float(1-g.Betas[1]))
}
