package torch

import "github.com/golite/golite/internal/op"

var (
	opView          = op.Op{Name: "aten::view"}
	opViewDType     = op.Op{Name: "aten::view.dtype"}
	opReshape       = op.Op{Name: "aten::reshape"}
	opPermute       = op.Op{Name: "aten::permute"}
	opTranspose     = op.Op{Name: "aten::transpose.int"}
	opTranspose_    = op.Op{Name: "aten::transpose_"}
	opT             = op.Op{Name: "aten::t"}
	opMT            = op.Op{Name: "aten::mT"}
	opMH            = op.Op{Name: "aten::mH"}
	opNumpyT        = op.Op{Name: "aten::numpy_T"}
	opMovedim       = op.Op{Name: "aten::movedim.intlist"}
	opSwapAxes      = op.Op{Name: "aten::swapaxes"}
	opSqueeze       = op.Op{Name: "aten::squeeze"}
	opSqueezeDims   = op.Op{Name: "aten::squeeze.dims"}
	opSqueeze_      = op.Op{Name: "aten::squeeze_"}
	opSqueezeDims_  = op.Op{Name: "aten::squeeze_.dims"}
	opUnsqueeze     = op.Op{Name: "aten::unsqueeze"}
	opUnsqueeze_    = op.Op{Name: "aten::unsqueeze_"}
	opExpand        = op.Op{Name: "aten::expand"}
	opBroadcastTo   = op.Op{Name: "aten::broadcast_to"}
	opRepeat        = op.Op{Name: "aten::repeat"}
	opTile          = op.Op{Name: "aten::tile"}
	opFlatten       = op.Op{Name: "aten::flatten.using_ints"}
	opRavel         = op.Op{Name: "aten::ravel"}
	opUnflatten     = op.Op{Name: "aten::unflatten.int"}
	opUnfold        = op.Op{Name: "aten::unfold"}
	opAsStrided     = op.Op{Name: "aten::as_strided"}
	opNarrow        = op.Op{Name: "aten::narrow"}
	opSelect        = op.Op{Name: "aten::select.int"}
	opSlice         = op.Op{Name: "aten::slice.Tensor"}
	opSplit         = op.Op{Name: "aten::split.Tensor"}
	opSplitSizes    = op.Op{Name: "aten::split.sizes"}
	opTensorSplit   = op.Op{Name: "aten::tensor_split.sections"}
	opTensorSplitAt = op.Op{Name: "aten::tensor_split.indices"}
	opChunk         = op.Op{Name: "aten::chunk"}
	opUnbind        = op.Op{Name: "aten::unbind.int"}
	opDiagonal      = op.Op{Name: "aten::diagonal"}
	opSelectScatter = op.Op{Name: "aten::select_scatter"}
	opSliceScatter  = op.Op{Name: "aten::slice_scatter"}
)

// View gives the same memory another shape; one size may be -1. It panics where strides don't allow it: Reshape copies
// then (Tensor.view).
func (t *Tensor) View(shape ...int) *Tensor { return callInts(&opView, t, shape) }

// ViewAs is View with other's shape (Tensor.view_as).
func (t *Tensor) ViewAs(other *Tensor) *Tensor { return t.View(other.Shape()...) }

// ViewDType reads the same memory as another type; the last dimension grows or shrinks if the sizes differ
// (Tensor.view with a dtype).
func (t *Tensor) ViewDType(d DType) *Tensor {
	if from := t.DType(); from != d && (from == QInt8 || from == QUInt8 || from == QInt32) {
		// libtorch ends the process
		Fail(opViewDType.Name, "a quantized tensor, %s, can't be read as %s: aten.IntRepr gives its integers", from, d)
	}
	var a op.Args
	put(&a, &opViewDType, t)
	abi.DType(&a, d)
	return result(&opViewDType, &a)
}

// Reshape gives another shape, as a view where possible, else as a copy; one size may be -1 (torch.reshape).
func (t *Tensor) Reshape(shape ...int) *Tensor { return callInts(&opReshape, t, shape) }

// ReshapeAs is Reshape with other's shape (Tensor.reshape_as).
func (t *Tensor) ReshapeAs(other *Tensor) *Tensor { return t.Reshape(other.Shape()...) }

// Permute returns a view with the dimensions in another order (torch.permute).
func (t *Tensor) Permute(dims ...int) *Tensor { return callInts(&opPermute, t, dims) }

// Transpose returns a view with two dimensions swapped (torch.transpose).
func (t *Tensor) Transpose(dim0, dim1 int) *Tensor { return callInt(&opTranspose, t, dim0, dim1) }

// Transpose_ swaps two dimensions of t itself (Tensor.transpose_).
func (t *Tensor) Transpose_(dim0, dim1 int) *Tensor {
	return callScalar_(&opTranspose_, t, Int(dim0), Int(dim1))
}

// SwapAxes is Transpose under NumPy's name (torch.swapaxes).
func (t *Tensor) SwapAxes(axis0, axis1 int) *Tensor { return callInt(&opSwapAxes, t, axis0, axis1) }

// T returns the transpose of a matrix; a vector or scalar stays (torch.t).
func (t *Tensor) T() *Tensor { return call(&opT, t) }

// NumpyT returns a view with all dimensions reversed (Tensor.T).
func (t *Tensor) NumpyT() *Tensor { return call(&opNumpyT, t) }

// MT returns a view with the last two dimensions swapped: each matrix of a batch transposed (Tensor.mT).
func (t *Tensor) MT() *Tensor { return call(&opMT, t) }

// MH is MT of the complex conjugate (Tensor.mH).
func (t *Tensor) MH() *Tensor { return call(&opMH, t) }

// MoveDim returns a view with the dimension source at the place destination (torch.movedim).
func (t *Tensor) MoveDim(source, destination int) *Tensor {
	return t.MoveDims([]int{source}, []int{destination})
}

// MoveDims is MoveDim of several dimensions.
func (t *Tensor) MoveDims(source, destination []int) *Tensor {
	var a op.Args
	put(&a, &opMovedim, t)
	a.Ints(source)
	a.Ints(destination)
	return result(&opMovedim, &a)
}

// Squeeze returns a view without the dimensions of size 1, or without those among dims (torch.squeeze).
func (t *Tensor) Squeeze(dims ...int) *Tensor {
	if len(dims) == 0 {
		return call(&opSqueeze, t)
	}
	return callInts(&opSqueezeDims, t, dims)
}

// Squeeze_ is Squeeze of t itself.
func (t *Tensor) Squeeze_(dims ...int) *Tensor {
	if len(dims) == 0 {
		return call_(&opSqueeze_, t)
	}
	var a op.Args
	put(&a, &opSqueezeDims_, t)
	a.Ints(dims)
	return inPlace(&opSqueezeDims_, &a, t)
}

// Unsqueeze returns a view with a dimension of size 1 put in at dim (torch.unsqueeze).
func (t *Tensor) Unsqueeze(dim int) *Tensor { return callInt(&opUnsqueeze, t, dim) }

// Unsqueeze_ is Unsqueeze of t itself.
func (t *Tensor) Unsqueeze_(dim int) *Tensor { return callScalar_(&opUnsqueeze_, t, Int(dim)) }

// Expand returns a view with dimensions of size 1 stretched, and new ones in front; -1 keeps a size (Tensor.expand).
func (t *Tensor) Expand(shape ...int) *Tensor {
	var a op.Args
	put(&a, &opExpand, t)
	a.Ints(shape)
	a.Bool(false)
	return result(&opExpand, &a)
}

// ExpandAs is Expand to other's shape (Tensor.expand_as).
func (t *Tensor) ExpandAs(other *Tensor) *Tensor { return t.Expand(other.Shape()...) }

// BroadcastTo returns a view of that shape by the rules of broadcasting (torch.broadcast_to).
func (t *Tensor) BroadcastTo(shape ...int) *Tensor { return callInts(&opBroadcastTo, t, shape) }

// Repeat copies the tensor that often along each dimension (Tensor.repeat).
func (t *Tensor) Repeat(times ...int) *Tensor { return callInts(&opRepeat, t, times) }

// Tile is Repeat that takes fewer numbers than there are dimensions, for the last ones (torch.tile).
func (t *Tensor) Tile(times ...int) *Tensor { return callInts(&opTile, t, times) }

// Flatten joins the dimensions from the first number given to the second, both included, into one: Flatten() joins
// all, Flatten(1) all but the first (torch.flatten).
func (t *Tensor) Flatten(dims ...int) *Tensor {
	from, to := 0, -1
	switch len(dims) {
	case 0:
	case 1:
		from = dims[0]
	case 2:
		from, to = dims[0], dims[1]
	default:
		Fail("flatten", "want at most a first and a last dimension, got %d numbers", len(dims))
	}
	return callInt(&opFlatten, t, from, to)
}

// Ravel returns one dimension with all elements (torch.ravel).
func (t *Tensor) Ravel() *Tensor { return call(&opRavel, t) }

// Unflatten returns a view with dim split into sizes, of which one may be -1 (torch.unflatten).
func (t *Tensor) Unflatten(dim int, sizes ...int) *Tensor {
	var a op.Args
	put(&a, &opUnflatten, t)
	a.Int(int64(dim))
	a.Ints(sizes)
	return result(&opUnflatten, &a)
}

// Unfold returns a view of all windows of a size along dim, step apart, in a new last dimension (Tensor.unfold).
func (t *Tensor) Unfold(dim, size, step int) *Tensor { return callInt(&opUnfold, t, dim, size, step) }

// AsStrided returns a view of the memory with any shape and strides, offset elements from the storage's beginning
// (torch.as_strided).
func (t *Tensor) AsStrided(shape, strides []int, offset int) *Tensor {
	var a op.Args
	put(&a, &opAsStrided, t)
	a.Ints(shape)
	a.Ints(strides)
	a.Int(int64(offset))
	return result(&opAsStrided, &a)
}

// Narrow returns a view of length elements of dim from start on (torch.narrow).
func (t *Tensor) Narrow(dim, start, length int) *Tensor {
	return callInt(&opNarrow, t, dim, start, length)
}

// Select returns a view at one index of dim, which goes away (torch.select).
func (t *Tensor) Select(dim, index int) *Tensor { return callInt(&opSelect, t, dim, index) }

// Slice returns a view of dim from start to before end; negative numbers count from the end, and numbers beyond it are
// cut, as Python's start:end (torch.ops.aten.slice). End stands for the end.
func (t *Tensor) Slice(dim, start, end int) *Tensor { return callInt(&opSlice, t, dim, start, end, 1) }

// SliceStep is Slice of every step-th element.
func (t *Tensor) SliceStep(dim, start, end, step int) *Tensor {
	return callInt(&opSlice, t, dim, start, end, step)
}

func parts(o *op.Op, t *Tensor, n, dim int) []*Tensor {
	var a op.Args
	put(&a, o, t)
	a.Int(int64(n))
	a.Int(int64(dim))
	return results(o, &a)
}

func partsList(o *op.Op, t *Tensor, list []int, dim int) []*Tensor {
	var a op.Args
	put(&a, o, t)
	a.Ints(list)
	a.Int(int64(dim))
	return results(o, &a)
}

// Split returns views of size elements each along dim, the last of what is left (torch.split).
func (t *Tensor) Split(size, dim int) []*Tensor { return parts(&opSplit, t, size, dim) }

// SplitSizes returns views of these sizes along dim (torch.split with a list).
func (t *Tensor) SplitSizes(sizes []int, dim int) []*Tensor {
	return partsList(&opSplitSizes, t, sizes, dim)
}

// Chunk returns at most n views of one size along dim, the last of what is left (torch.chunk).
func (t *Tensor) Chunk(n, dim int) []*Tensor { return parts(&opChunk, t, n, dim) }

// TensorSplit returns n views along dim whose sizes differ by at most one (torch.tensor_split).
func (t *Tensor) TensorSplit(n, dim int) []*Tensor { return parts(&opTensorSplit, t, n, dim) }

// TensorSplitAt returns the views between these indices of dim (torch.tensor_split with a list).
func (t *Tensor) TensorSplitAt(indices []int, dim int) []*Tensor {
	return partsList(&opTensorSplitAt, t, indices, dim)
}

// Unbind returns the views at all indices of dim, which goes away (torch.unbind).
func (t *Tensor) Unbind(dim int) []*Tensor {
	var a op.Args
	put(&a, &opUnbind, t)
	a.Int(int64(dim))
	return results(&opUnbind, &a)
}

// Diagonal returns a view of the diagonals of the matrices in dim1 and dim2, offset above the main one, in a new last
// dimension (torch.diagonal).
func (t *Tensor) Diagonal(offset, dim1, dim2 int) *Tensor {
	return callInt(&opDiagonal, t, offset, dim1, dim2)
}

// SelectScatter returns a copy of t with src at an index of dim (torch.select_scatter).
func (t *Tensor) SelectScatter(src *Tensor, dim, index int) *Tensor {
	var a op.Args
	put(&a, &opSelectScatter, t, src)
	a.Int(int64(dim))
	a.Int(int64(index))
	return result(&opSelectScatter, &a)
}

// SliceScatter returns a copy of t with src from start to before end of dim, every step-th element
// (torch.slice_scatter).
func (t *Tensor) SliceScatter(src *Tensor, dim, start, end, step int) *Tensor {
	var a op.Args
	put(&a, &opSliceScatter, t, src)
	for _, n := range [...]int{dim, start, end, step} {
		a.Int(int64(n))
	}
	return result(&opSliceScatter, &a)
}
