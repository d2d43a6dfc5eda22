package optim

import (
	"math"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	"github.com/golite/golite/torch/nn"
)

// SparseAdamOptions are NewSparseAdam's optional arguments.
type SparseAdamOptions struct {
	Betas    *[2]float64 // of the running means of gradient and square; nil: 0.9, 0.999
	Eps      *float64    // added to the denominator; nil: 1e-8
	Maximize bool        // go up the gradient
}

// SparseAdam is Adam for parameters whose gradients are sparse, such as those of an nn.Embedding with Sparse: only
// the rows that a gradient has are changed, and their running means (torch.optim.SparseAdam; PyTorch's default rate
// is 0.001).
type SparseAdam struct{ Base }

// NewSparseAdam makes an optimizer of params with a learning rate (torch.optim.SparseAdam, whose default rate is
// 0.001). It panics where every constructor does (see the package's comment). Step panics for a gradient that is not
// sparse.
func NewSparseAdam(params []nn.Parameter, lr float64, opts ...SparseAdamOptions) *SparseAdam {
	return NewSparseAdamGroups(single(params), lr, opts...)
}

// NewSparseAdamGroups is NewSparseAdam for groups of parameters, of which each may have settings of its own
// (torch.optim.SparseAdam with a list of dictionaries).
func NewSparseAdamGroups(groups []Group, lr float64, opts ...SparseAdamOptions) *SparseAdam {
	o := one("SparseAdam", opts)
	s := &SparseAdam{}
	s.setUp(sparseAdam{torchRule{"SparseAdam", sparseAdamSettings, ParamGroup{
		LR: lr, Betas: orElse(o.Betas, [2]float64{0.9, 0.999}), Eps: orElse(o.Eps, 1e-8), Maximize: o.Maximize,
	}}}, groups)
	return s
}

type sparseAdam struct{ torchRule }

// sparseAdamSettings are the settings of SparseAdam, as torch.optim.SparseAdam has them.
var sparseAdamSettings = []string{
	"lr", "betas", "eps", "maximize",
}

func (sparseAdam) SparseGrads() {}

// integerSteps marks that Python counts its steps in an int.
func (sparseAdam) integerSteps() {}

func (sparseAdam) Slots() []Slot {
	return []Slot{{Name: "step"}, {Name: "exp_avg"}, {Name: "exp_avg_sq"}}
}

func (r sparseAdam) Update(g *ParamGroup, b *Batch) {
	for i, grad := range b.Grads {
		if grad.Layout() != torch.SparseCOO {
			torch.Fail("optim.SparseAdam", "the gradient of a parameter %v is %s: SparseAdam takes sparse gradients alone, "+
				"optim.Adam the others",
				b.Params[i].Shape(), grad.Layout())
		}
	}
	b.CountSteps(func(steps float64, b *Batch) {
		avgs, squares := b.State("exp_avg"), b.State("exp_avg_sq")
		for i, p := range b.Params {
			r.row(g, steps, p, b.Grads[i], avgs[i], squares[i])
		}
	})
}

// row changes what a gradient has of a parameter and its running means. In each mean old becomes old + (1-beta)·(new
// - old).
func (sparseAdam) row(g *ParamGroup, steps float64, p, grad, avg, square *torch.Tensor) {
	if g.Maximize {
		grad = aten.Neg(grad)
	}
	grad = aten.Coalesce(grad) // a square is of a whole row
	indices, values := aten.InternalIndices(grad), aten.InternalValues(grad)
	if values.Numel() == 0 {
		return
	}
	add := func(to, rows *torch.Tensor) {
		aten.AddTensor_(to, aten.SparseCooTensorIndicesSize(indices, rows, grad.Shape(), 0, 0, torch.Device{}, nil, nil),
			torch.Int(1))
	}
	oldAvg := aten.InternalValues(aten.SparseMask(avg, grad))
	avgStep := aten.MulScalar_(aten.SubTensor(values, oldAvg, torch.Int(1)), torch.Float(1-g.Betas[0]))
	add(avg, avgStep)
	oldSquare := aten.InternalValues(aten.SparseMask(square, grad))
	squareStep := aten.SubTensor_(aten.PowTensorScalar(values, torch.Int(2)), oldSquare, torch.Int(1))
	aten.MulScalar_(squareStep, torch.Float(1-g.Betas[1]))
	add(square, squareStep)

	numerator := aten.AddTensor_(avgStep, oldAvg, torch.Int(1))
	aten.AddTensor_(squareStep, oldSquare, torch.Int(1))
	denominator := aten.AddScalar_(aten.Sqrt_(squareStep), torch.Float(g.Eps), torch.Int(1))
	size := g.LR * math.Sqrt(1-pow(g.Betas[1], steps)) / (1 - pow(g.Betas[0], steps))
	add(p, aten.MulScalar(aten.DivTensor_(numerator, denominator), torch.Float(-size)))
}
