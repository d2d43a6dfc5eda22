package optim

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	"github.com/golite/golite/torch/nn"
)

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
