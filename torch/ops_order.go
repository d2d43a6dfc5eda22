package torch

import "github.com/golite/golite/internal/op"

var (
	opMax               = op.Op{Name: "aten::max"}
	opMaxDim            = op.Op{Name: "aten::max.dim"}
	opMin               = op.Op{Name: "aten::min"}
	opMinDim            = op.Op{Name: "aten::min.dim"}
	opMedian            = op.Op{Name: "aten::median"}
	opMedianDim         = op.Op{Name: "aten::median.dim"}
	opNanMedian         = op.Op{Name: "aten::nanmedian"}
	opNanMedianDim      = op.Op{Name: "aten::nanmedian.dim"}
	opMode              = op.Op{Name: "aten::mode"}
	opKthValue          = op.Op{Name: "aten::kthvalue"}
	opAMinMax           = op.Op{Name: "aten::aminmax"}
	opArgMax            = op.Op{Name: "aten::argmax"}
	opArgMin            = op.Op{Name: "aten::argmin"}
	opQuantile          = op.Op{Name: "aten::quantile"}
	opQuantileScalar    = op.Op{Name: "aten::quantile.scalar"}
	opNanQuantile       = op.Op{Name: "aten::nanquantile.scalar"}
	opCumSum            = op.Op{Name: "aten::cumsum"}
	opCumSum_           = op.Op{Name: "aten::cumsum_"}
	opCumProd           = op.Op{Name: "aten::cumprod"}
	opCumProd_          = op.Op{Name: "aten::cumprod_"}
	opCumMax            = op.Op{Name: "aten::cummax"}
	opCumMin            = op.Op{Name: "aten::cummin"}
	opLogCumSumExp      = op.Op{Name: "aten::logcumsumexp"}
	opUnique            = op.Op{Name: "aten::_unique2"}
	opUniqueDim         = op.Op{Name: "aten::unique_dim"}
	opUniqueConsecutive = op.Op{Name: "aten::unique_consecutive"}
	opBincount          = op.Op{Name: "aten::bincount"}
	opHistc             = op.Op{Name: "aten::histc"}
	opHistogram         = op.Op{Name: "aten::histogram.bin_ct"}
	opDiff              = op.Op{Name: "aten::diff"}
	opTrapezoid         = op.Op{Name: "aten::trapezoid.dx"}
)

// reducePair calls a reduction over one dimension that also returns the elements' indices.
func reducePair(o *op.Op, t *Tensor, dim int, keep bool) (values, indices *Tensor) {
	var a op.Args
	put(&a, o, t)
	a.Int(int64(dim))
	a.Bool(keep)
	return pair(o, &a)
}

// Max returns the largest of all elements (torch.max).
func (t *Tensor) Max() *Tensor { return call(&opMax, t) }

// MaxDim returns the largest element over dim and its index there (torch.max with dim).
func (t *Tensor) MaxDim(dim int) (values, indices *Tensor) {
	return reducePair(&opMaxDim, t, dim, false)
}

// MaxDimKeepDim is MaxDim with the dimension kept, of size 1.
func (t *Tensor) MaxDimKeepDim(dim int) (values, indices *Tensor) {
	return reducePair(&opMaxDim, t, dim, true)
}

// Min returns the smallest of all elements (torch.min).
func (t *Tensor) Min() *Tensor { return call(&opMin, t) }

// MinDim returns the smallest element over dim and its index there (torch.min with dim).
func (t *Tensor) MinDim(dim int) (values, indices *Tensor) {
	return reducePair(&opMinDim, t, dim, false)
}

// MinDimKeepDim is MinDim with the dimension kept, of size 1.
func (t *Tensor) MinDimKeepDim(dim int) (values, indices *Tensor) {
	return reducePair(&opMinDim, t, dim, true)
}

// Median returns the middle (of two, the lower) of all elements (torch.median).
func (t *Tensor) Median() *Tensor { return call(&opMedian, t) }

// MedianDim returns the middle (of two, the lower) element over dim and its index there (torch.median with dim).
func (t *Tensor) MedianDim(dim int) (values, indices *Tensor) {
	return reducePair(&opMedianDim, t, dim, false)
}

// MedianDimKeepDim is MedianDim with the dimension kept, of size 1.
func (t *Tensor) MedianDimKeepDim(dim int) (values, indices *Tensor) {
	return reducePair(&opMedianDim, t, dim, true)
}

// NanMedian returns the middle, NaN left out, of all elements (torch.nanmedian).
func (t *Tensor) NanMedian() *Tensor { return call(&opNanMedian, t) }

// NanMedianDim returns the middle, NaN left out, element over dim and its index there (torch.nanmedian with dim).
func (t *Tensor) NanMedianDim(dim int) (values, indices *Tensor) {
	return reducePair(&opNanMedianDim, t, dim, false)
}

// NanMedianDimKeepDim is NanMedianDim with the dimension kept, of size 1.
func (t *Tensor) NanMedianDimKeepDim(dim int) (values, indices *Tensor) {
	return reducePair(&opNanMedianDim, t, dim, true)
}

// Mode returns the most frequent element over dim (of several, the smallest) and its index (torch.mode).
func (t *Tensor) Mode(dim int) (values, indices *Tensor) { return reducePair(&opMode, t, dim, false) }

// ModeKeepDim is Mode with the dimension kept, of size 1.
func (t *Tensor) ModeKeepDim(dim int) (values, indices *Tensor) {
	return reducePair(&opMode, t, dim, true)
}

// KthValue returns the k-th smallest element over dim, counted from 1, and its index (torch.kthvalue).
func (t *Tensor) KthValue(k, dim int) (values, indices *Tensor) { return kthValue(t, k, dim, false) }

// KthValueKeepDim is KthValue with the dimension kept, of size 1.
func (t *Tensor) KthValueKeepDim(k, dim int) (values, indices *Tensor) {
	return kthValue(t, k, dim, true)
}

func kthValue(t *Tensor, k, dim int, keep bool) (values, indices *Tensor) {
	var a op.Args
	put(&a, &opKthValue, t)
	a.Int(int64(k))
	a.Int(int64(dim))
	a.Bool(keep)
	return pair(&opKthValue, &a)
}

// AMinMax returns the smallest and the largest element over one dimension, or of all (torch.aminmax).
func (t *Tensor) AMinMax(dim ...int) (low, high *Tensor) {
	var a op.Args
	put(&a, &opAMinMax, t)
	optDim(&a, &opAMinMax, dim)
	a.Bool(false)
	return pair(&opAMinMax, &a)
}

// optDim writes one dimension, or None for none given.
func optDim(a *op.Args, o *op.Op, dim []int) {
	if len(dim) == 0 {
		a.None()
		return
	}
	a.Int(int64(optional(o, dim, 0)))
}

// ArgMax returns the index of the largest element over one dimension, or in the flattened tensor (torch.argmax).
func (t *Tensor) ArgMax(dim ...int) *Tensor { return argReduce(&opArgMax, t, dim, false) }

// ArgMaxKeepDim is ArgMax over one dimension, kept with size 1.
func (t *Tensor) ArgMaxKeepDim(dim int) *Tensor { return argReduce(&opArgMax, t, []int{dim}, true) }

// ArgMin returns the index of the smallest element over one dimension, or in the flattened tensor (torch.argmin).
func (t *Tensor) ArgMin(dim ...int) *Tensor { return argReduce(&opArgMin, t, dim, false) }

// ArgMinKeepDim is ArgMin over one dimension, kept with size 1.
func (t *Tensor) ArgMinKeepDim(dim int) *Tensor { return argReduce(&opArgMin, t, []int{dim}, true) }

func argReduce(o *op.Op, t *Tensor, dim []int, keep bool) *Tensor {
	var a op.Args
	put(&a, o, t)
	optDim(&a, o, dim)
	a.Bool(keep)
	return result(o, &a)
}

// Quantile returns the q-th quantile (0 to 1) over one dimension, or of all elements, between two by linear
// interpolation (torch.quantile).
func (t *Tensor) Quantile(q float64, dim ...int) *Tensor {
	return quantile(&opQuantileScalar, t, q, dim)
}

// NanQuantile is Quantile with NaN left out (torch.nanquantile).
func (t *Tensor) NanQuantile(q float64, dim ...int) *Tensor {
	return quantile(&opNanQuantile, t, q, dim)
}

func quantile(o *op.Op, t *Tensor, q float64, dim []int) *Tensor {
	var a op.Args
	put(&a, o, t)
	a.Float(q)
	optDim(&a, o, dim)
	a.Bool(false)
	a.String("linear")
	return result(o, &a)
}

// Quantiles is Quantile of a vector of quantiles, which becomes the first dimension of the result.
func (t *Tensor) Quantiles(q *Tensor, dim ...int) *Tensor {
	var a op.Args
	put(&a, &opQuantile, t, q)
	optDim(&a, &opQuantile, dim)
	a.Bool(false)
	a.String("linear")
	return result(&opQuantile, &a)
}

// CumSum returns the running sum along dim (torch.cumsum).
func (t *Tensor) CumSum(dim int) *Tensor {
	var a op.Args
	put(&a, &opCumSum, t)
	a.Int(int64(dim))
	a.None()
	return result(&opCumSum, &a)
}

// CumSum_ is CumSum in place.
func (t *Tensor) CumSum_(dim int) *Tensor {
	var a op.Args
	put(&a, &opCumSum_, t)
	a.Int(int64(dim))
	a.None()
	return inPlace(&opCumSum_, &a, t)
}

// CumProd returns the running product along dim (torch.cumprod).
func (t *Tensor) CumProd(dim int) *Tensor {
	var a op.Args
	put(&a, &opCumProd, t)
	a.Int(int64(dim))
	a.None()
	return result(&opCumProd, &a)
}

// CumProd_ is CumProd in place.
func (t *Tensor) CumProd_(dim int) *Tensor {
	var a op.Args
	put(&a, &opCumProd_, t)
	a.Int(int64(dim))
	a.None()
	return inPlace(&opCumProd_, &a, t)
}

// CumMax returns the largest element so far along dim, and its index (torch.cummax).
func (t *Tensor) CumMax(dim int) (values, indices *Tensor) {
	var a op.Args
	put(&a, &opCumMax, t)
	a.Int(int64(dim))
	return pair(&opCumMax, &a)
}

// CumMin returns the smallest element so far along dim, and its index (torch.cummin).
func (t *Tensor) CumMin(dim int) (values, indices *Tensor) {
	var a op.Args
	put(&a, &opCumMin, t)
	a.Int(int64(dim))
	return pair(&opCumMin, &a)
}

// LogCumSumExp returns the logarithm of the running sum of exponentials along dim (torch.logcumsumexp).
func (t *Tensor) LogCumSumExp(dim int) *Tensor { return callInt(&opLogCumSumExp, t, dim) }

// Unique returns the different elements, sorted (torch.unique).
func (t *Tensor) Unique() *Tensor {
	x, _, _ := t.unique(false, false)
	return x
}

// UniqueAll is Unique and, of each element of t, its place in the result, and how often each occurs (torch.unique with
// return_inverse and return_counts).
func (t *Tensor) UniqueAll() (x, inverse, counts *Tensor) { return t.unique(true, true) }

func (t *Tensor) unique(inverse, counts bool) (x, inv, n *Tensor) {
	var a op.Args
	put(&a, &opUnique, t)
	a.Bool(true)
	a.Bool(inverse)
	a.Bool(counts)
	return triple(&opUnique, &a)
}

// UniqueDim is UniqueAll of the slices along dim (torch.unique with dim).
func (t *Tensor) UniqueDim(dim int) (x, inverse, counts *Tensor) {
	var a op.Args
	put(&a, &opUniqueDim, t)
	a.Int(int64(dim))
	a.Bool(true)
	a.Bool(true)
	a.Bool(true)
	return triple(&opUniqueDim, &a)
}

// UniqueConsecutive leaves out elements equal to the one before, and returns what UniqueAll does
// (torch.unique_consecutive).
func (t *Tensor) UniqueConsecutive(dim ...int) (x, inverse, counts *Tensor) {
	var a op.Args
	put(&a, &opUniqueConsecutive, t)
	a.Bool(true)
	a.Bool(true)
	optDim(&a, &opUniqueConsecutive, dim)
	return triple(&opUniqueConsecutive, &a)
}

// Bincount counts how often each number from 0 on occurs in a vector of integers, at least up to atLeast - 1; weights,
// which may be nil, are added up instead of ones (torch.bincount).
func (t *Tensor) Bincount(weights *Tensor, atLeast int) *Tensor {
	var a op.Args
	put(&a, &opBincount, t)
	abi.Tensor(&a, weights)
	a.Int(int64(atLeast))
	return result(&opBincount, &a)
}

// Histc counts the elements in bins of equal width from low to high; both 0: from the smallest element to the largest
// (torch.histc).
func (t *Tensor) Histc(bins int, low, high float64) *Tensor {
	return callScalar(&opHistc, t, Int(bins), Number(low), Number(high))
}

// Histogram counts the elements in bins of equal width between the smallest and the largest, and returns the bins'
// edges too (torch.histogram).
func (t *Tensor) Histogram(bins int) (hist, edges *Tensor) {
	var a op.Args
	put(&a, &opHistogram, t)
	a.Int(int64(bins))
	a.None()
	a.None()
	a.Bool(false)
	return pair(&opHistogram, &a)
}

// Diff returns the differences of neighbours along dim, taken n times (torch.diff).
func (t *Tensor) Diff(n, dim int) *Tensor {
	var a op.Args
	put(&a, &opDiff, t)
	a.Int(int64(n))
	a.Int(int64(dim))
	a.None()
	a.None()
	return result(&opDiff, &a)
}

// Trapezoid integrates along dim by the trapezoidal rule, with dx between neighbours (torch.trapezoid).
func (t *Tensor) Trapezoid(dx float64, dim int) *Tensor {
	return callScalar(&opTrapezoid, t, Number(dx), Int(dim))
}
