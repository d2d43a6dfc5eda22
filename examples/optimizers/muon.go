package main

import (
	"fmt"
	"math"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// Muon changes each matrix by its momentum, orthogonalized by Newton-Schulz iterations (torch.optim.Muon, whose state
// dicts it reads and writes). It takes matrices alone: biases, embeddings and the last layer are for another optimizer.
type Muon struct{ *optim.Base }

// MuonOptions are NewMuon's optional arguments.
type MuonOptions struct {
	Momentum     *float64    // nil: 0.95
	WeightDecay  *float64    // of the weights themselves; nil: 0.1
	NoNesterov   bool        // plain momentum
	Coefficients *[3]float64 // of the iterations' polynomial (ns_coefficients); nil: 3.4445, -4.775, 2.0315
	Steps        int         // iterations (ns_steps); 0: 5
	MatchAdamW   bool        // adjust_lr_fn "match_rms_adamw": rates and decays of AdamW fit
}

// NewMuon makes an optimizer of matrices with a learning rate; PyTorch's default is 1e-3.
func NewMuon(params []nn.Parameter, lr float64, o MuonOptions) *Muon {
	r := muon{lr: lr, momentum: 0.95, decay: 0.1, nesterov: !o.NoNesterov, coefficients: [3]float64{3.4445, -4.775, 2.0315}, steps: 5}
	if o.Momentum != nil {
		r.momentum = *o.Momentum
	}
	if o.WeightDecay != nil {
		r.decay = *o.WeightDecay
	}
	if o.Coefficients != nil {
		r.coefficients = *o.Coefficients
	}
	if o.Steps != 0 {
		r.steps = o.Steps
	}
	if o.MatchAdamW {
		r.adjust = "match_rms_adamw"
	}
	return &Muon{optim.New(r, optim.Group{Params: params})}
}

// muon is the rule.
type muon struct {
	lr, momentum, decay float64
	nesterov            bool
	coefficients        [3]float64
	steps               int
	adjust              any // a string, or nil as in Python
}

func (muon) Name() string { return "Muon" }

// Defaults has three settings that ParamGroup has no field for: they are in its Extra.
func (r muon) Defaults() map[string]any {
	return map[string]any{"lr": r.lr, "weight_decay": r.decay, "momentum": r.momentum, "nesterov": r.nesterov, "eps": 1e-7,
		"ns_coefficients": r.coefficients, "ns_steps": r.steps, "adjust_lr_fn": r.adjust}
}

func (muon) Slots() []optim.Slot { return []optim.Slot{{Name: "momentum_buffer"}} }

// Check refuses what is not a matrix, when a group is added.
func (muon) Check(g *optim.ParamGroup) error {
	for _, p := range g.Params {
		if p.Dim() != 2 {
			return fmt.Errorf("a parameter has shape %v: Muon takes matrices alone", p.Shape())
		}
	}
	if n := g.Extra["ns_steps"].(int); n < 1 || n >= 100 {
		return fmt.Errorf("ns_steps is %d: want 1 to 99", n)
	}
	return nil
}

func (r muon) Update(g *optim.ParamGroup, b *optim.Batch) {
	buffers := b.State("momentum_buffer")
	aten.ForeachLerpScalar_(buffers, b.Grads, torch.Float(1-g.Momentum))
	updates := buffers
	if g.Nesterov {
		updates = aten.ForeachLerpScalar(b.Grads, buffers, torch.Float(g.Momentum))
	}
	if g.WeightDecay != 0 {
		aten.ForeachMulScalar_(b.Params, torch.Float(1-g.LR*g.WeightDecay))
	}
	for i, p := range b.Params { // matrices of different shapes: one after the other
		aten.AddTensor_(p, orthogonalized(g, updates[i]), torch.Float(-g.LR*adjustment(g, p.Shape())))
	}
}

// orthogonalized returns the nearest semi-orthogonal matrix, nearly: its singular values are about 1.
func orthogonalized(g *optim.ParamGroup, grad *torch.Tensor) *torch.Tensor {
	c, steps := g.Extra["ns_coefficients"].([3]float64), g.Extra["ns_steps"].(int)
	x := grad.To(torch.BFloat16)
	tall := grad.Shape()[0] > grad.Shape()[1]
	if tall {
		x = x.T()
	}
	norm := aten.LinalgVectorNorm(x, torch.Float(2), []int{0, 1}, false, 0)
	x = x.Div(aten.ClampMin(norm, torch.Float(g.Eps)))
	for range steps {
		gram := x.MatMul(x.T())
		gram = aten.Addmm(gram, gram, gram, torch.Float(c[1]), torch.Float(c[2]))
		x = aten.Addmm(x, gram, x, torch.Float(c[0]), torch.Float(1))
	}
	if tall {
		x = x.T()
	}
	return x
}

// adjustment is the factor of the learning rate for a matrix of that shape.
func adjustment(g *optim.ParamGroup, shape []int) float64 {
	rows, columns := float64(shape[0]), float64(shape[1])
	if g.Extra["adjust_lr_fn"] == "match_rms_adamw" {
		return 0.2 * math.Sqrt(max(rows, columns))
	}
	return math.Sqrt(max(1, rows/columns))
}

// Capturable accepts all settings: no number changes from step to step.
func (muon) Capturable(*optim.ParamGroup) error { return nil }
