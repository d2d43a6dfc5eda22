package main

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// Lion changes each weight by the sign of a running mean of its gradients (Chen et al., Symbolic Discovery of
// Optimization Algorithms, 2023). It keeps half as much as Adam does, and wants a rate of about a tenth of Adam's.
type Lion struct{ *optim.Base }

// LionOptions are NewLion's optional arguments.
type LionOptions struct {
	Betas       *[2]float64 // of the mean in the update, and of the mean that is kept; nil: 0.9, 0.99
	WeightDecay float64     // of the weights themselves
}

// NewLion makes an optimizer of params with a learning rate; the paper's is 1e-4.
func NewLion(params []nn.Parameter, lr float64, o LionOptions) *Lion {
	return NewLionGroups([]optim.Group{{Params: params}}, lr, o)
}

// NewLionGroups is NewLion for groups of parameters, of which each may have settings of its own.
func NewLionGroups(groups []optim.Group, lr float64, o LionOptions) *Lion {
	r := lion{lr: lr, betas: [2]float64{0.9, 0.99}, decay: o.WeightDecay}
	if o.Betas != nil {
		r.betas = *o.Betas
	}
	return &Lion{optim.New(r, groups...)}
}

// lion is the rule.
type lion struct {
	lr, decay float64
	betas     [2]float64
}

func (lion) Name() string { return "Lion" }

func (r lion) Defaults() map[string]any {
	return map[string]any{"lr": r.lr, "betas": r.betas, "weight_decay": r.decay}
}

func (lion) Slots() []optim.Slot { return []optim.Slot{{Name: "exp_avg"}} }

func (lion) Update(g *optim.ParamGroup, b *optim.Batch) {
	if g.WeightDecay != 0 {
		aten.ForeachMulScalar_(b.Params, torch.Float(1-g.LR*g.WeightDecay))
	}
	means := b.State("exp_avg")
	updates := aten.ForeachLerpScalar(means, b.Grads, torch.Float(1-g.Betas[0]))
	aten.ForeachSign_(updates)
	aten.ForeachAddList_(b.Params, updates, torch.Float(-g.LR))
	aten.ForeachLerpScalar_(means, b.Grads, torch.Float(1-g.Betas[1]))
}

// Capturable accepts all settings: no number changes from step to step.
func (lion) Capturable(*optim.ParamGroup) error { return nil }
