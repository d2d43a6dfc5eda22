package functional

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// Linear is x·weightᵀ + bias: x [*, in], weight [out, in], bias [out] or nil, result [*, out]
// (torch.nn.functional.linear).
func Linear(x, weight, bias *torch.Tensor) *torch.Tensor { return aten.Linear(x, weight, bias) }

// Bilinear is x1ᵀ·weight·x2 + bias: x1 [*, in1], x2 [*, in2], weight [out, in1, in2], bias [out] or nil, result [*,
// out] (torch.nn.functional.bilinear).
func Bilinear(x1, x2, weight, bias *torch.Tensor) *torch.Tensor {
	return aten.Bilinear(x1, x2, weight, bias)
}

// EmbeddingOptions are Embedding's optional arguments.
type EmbeddingOptions struct {
	PaddingIdx      *int     // this row gets no gradient; counted from the end if negative
	MaxNorm         *float64 // rows that are looked up and longer than this are shortened first, in place in weight
	NormType        *float64 // the norm that MaxNorm means; default 2
	ScaleGradByFreq bool     // divide a row's gradient by how often it is in the batch
	Sparse          bool     // make weight's gradient sparse
}

// Embedding looks rows of weight [rows, dim] up: x of integers [*], result [*, dim] (torch.nn.functional.embedding).
func Embedding(x, weight *torch.Tensor, opts ...EmbeddingOptions) *torch.Tensor {
	o := one("F.Embedding", opts)
	padding := paddingIndex("F.Embedding", o.PaddingIdx, weight)
	if o.MaxNorm != nil {
		x = aten.Contiguous(x, torch.ContiguousFormat)
		renorm(weight, x, *o.MaxNorm, or(o.NormType, 2))
	}
	return aten.Embedding(weight, x, padding, o.ScaleGradByFreq, o.Sparse)
}

// paddingIndex gives the row from the start; -1 for none.
func paddingIndex(operation string, index *int, weight *torch.Tensor) int {
	if index == nil {
		return -1
	}
	rows := weight.Size(0)
	if *index >= rows || *index < -rows {
		torch.Fail(operation, "PaddingIdx must be a row of the %d there are, got %d", rows, *index)
	}
	if *index < 0 {
		return rows + *index
	}
	return *index
}

func renorm(weight, indices *torch.Tensor, maxNorm, normType float64) {
	torch.NoGrad(func() { aten.EmbeddingRenorm_(aten.Detach(weight), indices, maxNorm, normType) })
}

// BagMode is how EmbeddingBag reduces a bag of rows to one (torch.nn.functional.embedding_bag's mode).
//
// The modes are BagMean (the default), BagSum and BagMax.
type BagMode uint8

// Modes of EmbeddingBag. The zero value is the mean.
const (
	BagMean BagMode = iota
	BagSum
	BagMax
)

func (m BagMode) code(operation string) int {
	switch m {
	case BagSum:
		return 0
	case BagMean:
		return 1
	case BagMax:
		return 2
	}
	torch.Fail(operation, "Mode must be F.BagMean, F.BagSum or F.BagMax, got %d", m)
	return 0
}

// EmbeddingBagOptions are EmbeddingBag's optional arguments.
type EmbeddingBagOptions struct {
	Offsets           *torch.Tensor // [bags]: where each bag begins in x; needed where x has one dimension
	PerSampleWeights  *torch.Tensor // of x's shape: a factor for each row; with BagSum only
	MaxNorm           *float64      // as in EmbeddingOptions
	NormType          *float64      // default 2
	ScaleGradByFreq   bool          // not with BagMax
	Mode              BagMode       // default BagMean
	Sparse            bool          // not with BagMax
	IncludeLastOffset bool          // Offsets has one more element, the length of x
	PaddingIdx        *int          // rows of this number count for nothing
}

// EmbeddingBag looks rows of weight [rows, dim] up and reduces each bag of them to one: x of integers [bags, n], or [N]
// with Offsets, result [bags, dim] (torch.nn.functional.embedding_bag).
func EmbeddingBag(x, weight *torch.Tensor, opts ...EmbeddingBagOptions) *torch.Tensor {
	const operation = "F.EmbeddingBag"
	o := one(operation, opts)
	o.check(operation, x, weight)
	if x.Dim() == 2 {
		o.Offsets = torch.Options{DType: x.DType(), Device: x.Device()}.Arange(0, float64(x.Numel()), float64(x.Size(1)))
		o.IncludeLastOffset = false
		x = aten.Reshape(x, []int{-1})
		if o.PerSampleWeights != nil {
			o.PerSampleWeights = aten.Reshape(o.PerSampleWeights, []int{-1})
		}
	}
	if o.MaxNorm != nil {
		renorm(weight, x, *o.MaxNorm, or(o.NormType, 2))
	}
	out, _, _, _ := aten.EmbeddingBagPaddingIdx(weight, x, o.Offsets, o.ScaleGradByFreq, o.Mode.code(operation), o.Sparse,
		o.PerSampleWeights, o.IncludeLastOffset, o.PaddingIdx)
	return out
}

func (o EmbeddingBagOptions) check(operation string, x, weight *torch.Tensor) {
	switch {
	case weight.Dim() != 2:
		torch.Fail(operation, "weight must have 2 dimensions, got %v", weight.Shape())
	case o.PerSampleWeights != nil && !equalShape(x, o.PerSampleWeights):
		torch.Fail(operation, "PerSampleWeights must have the shape of x, %v, got %v", x.Shape(), o.PerSampleWeights.Shape())
	case o.PerSampleWeights != nil && o.Mode != BagSum:
		torch.Fail(operation, "PerSampleWeights needs Mode F.BagSum")
	case o.Mode == BagMax && (o.ScaleGradByFreq || o.Sparse):
		torch.Fail(operation, "Mode F.BagMax supports neither ScaleGradByFreq nor Sparse")
	}
	switch dims := x.Dim(); {
	case dims == 2 && o.Offsets != nil:
		torch.Fail(operation, "Offsets must be nil for an x of 2 dimensions, whose rows are the bags")
	case dims == 1 && (o.Offsets == nil || o.Offsets.Dim() != 1):
		torch.Fail(operation, "Offsets of one dimension are needed for an x of one dimension")
	case dims != 1 && dims != 2:
		torch.Fail(operation, "x must have 1 or 2 dimensions, got %v", x.Shape())
	}
}

// OneHot makes [*, classes] of integers [*]: 1 at the place that the integer names, 0 elsewhere. Without numClasses, or
// with -1, there are as many classes as the greatest integer needs (torch.nn.functional.one_hot).
func OneHot(x *torch.Tensor, numClasses ...int) *torch.Tensor {
	n := -1
	if len(numClasses) > 0 {
		n = one("F.OneHot", numClasses)
	}
	return aten.OneHot(x, n)
}

func equalShape(x, y *torch.Tensor) bool {
	a, b := x.Shape(), y.Shape()
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
