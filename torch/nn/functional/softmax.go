package functional

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// SoftmaxOptions are the optional arguments of Softmax, Softmin and LogSoftmax.
type SoftmaxOptions struct {
	DType torch.DType // convert x to this type first
}

// Softmax is exp(x) divided by its sum along dim (torch.nn.functional.softmax).
func Softmax(x *torch.Tensor, dim int, opts ...SoftmaxOptions) *torch.Tensor {
	return aten.SoftmaxInt(x, dim, one("F.Softmax", opts).DType)
}

// Softmin is Softmax of -x (torch.nn.functional.softmin).
func Softmin(x *torch.Tensor, dim int, opts ...SoftmaxOptions) *torch.Tensor {
	return aten.SoftmaxInt(aten.Neg(x), dim, one("F.Softmin", opts).DType)
}

// LogSoftmax is log(Softmax(x)), computed without loss of accuracy (torch.nn.functional.log_softmax).
func LogSoftmax(x *torch.Tensor, dim int, opts ...SoftmaxOptions) *torch.Tensor {
	return aten.LogSoftmaxInt(x, dim, one("F.LogSoftmax", opts).DType)
}

// GumbelSoftmaxOptions are GumbelSoftmax's optional arguments.
type GumbelSoftmaxOptions struct {
	Tau  float64 // temperature; 0 means 1
	Hard bool    // one-hot samples, whose gradient is the soft ones'
	Dim  *int    // default -1
}

// GumbelSoftmax samples from the distribution that logits give, differentiably (torch.nn.functional.gumbel_softmax).
func GumbelSoftmax(logits *torch.Tensor, opts ...GumbelSoftmaxOptions) *torch.Tensor {
	o := one("F.GumbelSoftmax", opts)
	if o.Tau == 0 {
		o.Tau = 1
	}
	dim := or(o.Dim, -1)
	draws := aten.Exponential_(aten.EmptyLike(logits, 0, 0, torch.Device{}, nil, torch.ContiguousFormat), 1, nil)
	gumbels := aten.DivScalar(add(logits, aten.Neg(aten.Log(draws))), torch.Number(o.Tau))
	soft := aten.SoftmaxInt(gumbels, dim, 0)
	if !o.Hard {
		return soft
	}
	_, index := aten.MaxDim(soft, dim, true)
	hard := aten.ScatterValue_(aten.ZerosLike(logits, 0, 0, torch.Device{}, nil, torch.ContiguousFormat), dim, index,
		torch.Float(1))
	return add(sub(hard, aten.Detach(soft)), soft)
}
