package torch

import "github.com/golite/golite/internal/op"

var (
	opGather                 = op.Op{Name: "aten::gather"}
	opScatter                = op.Op{Name: "aten::scatter.src"}
	opScatter_               = op.Op{Name: "aten::scatter_.src"}
	opScatterAdd             = op.Op{Name: "aten::scatter_add"}
	opScatterAdd_            = op.Op{Name: "aten::scatter_add_"}
	opScatterScalar          = op.Op{Name: "aten::scatter.value"}
	opScatterScalar_         = op.Op{Name: "aten::scatter_.value"}
	opScatterReduce          = op.Op{Name: "aten::scatter_reduce.two"}
	opScatterReduce_         = op.Op{Name: "aten::scatter_reduce_.two"}
	opIndexSelect            = op.Op{Name: "aten::index_select"}
	opIndexCopy              = op.Op{Name: "aten::index_copy"}
	opIndexCopy_             = op.Op{Name: "aten::index_copy_"}
	opIndexAdd               = op.Op{Name: "aten::index_add"}
	opIndexAdd_              = op.Op{Name: "aten::index_add_"}
	opIndexFill              = op.Op{Name: "aten::index_fill.int_Scalar"}
	opIndexFill_             = op.Op{Name: "aten::index_fill_.int_Scalar"}
	opMaskedFill             = op.Op{Name: "aten::masked_fill.Scalar"}
	opMaskedFill_            = op.Op{Name: "aten::masked_fill_.Scalar"}
	opMaskedFillTensor       = op.Op{Name: "aten::masked_fill.Tensor"}
	opMaskedFillTensor_      = op.Op{Name: "aten::masked_fill_.Tensor"}
	opMaskedSelect           = op.Op{Name: "aten::masked_select"}
	opMaskedScatter          = op.Op{Name: "aten::masked_scatter"}
	opMaskedScatter_         = op.Op{Name: "aten::masked_scatter_"}
	opTake                   = op.Op{Name: "aten::take"}
	opTakeAlongDim           = op.Op{Name: "aten::take_along_dim"}
	opPut_                   = op.Op{Name: "aten::put_"}
	opNonzero                = op.Op{Name: "aten::nonzero"}
	opArgwhere               = op.Op{Name: "aten::argwhere"}
	opRepeatInterleave       = op.Op{Name: "aten::repeat_interleave.self_int"}
	opRepeatInterleaveTensor = op.Op{Name: "aten::repeat_interleave.self_Tensor"}
	opWhere                  = op.Op{Name: "aten::where.self"}
	opWhereScalarOther       = op.Op{Name: "aten::where.ScalarOther"}
	opWhereScalarSelf        = op.Op{Name: "aten::where.ScalarSelf"}
	opWhereScalars           = op.Op{Name: "aten::where.Scalar"}
	opTopK                   = op.Op{Name: "aten::topk"}
	opSort                   = op.Op{Name: "aten::sort"}
	opSortStable             = op.Op{Name: "aten::sort.stable"}
	opArgSort                = op.Op{Name: "aten::argsort"}
	opMSort                  = op.Op{Name: "aten::msort"}
	opSearchSorted           = op.Op{Name: "aten::searchsorted.Tensor"}
	opBucketize              = op.Op{Name: "aten::bucketize.Tensor"}
)

// putDim writes a tensor, a dimension and more tensors.
func putDim(a *op.Args, o *op.Op, t *Tensor, dim int, tensors ...*Tensor) {
	put(a, o, t)
	a.Int(int64(dim))
	put(a, o, tensors...)
}

// Gather picks, along dim, the elements at the indices of index, which has as many dimensions as t (torch.gather).
func (t *Tensor) Gather(dim int, index *Tensor) *Tensor {
	var a op.Args
	putDim(&a, &opGather, t, dim, index)
	a.Bool(false)
	return result(&opGather, &a)
}

// Scatter returns a copy of t with src's elements written at the indices of index along dim (torch.scatter).
func (t *Tensor) Scatter(dim int, index, src *Tensor) *Tensor {
	var a op.Args
	putDim(&a, &opScatter, t, dim, index, src)
	return result(&opScatter, &a)
}

// Scatter_ is Scatter in place.
func (t *Tensor) Scatter_(dim int, index, src *Tensor) *Tensor {
	var a op.Args
	putDim(&a, &opScatter_, t, dim, index, src)
	return inPlace(&opScatter_, &a, t)
}

// ScatterAdd returns a copy of t with src's elements added at the indices of index along dim (torch.scatter_add).
func (t *Tensor) ScatterAdd(dim int, index, src *Tensor) *Tensor {
	var a op.Args
	putDim(&a, &opScatterAdd, t, dim, index, src)
	return result(&opScatterAdd, &a)
}

// ScatterAdd_ is ScatterAdd in place.
func (t *Tensor) ScatterAdd_(dim int, index, src *Tensor) *Tensor {
	var a op.Args
	putDim(&a, &opScatterAdd_, t, dim, index, src)
	return inPlace(&opScatterAdd_, &a, t)
}

// ScatterScalar is Scatter of one number (torch.scatter).
func (t *Tensor) ScatterScalar(dim int, index *Tensor, v float64) *Tensor {
	var a op.Args
	putDim(&a, &opScatterScalar, t, dim, index)
	Number(v).write(&a)
	return result(&opScatterScalar, &a)
}

// ScatterScalar_ is ScatterScalar in place.
func (t *Tensor) ScatterScalar_(dim int, index *Tensor, v float64) *Tensor {
	var a op.Args
	putDim(&a, &opScatterScalar_, t, dim, index)
	Number(v).write(&a)
	return inPlace(&opScatterScalar_, &a, t)
}

// ScatterReduce returns a copy of t with src's elements reduced into it at the indices of index along dim; reduce is
// "sum", "prod", "mean", "amax" or "amin", and includeSelf takes what was there in (torch.scatter_reduce).
func (t *Tensor) ScatterReduce(dim int, index, src *Tensor, reduce string, includeSelf bool) *Tensor {
	var a op.Args
	putDim(&a, &opScatterReduce, t, dim, index, src)
	a.String(reduce)
	a.Bool(includeSelf)
	return result(&opScatterReduce, &a)
}

// ScatterReduce_ is ScatterReduce in place.
func (t *Tensor) ScatterReduce_(dim int, index, src *Tensor, reduce string, includeSelf bool) *Tensor {
	var a op.Args
	putDim(&a, &opScatterReduce_, t, dim, index, src)
	a.String(reduce)
	a.Bool(includeSelf)
	return inPlace(&opScatterReduce_, &a, t)
}

// IndexSelect picks the slices of dim at the indices of a vector (torch.index_select).
func (t *Tensor) IndexSelect(dim int, index *Tensor) *Tensor {
	var a op.Args
	putDim(&a, &opIndexSelect, t, dim, index)
	return result(&opIndexSelect, &a)
}

// IndexCopy returns a copy of t with source's slices written at the indices of dim (torch.index_copy).
func (t *Tensor) IndexCopy(dim int, index, source *Tensor) *Tensor {
	var a op.Args
	putDim(&a, &opIndexCopy, t, dim, index, source)
	return result(&opIndexCopy, &a)
}

// IndexCopy_ is IndexCopy in place.
func (t *Tensor) IndexCopy_(dim int, index, source *Tensor) *Tensor {
	var a op.Args
	putDim(&a, &opIndexCopy_, t, dim, index, source)
	return inPlace(&opIndexCopy_, &a, t)
}

// IndexAdd returns a copy of t with source's slices added at the indices of dim (torch.index_add).
func (t *Tensor) IndexAdd(dim int, index, source *Tensor) *Tensor {
	var a op.Args
	putDim(&a, &opIndexAdd, t, dim, index, source)
	a.Int(1)
	return result(&opIndexAdd, &a)
}

// IndexAdd_ is IndexAdd in place.
func (t *Tensor) IndexAdd_(dim int, index, source *Tensor) *Tensor {
	var a op.Args
	putDim(&a, &opIndexAdd_, t, dim, index, source)
	a.Int(1)
	return inPlace(&opIndexAdd_, &a, t)
}

// IndexFill returns a copy of t with the slices at the indices of dim set to v (torch.index_fill).
func (t *Tensor) IndexFill(dim int, index *Tensor, v float64) *Tensor {
	var a op.Args
	putDim(&a, &opIndexFill, t, dim, index)
	Number(v).write(&a)
	return result(&opIndexFill, &a)
}

// IndexFill_ is IndexFill in place.
func (t *Tensor) IndexFill_(dim int, index *Tensor, v float64) *Tensor {
	var a op.Args
	putDim(&a, &opIndexFill_, t, dim, index)
	Number(v).write(&a)
	return inPlace(&opIndexFill_, &a, t)
}

// MaskedFill returns a copy of t with v where mask is true (torch.masked_fill).
func (t *Tensor) MaskedFill(mask *Tensor, v float64) *Tensor {
	return callScaled(&opMaskedFill, v, t, mask)
}

// MaskedFill_ is MaskedFill in place.
func (t *Tensor) MaskedFill_(mask *Tensor, v float64) *Tensor {
	return callScaled_(&opMaskedFill_, v, t, mask)
}

// MaskedFillTensor is MaskedFill with a scalar tensor's value.
func (t *Tensor) MaskedFillTensor(mask, v *Tensor) *Tensor {
	return call(&opMaskedFillTensor, t, mask, v)
}

// MaskedFillTensor_ is MaskedFillTensor in place.
func (t *Tensor) MaskedFillTensor_(mask, v *Tensor) *Tensor {
	return call_(&opMaskedFillTensor_, t, mask, v)
}

// MaskedSelect returns the elements where mask is true, as a vector (torch.masked_select).
func (t *Tensor) MaskedSelect(mask *Tensor) *Tensor { return call(&opMaskedSelect, t, mask) }

// MaskedScatter returns a copy of t with source's elements, one after the other, where mask is true
// (torch.masked_scatter).
func (t *Tensor) MaskedScatter(mask, source *Tensor) *Tensor {
	return call(&opMaskedScatter, t, mask, source)
}

// MaskedScatter_ is MaskedScatter in place.
func (t *Tensor) MaskedScatter_(mask, source *Tensor) *Tensor {
	return call_(&opMaskedScatter_, t, mask, source)
}

// Take returns the elements at the indices of the flattened tensor (torch.take).
func (t *Tensor) Take(index *Tensor) *Tensor { return call(&opTake, t, index) }

// TakeAlongDim is Gather that broadcasts, or Take without a dimension (torch.take_along_dim).
func (t *Tensor) TakeAlongDim(indices *Tensor, dim ...int) *Tensor {
	var a op.Args
	put(&a, &opTakeAlongDim, t, indices)
	optDim(&a, &opTakeAlongDim, dim)
	return result(&opTakeAlongDim, &a)
}

// Put_ writes, or adds, source's elements at the indices of the flattened tensor (Tensor.put_).
func (t *Tensor) Put_(index, source *Tensor, accumulate bool) *Tensor {
	var a op.Args
	put(&a, &opPut_, t, index, source)
	a.Bool(accumulate)
	return inPlace(&opPut_, &a, t)
}

// Nonzero returns the indices of the elements that are not zero, one a row (torch.nonzero).
func (t *Tensor) Nonzero() *Tensor { return call(&opNonzero, t) }

// Argwhere is Nonzero (torch.argwhere).
func (t *Tensor) Argwhere() *Tensor { return call(&opArgwhere, t) }

// RepeatInterleave repeats each element that often, along one dimension or of the flattened tensor
// (torch.repeat_interleave).
func (t *Tensor) RepeatInterleave(times int, dim ...int) *Tensor {
	var a op.Args
	put(&a, &opRepeatInterleave, t)
	a.Int(int64(times))
	optDim(&a, &opRepeatInterleave, dim)
	a.None()
	return result(&opRepeatInterleave, &a)
}

// RepeatInterleaveTensor is RepeatInterleave with a number of times for each element.
func (t *Tensor) RepeatInterleaveTensor(times *Tensor, dim ...int) *Tensor {
	var a op.Args
	put(&a, &opRepeatInterleaveTensor, t, times)
	optDim(&a, &opRepeatInterleaveTensor, dim)
	a.None()
	return result(&opRepeatInterleaveTensor, &a)
}

// Where takes x where condition is true and y elsewhere; shapes are broadcast (torch.where).
func Where(condition, x, y *Tensor) *Tensor { return call(&opWhere, condition, x, y) }

// Where takes t where condition is true and other elsewhere (Tensor.where).
func (t *Tensor) Where(condition, other *Tensor) *Tensor { return call(&opWhere, condition, t, other) }

// WhereScalar takes t where condition is true and v elsewhere (Tensor.where with a number).
func (t *Tensor) WhereScalar(condition *Tensor, v float64) *Tensor {
	return callScaled(&opWhereScalarOther, v, condition, t)
}

// WhereElse takes v where condition is true and t elsewhere (torch.where with a number first).
func (t *Tensor) WhereElse(condition *Tensor, v float64) *Tensor {
	var a op.Args
	put(&a, &opWhereScalarSelf, condition)
	Number(v).write(&a)
	put(&a, &opWhereScalarSelf, t)
	return result(&opWhereScalarSelf, &a)
}

// WhereScalars takes x where condition is true and y elsewhere, of the default floating type, or int64 if both are
// whole (torch.where with two numbers).
func WhereScalars(condition *Tensor, x, y float64) *Tensor {
	if fx, fy := Number(x), Number(y); fx.tag == fy.tag {
		return callScalar(&opWhereScalars, condition, fx, fy)
	}
	return callScalar(&opWhereScalars, condition, Float(x), Float(y))
}

// TopK returns the k largest elements along dim, the largest first, and their indices (torch.topk).
func (t *Tensor) TopK(k, dim int) (values, indices *Tensor) { return topK(t, k, dim, true) }

// BottomK returns the k smallest elements along dim, the smallest first, and their indices (torch.topk with
// largest=False).
func (t *Tensor) BottomK(k, dim int) (values, indices *Tensor) { return topK(t, k, dim, false) }

func topK(t *Tensor, k, dim int, largest bool) (values, indices *Tensor) {
	var a op.Args
	put(&a, &opTopK, t)
	a.Int(int64(k))
	a.Int(int64(dim))
	a.Bool(largest)
	a.Bool(true)
	return pair(&opTopK, &a)
}

// Sort sorts along dim, and returns the elements' indices in t too (torch.sort).
func (t *Tensor) Sort(dim int, descending bool) (values, indices *Tensor) {
	var a op.Args
	put(&a, &opSort, t)
	a.Int(int64(dim))
	a.Bool(descending)
	return pair(&opSort, &a)
}

// SortStable is Sort that keeps the order of equal elements (torch.sort with stable=True).
func (t *Tensor) SortStable(dim int, descending bool) (values, indices *Tensor) {
	var a op.Args
	put(&a, &opSortStable, t)
	a.Bool(true)
	a.Int(int64(dim))
	a.Bool(descending)
	return pair(&opSortStable, &a)
}

// ArgSort returns the indices that sort along dim (torch.argsort).
func (t *Tensor) ArgSort(dim int, descending bool) *Tensor {
	return callScalar(&opArgSort, t, Int(dim), Boolean(descending))
}

// MSort sorts along the first dimension (torch.msort).
func (t *Tensor) MSort() *Tensor { return call(&opMSort, t) }

// SearchSorted returns, for each of values, where it would go in t, which is sorted along its last dimension: before
// equal elements, or with right after them (torch.searchsorted).
func (t *Tensor) SearchSorted(values *Tensor, right bool) *Tensor {
	var a op.Args
	put(&a, &opSearchSorted, t, values)
	a.Bool(false)
	a.Bool(right)
	a.None()
	a.None()
	return result(&opSearchSorted, &a)
}

// Bucketize returns, for each element, the number of its bucket between sorted boundaries (torch.bucketize).
func (t *Tensor) Bucketize(boundaries *Tensor, right bool) *Tensor {
	var a op.Args
	put(&a, &opBucketize, t, boundaries)
	a.Bool(false)
	a.Bool(right)
	return result(&opBucketize, &a)
}
