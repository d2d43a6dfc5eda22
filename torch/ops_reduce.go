package torch

import "github.com/golite/golite/internal/op"

var (
	opSum              = op.Op{Name: "aten::sum"}
	opSumDims          = op.Op{Name: "aten::sum.dim_IntList"}
	opMean             = op.Op{Name: "aten::mean"}
	opMeanDims         = op.Op{Name: "aten::mean.dim"}
	opNanSum           = op.Op{Name: "aten::nansum"}
	opNanMean          = op.Op{Name: "aten::nanmean"}
	opProd             = op.Op{Name: "aten::prod"}
	opProdDim          = op.Op{Name: "aten::prod.dim_int"}
	opAMax             = op.Op{Name: "aten::amax"}
	opAMin             = op.Op{Name: "aten::amin"}
	opLogSumExp        = op.Op{Name: "aten::logsumexp"}
	opAny              = op.Op{Name: "aten::any"}
	opAnyDims          = op.Op{Name: "aten::any.dims"}
	opAll              = op.Op{Name: "aten::all"}
	opAllDims          = op.Op{Name: "aten::all.dims"}
	opStd              = op.Op{Name: "aten::std.correction"}
	opStdMean          = op.Op{Name: "aten::std_mean.correction"}
	opVar              = op.Op{Name: "aten::var.correction"}
	opVarMean          = op.Op{Name: "aten::var_mean.correction"}
	opVectorNorm       = op.Op{Name: "aten::linalg_vector_norm"}
	opCountNonzero     = op.Op{Name: "aten::count_nonzero"}
	opCountNonzeroDims = op.Op{Name: "aten::count_nonzero.dim_IntList"}
	opTrace            = op.Op{Name: "aten::trace"}
	opDist             = op.Op{Name: "aten::dist"}
	opRenorm           = op.Op{Name: "aten::renorm"}
)

// reduce calls a reduction over dims; with no dims, all, an operator that wants a list gets whatever none stands for.
func reduce(o *op.Op, t *Tensor, dims []int, keep bool) *Tensor {
	var a op.Args
	put(&a, o, t)
	optDims(&a, dims)
	a.Bool(keep)
	return result(o, &a)
}

// reduceAs is reduce for an operator that also takes a type for its sums.
func reduceAs(o *op.Op, t *Tensor, dims []int, keep bool) *Tensor {
	var a op.Args
	put(&a, o, t)
	optDims(&a, dims)
	a.Bool(keep)
	a.None()
	return result(o, &a)
}

// reduceList is reduce for an operator in which an empty list stands for all dimensions.
func reduceList(o *op.Op, t *Tensor, dims []int, keep bool) *Tensor {
	var a op.Args
	put(&a, o, t)
	a.Ints(dims)
	a.Bool(keep)
	return result(o, &a)
}

// callDType calls an operator of one tensor and an optional type.
func callDType(o *op.Op, t *Tensor) *Tensor {
	var a op.Args
	put(&a, o, t)
	a.None()
	return result(o, &a)
}

// everyDim is the list of all dimensions, for operators that have no word for it.
func everyDim(t *Tensor, dims []int) []int {
	if len(dims) > 0 {
		return dims
	}
	all := make([]int, t.Dim())
	for i := range all {
		all[i] = i
	}
	return all
}

// Sum adds the elements over dims, or all of them; integers and bools add up to int64 (torch.sum).
func (t *Tensor) Sum(dims ...int) *Tensor {
	if len(dims) == 0 {
		return callDType(&opSum, t)
	}
	return reduceAs(&opSumDims, t, dims, false)
}

// SumKeepDim is Sum with the dimensions kept, of size 1 (keepdim=True).
func (t *Tensor) SumKeepDim(dims ...int) *Tensor { return reduceAs(&opSumDims, t, dims, true) }

// Mean averages the elements over dims, or all of them; the type must be floating or complex (torch.mean).
func (t *Tensor) Mean(dims ...int) *Tensor {
	if len(dims) == 0 {
		return callDType(&opMean, t)
	}
	return reduceAs(&opMeanDims, t, dims, false)
}

// MeanKeepDim is Mean with the dimensions kept, of size 1.
func (t *Tensor) MeanKeepDim(dims ...int) *Tensor { return reduceAs(&opMeanDims, t, dims, true) }

// NanSum is Sum with NaN counted as 0 (torch.nansum).
func (t *Tensor) NanSum(dims ...int) *Tensor { return reduceAs(&opNanSum, t, dims, false) }

// NanSumKeepDim is NanSum with the dimensions kept, of size 1.
func (t *Tensor) NanSumKeepDim(dims ...int) *Tensor { return reduceAs(&opNanSum, t, dims, true) }

// NanMean averages the elements that are not NaN (torch.nanmean).
func (t *Tensor) NanMean(dims ...int) *Tensor { return reduceAs(&opNanMean, t, dims, false) }

// NanMeanKeepDim is NanMean with the dimensions kept, of size 1.
func (t *Tensor) NanMeanKeepDim(dims ...int) *Tensor { return reduceAs(&opNanMean, t, dims, true) }

// Prod multiplies the elements over one dimension, or all of them (torch.prod).
func (t *Tensor) Prod(dim ...int) *Tensor {
	if len(dim) == 0 {
		return callDType(&opProd, t)
	}
	return prodDim(t, optional(&opProdDim, dim, 0), false)
}

// ProdKeepDim is Prod over one dimension, kept with size 1.
func (t *Tensor) ProdKeepDim(dim int) *Tensor { return prodDim(t, dim, true) }

func prodDim(t *Tensor, dim int, keep bool) *Tensor {
	var a op.Args
	put(&a, &opProdDim, t)
	a.Int(int64(dim))
	a.Bool(keep)
	a.None()
	return result(&opProdDim, &a)
}

// AMax returns the largest element over dims, or of all; the gradient is shared among equals (torch.amax).
func (t *Tensor) AMax(dims ...int) *Tensor { return reduceList(&opAMax, t, dims, false) }

// AMaxKeepDim is AMax with the dimensions kept, of size 1.
func (t *Tensor) AMaxKeepDim(dims ...int) *Tensor { return reduceList(&opAMax, t, dims, true) }

// AMin returns the smallest element over dims, or of all; the gradient is shared among equals (torch.amin).
func (t *Tensor) AMin(dims ...int) *Tensor { return reduceList(&opAMin, t, dims, false) }

// AMinKeepDim is AMin with the dimensions kept, of size 1.
func (t *Tensor) AMinKeepDim(dims ...int) *Tensor { return reduceList(&opAMin, t, dims, true) }

// LogSumExp returns log(sum(exp(t))) over dims, or of all, computed so that nothing overflows (torch.logsumexp).
func (t *Tensor) LogSumExp(dims ...int) *Tensor {
	return reduceList(&opLogSumExp, t, everyDim(t, dims), false)
}

// LogSumExpKeepDim is LogSumExp with the dimensions kept, of size 1.
func (t *Tensor) LogSumExpKeepDim(dims ...int) *Tensor {
	return reduceList(&opLogSumExp, t, everyDim(t, dims), true)
}

// Any reports whether some element is not zero, over dims or in the whole, as a bool tensor (torch.any).
func (t *Tensor) Any(dims ...int) *Tensor {
	if len(dims) == 0 {
		return call(&opAny, t)
	}
	return reduce(&opAnyDims, t, dims, false)
}

// AnyKeepDim is Any with the dimensions kept, of size 1.
func (t *Tensor) AnyKeepDim(dims ...int) *Tensor { return reduce(&opAnyDims, t, dims, true) }

// All reports whether no element is zero, over dims or in the whole, as a bool tensor (torch.all).
func (t *Tensor) All(dims ...int) *Tensor {
	if len(dims) == 0 {
		return call(&opAll, t)
	}
	return reduce(&opAllDims, t, dims, false)
}

// AllKeepDim is All with the dimensions kept, of size 1.
func (t *Tensor) AllKeepDim(dims ...int) *Tensor { return reduce(&opAllDims, t, dims, true) }

// Std returns the standard deviation over dims, or of all, with Bessel's correction: the squares are divided by n-1
// (torch.std).
func (t *Tensor) Std(dims ...int) *Tensor { return t.StdWith(VarOptions{Dims: dims}) }

// StdKeepDim is Std with the dimensions kept, of size 1.
func (t *Tensor) StdKeepDim(dims ...int) *Tensor {
	return t.StdWith(VarOptions{Dims: dims, KeepDim: true})
}

// StdWith is Std with all of PyTorch's arguments.
func (t *Tensor) StdWith(o VarOptions) *Tensor {
	var a op.Args
	o.write(&a, &opStd, t)
	return result(&opStd, &a)
}

// StdMean returns the standard deviation and the mean at once (torch.std_mean).
func (t *Tensor) StdMean(o VarOptions) (x, mean *Tensor) {
	var a op.Args
	o.write(&a, &opStdMean, t)
	return pair(&opStdMean, &a)
}

// Var returns the variance over dims, or of all, with Bessel's correction: the squares are divided by n-1
// (torch.var).
func (t *Tensor) Var(dims ...int) *Tensor { return t.VarWith(VarOptions{Dims: dims}) }

// VarKeepDim is Var with the dimensions kept, of size 1.
func (t *Tensor) VarKeepDim(dims ...int) *Tensor {
	return t.VarWith(VarOptions{Dims: dims, KeepDim: true})
}

// VarWith is Var with all of PyTorch's arguments.
func (t *Tensor) VarWith(o VarOptions) *Tensor {
	var a op.Args
	o.write(&a, &opVar, t)
	return result(&opVar, &a)
}

// VarMean returns the variance and the mean at once (torch.var_mean).
func (t *Tensor) VarMean(o VarOptions) (x, mean *Tensor) {
	var a op.Args
	o.write(&a, &opVarMean, t)
	return pair(&opVarMean, &a)
}

// VarOptions are the arguments of StdWith, VarWith, StdMean and VarMean. The zero value is PyTorch's default.
type VarOptions struct {
	Dims       []int    // none: all
	Correction *float64 // what n is lessened by; nil: 1
	KeepDim    bool     // the dimensions stay, with size 1
}

func (v VarOptions) write(a *op.Args, o *op.Op, t *Tensor) {
	put(a, o, t)
	optDims(a, v.Dims)
	if v.Correction == nil {
		a.Int(1)
	} else {
		Number(*v.Correction).write(a)
	}
	a.Bool(v.KeepDim)
}

// Norm returns the Euclidean norm over dims, or of all elements (Tensor.norm).
func (t *Tensor) Norm(dims ...int) *Tensor { return vectorNorm(t, 2, dims, false) }

// NormKeepDim is Norm with the dimensions kept, of size 1.
func (t *Tensor) NormKeepDim(dims ...int) *Tensor { return vectorNorm(t, 2, dims, true) }

// NormP returns the norm of order p, which may be math.Inf(1), over dims or of all elements (Tensor.norm with p).
func (t *Tensor) NormP(p float64, dims ...int) *Tensor { return vectorNorm(t, p, dims, false) }

// NormPKeepDim is NormP with the dimensions kept, of size 1.
func (t *Tensor) NormPKeepDim(p float64, dims ...int) *Tensor { return vectorNorm(t, p, dims, true) }

func vectorNorm(t *Tensor, p float64, dims []int, keep bool) *Tensor {
	var a op.Args
	put(&a, &opVectorNorm, t)
	Number(p).write(&a)
	optDims(&a, dims)
	a.Bool(keep)
	a.None()
	return result(&opVectorNorm, &a)
}

// CountNonzero counts the elements that are not zero, over dims or in the whole, as int64 (torch.count_nonzero).
func (t *Tensor) CountNonzero(dims ...int) *Tensor {
	if len(dims) > 0 {
		return callInts(&opCountNonzeroDims, t, dims)
	}
	return callDType(&opCountNonzero, t)
}

// Trace adds up the diagonal of a matrix (torch.trace).
func (t *Tensor) Trace() *Tensor { return call(&opTrace, t) }

// Dist returns the norm of order p of t - other (torch.dist).
func (t *Tensor) Dist(other *Tensor, p float64) *Tensor { return callScaled(&opDist, p, t, other) }

// Renorm scales down each slice along dim whose norm of order p is above most (torch.renorm).
func (t *Tensor) Renorm(p float64, dim int, most float64) *Tensor {
	return callScalar(&opRenorm, t, Number(p), Int(dim), Number(most))
}
