package torch

import "github.com/golite/golite/internal/op"

var (
	opMatMul      = op.Op{Name: "aten::matmul"}
	opDot         = op.Op{Name: "aten::dot"}
	opVDot        = op.Op{Name: "aten::vdot"}
	opOuter       = op.Op{Name: "aten::outer"}
	opInner       = op.Op{Name: "aten::inner"}
	opKron        = op.Op{Name: "aten::kron"}
	opMatrices    = op.Op{Name: "aten::mm"}
	opBMM         = op.Op{Name: "aten::bmm"}
	opMV          = op.Op{Name: "aten::mv"}
	opAddMM       = op.Op{Name: "aten::addmm"}
	opAddMM_      = op.Op{Name: "aten::addmm_"}
	opBAddBMM     = op.Op{Name: "aten::baddbmm"}
	opBAddBMM_    = op.Op{Name: "aten::baddbmm_"}
	opAddBMM      = op.Op{Name: "aten::addbmm"}
	opAddBMM_     = op.Op{Name: "aten::addbmm_"}
	opAddMV       = op.Op{Name: "aten::addmv"}
	opAddMV_      = op.Op{Name: "aten::addmv_"}
	opAddR        = op.Op{Name: "aten::addr"}
	opAddR_       = op.Op{Name: "aten::addr_"}
	opEinsum      = op.Op{Name: "aten::einsum"}
	opTensorDot   = op.Op{Name: "aten::tensordot"}
	opCross       = op.Op{Name: "aten::linalg_cross"}
	opCDist       = op.Op{Name: "aten::cdist"}
	opCov         = op.Op{Name: "aten::cov"}
	opCorrCoef    = op.Op{Name: "aten::corrcoef"}
	opChainMatMul = op.Op{Name: "aten::linalg_multi_dot"}
)

// MatMul multiplies matrices, batches of them, or vectors, by the rules of torch.matmul.
func (t *Tensor) MatMul(other *Tensor) *Tensor { return call(&opMatMul, t, other) }

// Dot returns the product of two vectors (torch.dot).
func (t *Tensor) Dot(other *Tensor) *Tensor { return call(&opDot, t, other) }

// VDot is Dot with t's complex conjugate (torch.vdot).
func (t *Tensor) VDot(other *Tensor) *Tensor { return call(&opVDot, t, other) }

// Outer returns the matrix of all products of two vectors' elements (torch.outer).
func (t *Tensor) Outer(other *Tensor) *Tensor { return call(&opOuter, t, other) }

// Inner adds up the products along the last dimensions (torch.inner).
func (t *Tensor) Inner(other *Tensor) *Tensor { return call(&opInner, t, other) }

// Kron returns the Kronecker product (torch.kron).
func (t *Tensor) Kron(other *Tensor) *Tensor { return call(&opKron, t, other) }

// MM multiplies two matrices (torch.mm).
func (t *Tensor) MM(mat2 *Tensor) *Tensor { return call(&opMatrices, t, mat2) }

// BMM multiplies the matrices of two batches (torch.bmm).
func (t *Tensor) BMM(mat2 *Tensor) *Tensor { return call(&opBMM, t, mat2) }

// MV multiplies a matrix and a vector (torch.mv).
func (t *Tensor) MV(vec *Tensor) *Tensor { return call(&opMV, t, vec) }

// AddMM returns beta * t + alpha * the product of two matrices; without options both are 1 (torch.addmm).
func (t *Tensor) AddMM(x, y *Tensor, opts ...AddMMOptions) *Tensor {
	var a op.Args
	putAddMM(&a, &opAddMM, t, x, y, opts)
	return result(&opAddMM, &a)
}

// AddMM_ is AddMM in place.
func (t *Tensor) AddMM_(x, y *Tensor, opts ...AddMMOptions) *Tensor {
	var a op.Args
	putAddMM(&a, &opAddMM_, t, x, y, opts)
	return inPlace(&opAddMM_, &a, t)
}

// BAddBMM returns beta * t + alpha * the products of two batches of matrices; without options both are 1
// (torch.baddbmm).
func (t *Tensor) BAddBMM(x, y *Tensor, opts ...AddMMOptions) *Tensor {
	var a op.Args
	putAddMM(&a, &opBAddBMM, t, x, y, opts)
	return result(&opBAddBMM, &a)
}

// BAddBMM_ is BAddBMM in place.
func (t *Tensor) BAddBMM_(x, y *Tensor, opts ...AddMMOptions) *Tensor {
	var a op.Args
	putAddMM(&a, &opBAddBMM_, t, x, y, opts)
	return inPlace(&opBAddBMM_, &a, t)
}

// AddBMM returns beta * t + alpha * the sum of the products of two batches of matrices; without options both are 1
// (torch.addbmm).
func (t *Tensor) AddBMM(x, y *Tensor, opts ...AddMMOptions) *Tensor {
	var a op.Args
	putAddMM(&a, &opAddBMM, t, x, y, opts)
	return result(&opAddBMM, &a)
}

// AddBMM_ is AddBMM in place.
func (t *Tensor) AddBMM_(x, y *Tensor, opts ...AddMMOptions) *Tensor {
	var a op.Args
	putAddMM(&a, &opAddBMM_, t, x, y, opts)
	return inPlace(&opAddBMM_, &a, t)
}

// AddMV returns beta * t + alpha * the product of a matrix and a vector; without options both are 1 (torch.addmv).
func (t *Tensor) AddMV(x, y *Tensor, opts ...AddMMOptions) *Tensor {
	var a op.Args
	putAddMM(&a, &opAddMV, t, x, y, opts)
	return result(&opAddMV, &a)
}

// AddMV_ is AddMV in place.
func (t *Tensor) AddMV_(x, y *Tensor, opts ...AddMMOptions) *Tensor {
	var a op.Args
	putAddMM(&a, &opAddMV_, t, x, y, opts)
	return inPlace(&opAddMV_, &a, t)
}

// AddR returns beta * t + alpha * the outer product of two vectors; without options both are 1 (torch.addr).
func (t *Tensor) AddR(x, y *Tensor, opts ...AddMMOptions) *Tensor {
	var a op.Args
	putAddMM(&a, &opAddR, t, x, y, opts)
	return result(&opAddR, &a)
}

// AddR_ is AddR in place.
func (t *Tensor) AddR_(x, y *Tensor, opts ...AddMMOptions) *Tensor {
	var a op.Args
	putAddMM(&a, &opAddR_, t, x, y, opts)
	return inPlace(&opAddR_, &a, t)
}

// AddMMOptions scale the two terms of AddMM and its kind; nil stands for 1.
type AddMMOptions struct{ Beta, Alpha *float64 }

func putAddMM(a *op.Args, o *op.Op, t, x, y *Tensor, opts []AddMMOptions) {
	put(a, o, t, x, y)
	s := optional(o, opts, AddMMOptions{})
	for _, v := range [...]*float64{s.Beta, s.Alpha} {
		if v == nil {
			a.Int(1)
		} else {
			Number(*v).write(a)
		}
	}
}

// Einsum multiplies and adds up by Einstein's convention (torch.einsum):
//
//	torch.Einsum("bij,bjk->bik", x, y)
func Einsum(equation string, operands ...*Tensor) *Tensor {
	var a op.Args
	a.String(equation)
	putAll(&a, &opEinsum, operands)
	a.None()
	return result(&opEinsum, &a)
}

// TensorDot adds up the products over pairs of dimensions of t and other (torch.tensordot).
func (t *Tensor) TensorDot(other *Tensor, dims, otherDims []int) *Tensor {
	var a op.Args
	put(&a, &opTensorDot, t, other)
	a.Ints(dims)
	a.Ints(otherDims)
	return result(&opTensorDot, &a)
}

// Cross returns the cross product of the vectors of 3 along dim (torch.linalg.cross).
func (t *Tensor) Cross(other *Tensor, dim int) *Tensor {
	var a op.Args
	put(&a, &opCross, t, other)
	a.Int(int64(dim))
	return result(&opCross, &a)
}

// CDist returns the distances, in the norm of order p, of all pairs of rows of t and other (torch.cdist).
func (t *Tensor) CDist(other *Tensor, p float64) *Tensor {
	var a op.Args
	put(&a, &opCDist, t, other)
	a.Float(p)
	a.None()
	return result(&opCDist, &a)
}

// Cov returns the covariances of the rows, with Bessel's correction (torch.cov).
func (t *Tensor) Cov() *Tensor {
	var a op.Args
	put(&a, &opCov, t)
	a.Int(1)
	a.None()
	a.None()
	return result(&opCov, &a)
}

// CorrCoef returns the correlations of the rows (torch.corrcoef).
func (t *Tensor) CorrCoef() *Tensor { return call(&opCorrCoef, t) }

// MultiDot multiplies several matrices in the order that costs least (torch.linalg.multi_dot).
func MultiDot(list ...*Tensor) *Tensor { return join(&opChainMatMul, list) }
