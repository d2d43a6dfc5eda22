package optim

import (
	"fmt"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	"github.com/golite/golite/torch/nn"
)

// SGDOptions are NewSGD's optional arguments; the zero value is plain descent.
type SGDOptions struct {
	Momentum    float64 // what is left of the last step in this one; 0: none
	Dampening   float64 // of the momentum
	WeightDecay float64 // L2 penalty
	Nesterov    bool    // needs momentum and no dampening
	Maximize    bool    // go up the gradient
	Fused       bool    // libtorch's fused kernel: faster, with other rounding
}

// SGD is stochastic gradient descent, with optional momentum (torch.optim.SGD; PyTorch's default rate is 0.001).
type SGD struct{ Base }

// NewSGD makes an optimizer of params with a learning rate (torch.optim.SGD, whose default rate is 0.001). It panics
// where every constructor does (see the package's comment), and if Nesterov is set without momentum or with dampening.
func NewSGD(params []nn.Parameter, lr float64, opts ...SGDOptions) *SGD {
	return NewSGDGroups(single(params), lr, opts...)
}

// NewSGDGroups is NewSGD for groups of parameters, of which each may have settings of its own (torch.optim.SGD with a
// list of dictionaries).
func NewSGDGroups(groups []Group, lr float64, opts ...SGDOptions) *SGD {
	o := one("SGD", opts)
	s := &SGD{}
	s.setUp(sgd{torchRule{"SGD", sgdSettings, ParamGroup{
		LR: lr, Momentum: o.Momentum, Dampening: o.Dampening, WeightDecay: o.WeightDecay, Nesterov: o.Nesterov,
		Maximize: o.Maximize, Fused: o.Fused,
	}}}, groups)
	return s
}

type sgd struct{ torchRule }

// sgdSettings are the settings of SGD, as torch.optim.SGD has them.
var sgdSettings = []string{
	"lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize", "foreach", "differentiable", "fused",
}

func (sgd) SparseGrads() {}

// Check refuses Nesterov without what it needs.
func (sgd) Check(g *ParamGroup) error {
	if g.Nesterov && (g.Momentum <= 0 || g.Dampening != 0) {
		return fmt.Errorf("the momentum of Nesterov needs a momentum above 0 and no dampening, got %v and %v", g.Momentum,
			g.Dampening)
	}
	return nil
}

func (sgd) Slots() []Slot {
	return []Slot{{Name: "momentum_buffer", Init: unused}}
}

// Capturable accepts all settings: nothing is computed from one step to the next in Go.
func (sgd) Capturable(*ParamGroup) error { return nil }

func (r sgd) Update(g *ParamGroup, b *Batch) {
	if g.Fused {
		r.fused(g, b)
		return
	}
	grads, _ := b.effectiveGrads(g, true)
	if g.Momentum != 0 {
		buffers := r.momentum(g, b, grads)
		if g.Nesterov {
			grads = aten.ForeachAddList(grads, buffers, torch.Float(g.Momentum))
		} else {
			grads = buffers
		}
	}
	aten.ForeachAddList_(b.Params, grads, torch.Float(-g.LR))
}

// momentum brings the buffers up to date; a parameter's first is a copy of its gradient.
func (sgd) momentum(g *ParamGroup, b *Batch, grads []*torch.Tensor) []*torch.Tensor {
	buffers := b.slot(0)
	var old, oldGrads []*torch.Tensor
	for i, buf := range buffers {
		if buf != nil {
			old, oldGrads = append(old, buf), append(oldGrads, grads[i])
			continue
		}
		torch.NoScope(func() { buffers[i] = grads[i].Clone() })
		b.states[i].slots[0] = buffers[i]
	}
	if len(old) > 0 {
		scale(old, g.Momentum)
		aten.ForeachAddList_(old, oldGrads, torch.Float(1-g.Dampening))
	}
	return buffers
}

func (r sgd) fused(g *ParamGroup, b *Batch) {
	b.fused(false, func(part *Batch) {
		if g.Momentum == 0 {
			r.kernel(g, part, nil, false)
			return
		}
		split(part, func(i int) bool { return part.slot(0)[i] == nil }, func(first bool, part *Batch) {
			r.kernel(g, part, part.slotOrZeros(0), first)
		})
	})
}

func (sgd) kernel(g *ParamGroup, b *Batch, buffers []*torch.Tensor, first bool) {
	if b.rate != nil {
		aten.FusedSgdTensorLr_(b.Params, b.Grads, buffers, g.WeightDecay, g.Momentum, b.rate,
			g.Dampening, g.Nesterov, g.Maximize, first, nil, b.foundInf)
		return
	}
	aten.FusedSgd_(b.Params, b.Grads, buffers, g.WeightDecay, g.Momentum, g.LR,
		g.Dampening, g.Nesterov, g.Maximize, first, nil, b.foundInf)
}
