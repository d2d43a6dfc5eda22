package torch

import "github.com/golite/golite/internal/op"

var (
	opInverse         = op.Op{Name: "aten::linalg_inv"}
	opDet             = op.Op{Name: "aten::linalg_det"}
	opMatrixExp       = op.Op{Name: "aten::linalg_matrix_exp"}
	opSLogDet         = op.Op{Name: "aten::linalg_slogdet"}
	opSolve           = op.Op{Name: "aten::linalg_solve"}
	opSolveTriangular = op.Op{Name: "aten::linalg_solve_triangular"}
	opCholesky        = op.Op{Name: "aten::linalg_cholesky"}
	opCholeskySolve   = op.Op{Name: "aten::cholesky_solve"}
	opQR              = op.Op{Name: "aten::linalg_qr"}
	opSVD             = op.Op{Name: "aten::linalg_svd"}
	opSVDVals         = op.Op{Name: "aten::linalg_svdvals"}
	opEigh            = op.Op{Name: "aten::linalg_eigh"}
	opEigvalsh        = op.Op{Name: "aten::linalg_eigvalsh"}
	opEig             = op.Op{Name: "aten::linalg_eig"}
	opEigvals         = op.Op{Name: "aten::linalg_eigvals"}
	opLstSq           = op.Op{Name: "aten::linalg_lstsq"}
	opPinv            = op.Op{Name: "aten::linalg_pinv.atol_rtol_float"}
	opMatrixPower     = op.Op{Name: "aten::linalg_matrix_power"}
	opMatrixRank      = op.Op{Name: "aten::linalg_matrix_rank.atol_rtol_float"}
	opCond            = op.Op{Name: "aten::linalg_cond"}
	opLU              = op.Op{Name: "aten::linalg_lu"}
	opMatrixNorm      = op.Op{Name: "aten::linalg_matrix_norm"}
	opMatrixNormOrd   = op.Op{Name: "aten::linalg_matrix_norm.str_ord"}
)

// Inverse returns the inverse of matrices (torch.linalg.inv).
func (t *Tensor) Inverse() *Tensor { return call(&opInverse, t) }

// Det returns the determinants of matrices (torch.linalg.det).
func (t *Tensor) Det() *Tensor { return call(&opDet, t) }

// MatrixExp returns the exponential of matrices (torch.linalg.matrix_exp).
func (t *Tensor) MatrixExp() *Tensor { return call(&opMatrixExp, t) }

// SLogDet returns the sign of matrices' determinants and the logarithm of their magnitude (torch.linalg.slogdet).
func (t *Tensor) SLogDet() (sign, logAbs *Tensor) {
	var a op.Args
	put(&a, &opSLogDet, t)
	return pair(&opSLogDet, &a)
}

// Solve returns the X for which t X = b (torch.linalg.solve).
func (t *Tensor) Solve(b *Tensor) *Tensor {
	var a op.Args
	put(&a, &opSolve, t, b)
	a.Bool(true)
	return result(&opSolve, &a)
}

// SolveTriangular is Solve for triangular matrices, upper or lower (torch.linalg.solve_triangular).
func (t *Tensor) SolveTriangular(b *Tensor, upper bool) *Tensor {
	var a op.Args
	put(&a, &opSolveTriangular, t, b)
	a.Bool(upper)
	a.Bool(true)
	a.Bool(false)
	return result(&opSolveTriangular, &a)
}

// Cholesky returns the lower triangular L for which L Lᴴ = t, a positive definite matrix (torch.linalg.cholesky).
func (t *Tensor) Cholesky() *Tensor { return callScalar(&opCholesky, t, Boolean(false)) }

// CholeskySolve returns the X for which A X = t, where l is A's Cholesky factor (torch.cholesky_solve).
func (t *Tensor) CholeskySolve(l *Tensor) *Tensor {
	var a op.Args
	put(&a, &opCholeskySolve, t, l)
	a.Bool(false)
	return result(&opCholeskySolve, &a)
}

// QR factors matrices into an orthogonal Q and an upper triangular R, without superfluous columns (torch.linalg.qr).
func (t *Tensor) QR() (q, r *Tensor) {
	var a op.Args
	put(&a, &opQR, t)
	a.String("reduced")
	return pair(&opQR, &a)
}

// SVD factors matrices into U diag(S) Vᴴ; full gives square U and V (torch.linalg.svd).
func (t *Tensor) SVD(full bool) (u, s, vh *Tensor) {
	var a op.Args
	put(&a, &opSVD, t)
	a.Bool(full)
	a.None()
	return triple(&opSVD, &a)
}

// SVDVals returns the singular values, the largest first (torch.linalg.svdvals).
func (t *Tensor) SVDVals() *Tensor { return callDType(&opSVDVals, t) }

// Eigh returns the eigenvalues, the smallest first, and the eigenvectors of symmetric or Hermitian matrices, of which
// the lower triangle is read (torch.linalg.eigh).
func (t *Tensor) Eigh() (values, vectors *Tensor) {
	var a op.Args
	put(&a, &opEigh, t)
	a.String("L")
	return pair(&opEigh, &a)
}

// Eigvalsh returns the eigenvalues alone that Eigh does (torch.linalg.eigvalsh).
func (t *Tensor) Eigvalsh() *Tensor {
	var a op.Args
	put(&a, &opEigvalsh, t)
	a.String("L")
	return result(&opEigvalsh, &a)
}

// Eig returns the eigenvalues and eigenvectors of square matrices, complex (torch.linalg.eig).
func (t *Tensor) Eig() (values, vectors *Tensor) {
	var a op.Args
	put(&a, &opEig, t)
	return pair(&opEig, &a)
}

// Eigvals returns the eigenvalues alone that Eig does (torch.linalg.eigvals).
func (t *Tensor) Eigvals() *Tensor { return call(&opEigvals, t) }

// LstSq returns the X that makes the norm of t X - b least (torch.linalg.lstsq).
func (t *Tensor) LstSq(b *Tensor) *Tensor {
	var a op.Args
	put(&a, &opLstSq, t, b)
	a.None()
	a.None()
	return result(&opLstSq, &a)
}

// Pinv returns the pseudoinverse of matrices (torch.linalg.pinv).
func (t *Tensor) Pinv() *Tensor {
	var a op.Args
	put(&a, &opPinv, t)
	a.None()
	a.None()
	a.Bool(false)
	return result(&opPinv, &a)
}

// MatrixPower returns matrices to the power of a whole number (torch.linalg.matrix_power).
func (t *Tensor) MatrixPower(n int) *Tensor { return callInt(&opMatrixPower, t, n) }

// MatrixRank returns the numerical rank of matrices (torch.linalg.matrix_rank).
func (t *Tensor) MatrixRank() *Tensor {
	var a op.Args
	put(&a, &opMatrixRank, t)
	a.None()
	a.None()
	a.Bool(false)
	return result(&opMatrixRank, &a)
}

// Cond returns the condition number of matrices, in the 2-norm (torch.linalg.cond).
func (t *Tensor) Cond() *Tensor { return callDType(&opCond, t) }

// LU factors matrices into a permutation, a lower and an upper triangular one (torch.linalg.lu).
func (t *Tensor) LU() (p, l, u *Tensor) {
	var a op.Args
	put(&a, &opLU, t)
	a.Bool(true)
	return triple(&opLU, &a)
}

// MatrixNorm returns the norm of matrices of that order: "fro", "nuc" (torch.linalg.matrix_norm).
func (t *Tensor) MatrixNorm(order string) *Tensor {
	var a op.Args
	put(&a, &opMatrixNormOrd, t)
	a.String(order)
	a.Ints([]int{-2, -1})
	a.Bool(false)
	a.None()
	return result(&opMatrixNormOrd, &a)
}

// MatrixNormP is MatrixNorm of a number: 1, 2, -1, -2 or infinity.
func (t *Tensor) MatrixNormP(order float64) *Tensor {
	var a op.Args
	put(&a, &opMatrixNorm, t)
	Number(order).write(&a)
	a.Ints([]int{-2, -1})
	a.Bool(false)
	a.None()
	return result(&opMatrixNorm, &a)
}
