package torch

import "github.com/golite/golite/internal/op"

var (
	opCat              = op.Op{Name: "aten::cat"}
	opStack            = op.Op{Name: "aten::stack"}
	opHStack           = op.Op{Name: "aten::hstack"}
	opVStack           = op.Op{Name: "aten::vstack"}
	opDStack           = op.Op{Name: "aten::dstack"}
	opBlockDiag        = op.Op{Name: "aten::block_diag"}
	opBroadcastTensors = op.Op{Name: "aten::broadcast_tensors"}
	opMeshgrid         = op.Op{Name: "aten::meshgrid.indexing"}
	opCartesianProd    = op.Op{Name: "aten::cartesian_prod"}
	opCombinations     = op.Op{Name: "aten::combinations"}
	opFlip             = op.Op{Name: "aten::flip"}
	opRoll             = op.Op{Name: "aten::roll"}
	opRot90            = op.Op{Name: "aten::rot90"}
	opTril             = op.Op{Name: "aten::tril"}
	opTril_            = op.Op{Name: "aten::tril_"}
	opTriu             = op.Op{Name: "aten::triu"}
	opTriu_            = op.Op{Name: "aten::triu_"}
	opTrilIndices      = op.Op{Name: "aten::tril_indices"}
	opTriuIndices      = op.Op{Name: "aten::triu_indices"}
	opDiag             = op.Op{Name: "aten::diag"}
	opDiagEmbed        = op.Op{Name: "aten::diag_embed"}
	opDiagFlat         = op.Op{Name: "aten::diagflat"}
	opFillDiagonal_    = op.Op{Name: "aten::fill_diagonal_"}
	opPad              = op.Op{Name: "aten::pad"}
	opVander           = op.Op{Name: "aten::vander"}
)

func join(o *op.Op, list []*Tensor) *Tensor {
	var a op.Args
	putAll(&a, o, list)
	return result(o, &a)
}

func joinDim(o *op.Op, list []*Tensor, dim int) *Tensor {
	var a op.Args
	putAll(&a, o, list)
	a.Int(int64(dim))
	return result(o, &a)
}

// Cat joins tensors along a dimension that they have; all other sizes must agree (torch.cat).
func Cat(list []*Tensor, dim int) *Tensor { return joinDim(&opCat, list, dim) }

// Stack joins tensors of one shape along a new dimension (torch.stack).
func Stack(list []*Tensor, dim int) *Tensor { return joinDim(&opStack, list, dim) }

// HStack joins side by side: along the second dimension, vectors along the first (torch.hstack).
func HStack(list []*Tensor) *Tensor { return join(&opHStack, list) }

// VStack joins on top of each other: along the first dimension, vectors as rows (torch.vstack).
func VStack(list []*Tensor) *Tensor { return join(&opVStack, list) }

// DStack joins along the third dimension (torch.dstack).
func DStack(list []*Tensor) *Tensor { return join(&opDStack, list) }

// BlockDiag puts matrices on the diagonal of one (torch.block_diag).
func BlockDiag(list []*Tensor) *Tensor { return join(&opBlockDiag, list) }

// BroadcastTensors expands tensors to their common shape (torch.broadcast_tensors).
func BroadcastTensors(list []*Tensor) []*Tensor {
	var a op.Args
	putAll(&a, &opBroadcastTensors, list)
	return results(&opBroadcastTensors, &a)
}

// Meshgrid makes grids of coordinates of vectors (torch.meshgrid). indexing is "ij" for matrices' order of dimensions
// or "xy" for plots'.
func Meshgrid(list []*Tensor, indexing string) []*Tensor {
	var a op.Args
	putAll(&a, &opMeshgrid, list)
	a.String(indexing)
	return results(&opMeshgrid, &a)
}

// CartesianProd returns all tuples of elements of vectors, one a row (torch.cartesian_prod).
func CartesianProd(list []*Tensor) *Tensor { return join(&opCartesianProd, list) }

// Combinations returns all choices of r elements of a vector, one a row, with or without repetition
// (torch.combinations).
func (t *Tensor) Combinations(r int, withReplacement bool) *Tensor {
	return callScalar(&opCombinations, t, Int(r), Boolean(withReplacement))
}

// Flip reverses the order along dims (torch.flip).
func (t *Tensor) Flip(dims ...int) *Tensor { return callInts(&opFlip, t, dims) }

// FlipLR reverses the order of columns (torch.fliplr).
func (t *Tensor) FlipLR() *Tensor { return t.Flip(1) }

// FlipUD reverses the order of rows (torch.flipud).
func (t *Tensor) FlipUD() *Tensor { return t.Flip(0) }

// Roll shifts the elements along each dimension, those that fall off come in at the other end; without dims, of the
// flattened tensor (torch.roll).
func (t *Tensor) Roll(shifts []int, dims ...int) *Tensor {
	var a op.Args
	put(&a, &opRoll, t)
	a.Ints(shifts)
	a.Ints(dims)
	return result(&opRoll, &a)
}

// Rot90 turns by k quarters in the plane of two dimensions, from the first towards the second (torch.rot90).
func (t *Tensor) Rot90(k, dim0, dim1 int) *Tensor {
	var a op.Args
	put(&a, &opRot90, t)
	a.Int(int64(k))
	a.Ints([]int{dim0, dim1})
	return result(&opRot90, &a)
}

// Tril keeps the lower triangle of matrices, up to the diagonal that many above the main one (torch.tril).
func (t *Tensor) Tril(diagonal ...int) *Tensor {
	return callInt(&opTril, t, optional(&opTril, diagonal, 0))
}

// Tril_ is Tril in place.
func (t *Tensor) Tril_(diagonal ...int) *Tensor {
	return callScalar_(&opTril_, t, Int(optional(&opTril_, diagonal, 0)))
}

// Triu keeps the upper triangle of matrices, from the diagonal that many above the main one on (torch.triu).
func (t *Tensor) Triu(diagonal ...int) *Tensor {
	return callInt(&opTriu, t, optional(&opTriu, diagonal, 0))
}

// Triu_ is Triu in place.
func (t *Tensor) Triu_(diagonal ...int) *Tensor {
	return callScalar_(&opTriu_, t, Int(optional(&opTriu_, diagonal, 0)))
}

// TrilIndices returns the rows' and the columns' indices of a lower triangle, in two rows (torch.tril_indices).
func TrilIndices(rows, cols, diagonal int) *Tensor {
	return triangle(&opTrilIndices, rows, cols, diagonal)
}

// TriuIndices returns the rows' and the columns' indices of an upper triangle, in two rows (torch.triu_indices).
func TriuIndices(rows, cols, diagonal int) *Tensor {
	return triangle(&opTriuIndices, rows, cols, diagonal)
}

func triangle(o *op.Op, rows, cols, diagonal int) *Tensor {
	var a op.Args
	a.Int(int64(rows))
	a.Int(int64(cols))
	a.Int(int64(diagonal))
	Options{DType: Int64}.write(&a)
	return result(o, &a)
}

// Diag returns a matrix with the vector t on a diagonal, or a matrix's diagonal as a vector (torch.diag).
func (t *Tensor) Diag(diagonal ...int) *Tensor {
	return callInt(&opDiag, t, optional(&opDiag, diagonal, 0))
}

// DiagEmbed makes matrices with the last dimension of t on a diagonal of the last two (torch.diag_embed).
func (t *Tensor) DiagEmbed(offset ...int) *Tensor {
	return callInt(&opDiagEmbed, t, optional(&opDiagEmbed, offset, 0), -2, -1)
}

// DiagFlat is Diag of the flattened tensor (torch.diagflat).
func (t *Tensor) DiagFlat(offset ...int) *Tensor {
	return callInt(&opDiagFlat, t, optional(&opDiagFlat, offset, 0))
}

// FillDiagonal_ sets the main diagonal (Tensor.fill_diagonal_).
func (t *Tensor) FillDiagonal_(v float64) *Tensor {
	return callScalar_(&opFillDiagonal_, t, Number(v), Boolean(false))
}

// Pad adds elements of value v around: sizes before and after the last dimension, then before and after the one before
// it, and so on (torch.nn.functional.pad in its mode "constant").
func (t *Tensor) Pad(sizes []int, v float64) *Tensor {
	var a op.Args
	put(&a, &opPad, t)
	a.Ints(sizes)
	a.String("constant")
	a.Float(v)
	return result(&opPad, &a)
}

// Vander returns the powers of a vector's elements as a matrix of n columns, the highest first (torch.vander).
func (t *Tensor) Vander(n int) *Tensor {
	return callScalar(&opVander, t, Int(n), Boolean(false))
}
