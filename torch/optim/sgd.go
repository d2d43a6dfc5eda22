package optim

import (
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

// SGD is stochastic gradient descent, with momentum if asked for (torch.optim.SGD; PyTorch's default rate is 0.001).
type SGD struct{ Base }

// NewSGD makes an optimizer of params with a learning rate (torch.optim.SGD, whose default rate is 0.001). It panics
// where every constructor does (see the package's comment), and if Nesterov is asked for without momentum or with
// dampening.
func NewSGD(params []nn.Parameter, lr float64, opts ...SGDOptions) *SGD {
	return NewSGDGroups(single(params), lr, opts...)
}

// NewSGDGroups is NewSGD for groups of parameters, of which each may have settings of its own (torch.optim.SGD with a
// list of dictionaries).
func NewSGDGroups(groups []Group, lr float64, opts ...SGDOptions) *SGD {
	o := one("SGD", opts)
	s := &SGD{}
	s.setUp(sgd{}, groups, ParamGroup{LR: lr, Momentum: o.Momentum, Dampening: o.Dampening, WeightDecay: o.WeightDecay,
		Nesterov: o.Nesterov, Maximize: o.Maximize, Fused: o.Fused})
	return s
}

type sgd struct{}

func (sgd) name() string { return "SGD" }

func (sgd) sparse() {}

func (sgd) check(operation string, g *ParamGroup) {
	if g.Nesterov && (g.Momentum <= 0 || g.Dampening != 0) {
		torch.Fail(operation, "Nesterov's momentum needs a momentum above 0 and no dampening, got %v and %v", g.Momentum, g.Dampening)
	}
}

func (sgd) slots() []string { return []string{"momentum_buffer"} }

func (sgd) init(*ParamGroup, *torch.Tensor) *state { return &state{slots: make([]*torch.Tensor, 1)} }

func (sgd) settings(g *ParamGroup) []setting {
	return []setting{{"lr", &g.LR}, {"momentum", &g.Momentum}, {"dampening", &g.Dampening}, {"weight_decay", &g.WeightDecay},
		{"nesterov", &g.Nesterov}, {"maximize", &g.Maximize}, {"foreach", nil}, {"differentiable", false}, {"fused", fusedFlag(g)}}
}

func (r sgd) update(g *ParamGroup, b *batch) {
	if g.Fused {
		r.fused(g, b)
		return
	}
	grads, _ := b.descent(g, true)
	if g.Momentum != 0 {
		buffers := r.momentum(g, b, grads)
		if g.Nesterov {
			grads = aten.ForeachAddList(grads, buffers, torch.Float(g.Momentum))
		} else {
			grads = buffers
		}
	}
	aten.ForeachAddList_(b.params, grads, torch.Float(-g.LR))
}

// momentum brings the buffers up to date; a parameter's first is a copy of its gradient.
func (sgd) momentum(g *ParamGroup, b *batch, grads []*torch.Tensor) []*torch.Tensor {
	buffers := b.slot(0)
	var old, oldGrads []*torch.Tensor
	for i, buf := range buffers {
		if buf != nil {
			old, oldGrads = append(old, buf), append(oldGrads, grads[i])
			continue
		}
		torch.Outside(func() { buffers[i] = grads[i].Clone() })
		b.states[i].slots[0] = buffers[i]
	}
	if len(old) > 0 {
		scale(old, g.Momentum)
		aten.ForeachAddList_(old, oldGrads, torch.Float(1-g.Dampening))
	}
	return buffers
}

func (r sgd) fused(g *ParamGroup, b *batch) {
	b.fused(false, func(part *batch) {
		if g.Momentum == 0 {
			r.kernel(g, part, nil, false)
			return
		}
		split(part, func(i int) bool { return part.slot(0)[i] == nil }, func(first bool, part *batch) {
			r.kernel(g, part, part.need(0), first)
		})
	})
}

func (sgd) kernel(g *ParamGroup, b *batch, buffers []*torch.Tensor, first bool) {
	if b.rate != nil {
		aten.FusedSgdTensorLr_(b.params, b.grads, buffers, g.WeightDecay, g.Momentum, b.rate, g.Dampening, g.Nesterov, g.Maximize, first, nil, b.unless)
		return
	}
	aten.FusedSgd_(b.params, b.grads, buffers, g.WeightDecay, g.Momentum, g.LR, g.Dampening, g.Nesterov, g.Maximize, first, nil, b.unless)
}
