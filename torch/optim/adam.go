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

// NAdamOptions are NewNAdam's optional arguments.
type NAdamOptions struct {
	Betas         *[2]float64 // of the running means of gradient and square; nil: 0.9, 0.999
	Eps           *float64    // added to the denominator; nil: 1e-8
	WeightDecay   float64     // L2 penalty, or decay of the weights themselves if Decoupled
	MomentumDecay *float64    // how fast the momentum reaches its full size; nil: 0.004
	Decoupled     bool        // decoupled_weight_decay: as AdamW
	Maximize      bool        // go up the gradient
}

// NAdam is Adam with Nesterov's momentum (torch.optim.NAdam; PyTorch's default rate is 0.002).
type NAdam struct{ Base }

// NewNAdam makes an optimizer of params with a learning rate (torch.optim.NAdam, whose default rate is 0.002). It
// panics where every constructor does (see the package's comment), and if MomentumDecay is below 0.
func NewNAdam(params []nn.Parameter, lr float64, opts ...NAdamOptions) *NAdam {
	return NewNAdamGroups(single(params), lr, opts...)
}

// NewNAdamGroups is NewNAdam for groups of parameters, of which each may have settings of its own (torch.optim.NAdam
// with a list of dictionaries).
func NewNAdamGroups(groups []Group, lr float64, opts ...NAdamOptions) *NAdam {
	o := one("NAdam", opts)
	decay := orElse(o.MomentumDecay, 4e-3)
	atLeastZero("NAdam", "decay of the momentum", decay)
	a := &NAdam{}
	a.setUp(nadam{torchRule{"NAdam", nadamSettings, ParamGroup{
		LR: lr, Betas: orElse(o.Betas, [2]float64{0.9, 0.999}), Eps: orElse(o.Eps, 1e-8),
		WeightDecay: o.WeightDecay, MomentumDecay: decay, Decoupled: o.Decoupled, Maximize: o.Maximize,
	}}}, groups)
	return a
}

type nadam struct{ torchRule }

// nadamSettings are the settings of NAdam, as torch.optim.NAdam has them.
var nadamSettings = []string{
	"lr", "betas", "eps", "weight_decay", "momentum_decay", "decoupled_weight_decay", "maximize", "foreach",
	"capturable", "differentiable",
}

func (nadam) Slots() []Slot {
	product := func(*ParamGroup, *torch.Tensor) *torch.Tensor { return torch.Options{DType: torch.Float32}.Ones() }
	return []Slot{{Name: "step"}, {Name: "mu_product", Init: product}, {Name: "exp_avg"}, {Name: "exp_avg_sq"}}
}

func (r nadam) Update(g *ParamGroup, b *Batch) {
	b.CountSteps(func(steps float64, b *Batch) {
		grads, _ := b.effectiveGrads(g, !g.Decoupled)
		b.decouple(g)
		mu := g.Betas[0] * (1 - 0.5*pow(0.96, steps*g.MomentumDecay))
		next := g.Betas[0] * (1 - 0.5*pow(0.96, (steps+1)*g.MomentumDecay))
		scale(b.State("mu_product"), mu)
		b.moments(g, grads)
		denominators := aten.ForeachDivScalar(b.State("exp_avg_sq"), torch.Float(1-pow(g.Betas[1], steps)))
		aten.ForeachSqrt_(denominators)
		aten.ForeachAddScalar_(denominators, torch.Float(g.Eps))
		ofGrad, ofMean := r.rates(g, b, mu, next)
		aten.ForeachAddcdivScalarList_(b.Params, grads, denominators, ofGrad)
		aten.ForeachAddcdivScalarList_(b.Params, b.State("exp_avg"), denominators, ofMean)
	})
}

// rates gives the step sizes for the gradients and for their means: they depend on a product that each parameter keeps.
func (nadam) rates(g *ParamGroup, b *Batch, mu, next float64) (ofGrad, ofMean []torch.Scalar) {
	for _, t := range b.State("mu_product") {
		product := t.Item()
		ofGrad = append(ofGrad, torch.Float(-g.LR*(1-mu)/(1-product)))
		ofMean = append(ofMean, torch.Float((-g.LR*next)/(1-product*next)))
	}
	return ofGrad, ofMean
}

// RAdamOptions are NewRAdam's optional arguments.
type RAdamOptions struct {
	Betas       *[2]float64 // of the running means of gradient and square; nil: 0.9, 0.999
	Eps         *float64    // added to the denominator; nil: 1e-8
	WeightDecay float64     // L2 penalty, or decay of the weights themselves if Decoupled
	Decoupled   bool        // decoupled_weight_decay: as AdamW
	Maximize    bool        // go up the gradient
}

// RAdam is Adam that waits with its adaptive rate until it can be trusted (torch.optim.RAdam; PyTorch's default rate is
// 0.001).
type RAdam struct{ Base }

// NewRAdam makes an optimizer of params with a learning rate (torch.optim.RAdam, whose default rate is 0.001). It
// panics where every constructor does (see the package's comment).
func NewRAdam(params []nn.Parameter, lr float64, opts ...RAdamOptions) *RAdam {
	return NewRAdamGroups(single(params), lr, opts...)
}

// NewRAdamGroups is NewRAdam for groups of parameters, of which each may have settings of its own (torch.optim.RAdam
// with a list of dictionaries).
func NewRAdamGroups(groups []Group, lr float64, opts ...RAdamOptions) *RAdam {
	o := one("RAdam", opts)
	a := &RAdam{}
	a.setUp(radam{torchRule{"RAdam", radamSettings, ParamGroup{
		LR: lr, Betas: orElse(o.Betas, [2]float64{0.9, 0.999}), Eps: orElse(o.Eps, 1e-8),
		WeightDecay: o.WeightDecay, Decoupled: o.Decoupled, Maximize: o.Maximize,
	}}}, groups)
	return a
}

type radam struct{ torchRule }

// radamSettings are the settings of RAdam, as torch.optim.RAdam has them.
var radamSettings = []string{
	"lr", "betas", "eps", "weight_decay", "maximize", "foreach", "capturable", "decoupled_weight_decay",
	"differentiable",
}

func (radam) Slots() []Slot {
	return []Slot{{Name: "step"}, {Name: "exp_avg"}, {Name: "exp_avg_sq"}}
}

func (radam) Update(g *ParamGroup, b *Batch) {
	grads, _ := b.effectiveGrads(g, !g.Decoupled)
	b.decouple(g)
	b.moments(g, grads)
	b.CountSteps(func(steps float64, b *Batch) {
		power := pow(g.Betas[1], steps)
		correction := 1 - power
		updates := aten.ForeachDivScalar(b.State("exp_avg"), torch.Float(1-pow(g.Betas[0], steps)))
		scale(updates, g.LR)

		// How long the running mean of squares is, in steps, now and in the end.
		last := 2/(1-g.Betas[1]) - 1
		length := last - 2*steps*power/correction
		if length > 5 {
			rates := aten.ForeachSqrt(b.State("exp_avg_sq"))
			aten.ForeachAddScalar_(rates, torch.Float(g.Eps))
			aten.ForeachReciprocal_(rates)
			scale(rates, pow(correction, 0.5))
			aten.ForeachMulList_(updates, rates)
			scale(updates, pow((length-4)*(length-2)*last/((last-4)*(last-2)*length), 0.5))
		}
		aten.ForeachAddList_(b.Params, updates, torch.Float(-1))
	})
}
