package optim

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	"github.com/golite/golite/torch/nn"
)

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
