package nn

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	F "github.com/golite/golite/torch/nn/functional"
	nninit "github.com/golite/golite/torch/nn/init"
)

// EmbeddingOptions are NewEmbedding's optional arguments.
type EmbeddingOptions struct {
	PaddingIdx      *int         // this row is zero at first and gets no gradient; counted from the end if negative
	MaxNorm         *float64     // rows that are looked up and longer than this are shortened, in place
	NormType        *float64     // the norm that MaxNorm means; default 2
	ScaleGradByFreq bool         // divide a row's gradient by how often it is in the batch
	Sparse          bool         // make the gradient sparse
	DType           torch.DType  // of the parameters; default: the default floating type
	Device          torch.Device // of the parameters; default: the CPU
}

// Embedding is a table of rows that are looked up by number (torch.nn.Embedding). Key: weight [rows, dim].
//
// With MaxNorm, Forward writes the weight, also in evaluation mode.
type Embedding struct {
	Base
	Weight  Parameter
	options F.EmbeddingOptions
}

// NewEmbedding makes a table of num rows of dim elements, drawn from the normal distribution (torch.nn.Embedding). It
// panics if PaddingIdx, which counts from the end if negative, is no row.
func NewEmbedding(num, dim int, opts ...EmbeddingOptions) *Embedding {
	const operation = "nn.NewEmbedding"
	o := one(operation, opts)
	notNegative(operation, "the number of rows", num)
	notNegative(operation, "the dimension", dim)
	e := &Embedding{Weight: factory{o.DType, o.Device}.empty(num, dim), options: F.EmbeddingOptions{
		PaddingIdx: row(operation, o.PaddingIdx, num), MaxNorm: o.MaxNorm, NormType: o.NormType,
		ScaleGradByFreq: o.ScaleGradByFreq, Sparse: o.Sparse,
	}}
	e.ResetParameters()
	return e
}

// row checks a row's number and gives it from the start.
func row(operation string, index *int, num int) *int {
	if index == nil {
		return nil
	}
	at := *index
	if at < 0 {
		at += num
	}
	if at < 0 || at >= num {
		torch.Fail(operation, "PaddingIdx must be one of the %d rows, got %d", num, *index)
	}
	return &at
}

// ResetParameters draws the initial values anew (Embedding.reset_parameters).
func (e *Embedding) ResetParameters() { resetRows(e.Weight, e.options.PaddingIdx) }

func resetRows(weight Parameter, padding *int) {
	nninit.Normal_(weight.Tensor, 0, 1)
	if padding != nil {
		torch.Scope(func() {
			torch.NoGrad(func() { aten.FillScalar_(aten.SelectInt(weight.Tensor, 0, *padding), torch.Int(0)) })
		})
	}
}

// Forward takes integers [*] and returns [*, dim].
func (e *Embedding) Forward(x *torch.Tensor) *torch.Tensor {
	return e.withHooks(e, x, func(x *torch.Tensor) *torch.Tensor { return F.Embedding(x, e.Weight.Tensor, e.options) })
}

// EmbeddingBagOptions are NewEmbeddingBag's optional arguments.
type EmbeddingBagOptions struct {
	MaxNorm           *float64     // rows that are looked up and longer than this are shortened, in place
	NormType          *float64     // the norm that MaxNorm means; default 2
	ScaleGradByFreq   bool         // divide a row's gradient by how often it is in the batch; not with F.BagMax
	Mode              F.BagMode    // how a bag is reduced; default F.BagMean
	Sparse            bool         // make the gradient sparse; not with F.BagMax
	IncludeLastOffset bool         // offsets have one more element, the length of the input
	PaddingIdx        *int         // rows of this number count for nothing
	DType             torch.DType  // of the parameters; default: the default floating type
	Device            torch.Device // of the parameters; default: the CPU
}

// EmbeddingBag looks rows up and reduces each bag of them to one (torch.nn.EmbeddingBag). Key: weight [rows, dim].
type EmbeddingBag struct {
	Base
	Weight  Parameter
	options F.EmbeddingBagOptions
}

// NewEmbeddingBag makes a table of num rows of dim elements, drawn from the normal distribution
// (torch.nn.EmbeddingBag). It panics if PaddingIdx, which counts from the end if negative, is no row.
func NewEmbeddingBag(num, dim int, opts ...EmbeddingBagOptions) *EmbeddingBag {
	const operation = "nn.NewEmbeddingBag"
	o := one(operation, opts)
	notNegative(operation, "the number of rows", num)
	notNegative(operation, "the dimension", dim)
	e := &EmbeddingBag{Weight: factory{o.DType, o.Device}.empty(num, dim), options: F.EmbeddingBagOptions{
		MaxNorm: o.MaxNorm, NormType: o.NormType, ScaleGradByFreq: o.ScaleGradByFreq, Mode: o.Mode, Sparse: o.Sparse,
		IncludeLastOffset: o.IncludeLastOffset, PaddingIdx: row(operation, o.PaddingIdx, num),
	}}
	e.ResetParameters()
	return e
}

// ResetParameters draws the initial values anew (EmbeddingBag.reset_parameters).
func (e *EmbeddingBag) ResetParameters() { resetRows(e.Weight, e.options.PaddingIdx) }

// BagInput is what EmbeddingBag's Forward takes besides the rows' numbers (torch.nn.EmbeddingBag.forward's keywords).
type BagInput struct {
	Offsets          *torch.Tensor // [bags]: where each bag begins; needed for an input of one dimension
	PerSampleWeights *torch.Tensor // of the input's shape: a factor for each row; with F.BagSum only
}

// Forward takes integers [bags, n], or [N] with offsets, and returns [bags, dim].
func (e *EmbeddingBag) Forward(x *torch.Tensor, in ...BagInput) *torch.Tensor {
	return e.withHooks(e, x, func(x *torch.Tensor) *torch.Tensor {
		o, more := e.options, one("nn.EmbeddingBag", in)
		o.Offsets, o.PerSampleWeights = more.Offsets, more.PerSampleWeights
		return F.EmbeddingBag(x, e.Weight.Tensor, o)
	})
}
