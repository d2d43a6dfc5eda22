package torch

import "github.com/golite/golite/internal/op"

var (
	opEq                       = op.Op{Name: "aten::eq.Tensor"}
	opEq_                      = op.Op{Name: "aten::eq_.Tensor"}
	opEqScalar                 = op.Op{Name: "aten::eq.Scalar"}
	opEqScalar_                = op.Op{Name: "aten::eq_.Scalar"}
	opNe                       = op.Op{Name: "aten::ne.Tensor"}
	opNe_                      = op.Op{Name: "aten::ne_.Tensor"}
	opNeScalar                 = op.Op{Name: "aten::ne.Scalar"}
	opNeScalar_                = op.Op{Name: "aten::ne_.Scalar"}
	opLt                       = op.Op{Name: "aten::lt.Tensor"}
	opLt_                      = op.Op{Name: "aten::lt_.Tensor"}
	opLtScalar                 = op.Op{Name: "aten::lt.Scalar"}
	opLtScalar_                = op.Op{Name: "aten::lt_.Scalar"}
	opLe                       = op.Op{Name: "aten::le.Tensor"}
	opLe_                      = op.Op{Name: "aten::le_.Tensor"}
	opLeScalar                 = op.Op{Name: "aten::le.Scalar"}
	opLeScalar_                = op.Op{Name: "aten::le_.Scalar"}
	opGt                       = op.Op{Name: "aten::gt.Tensor"}
	opGt_                      = op.Op{Name: "aten::gt_.Tensor"}
	opGtScalar                 = op.Op{Name: "aten::gt.Scalar"}
	opGtScalar_                = op.Op{Name: "aten::gt_.Scalar"}
	opGe                       = op.Op{Name: "aten::ge.Tensor"}
	opGe_                      = op.Op{Name: "aten::ge_.Tensor"}
	opGeScalar                 = op.Op{Name: "aten::ge.Scalar"}
	opGeScalar_                = op.Op{Name: "aten::ge_.Scalar"}
	opLogicalAnd               = op.Op{Name: "aten::logical_and"}
	opLogicalAnd_              = op.Op{Name: "aten::logical_and_"}
	opLogicalOr                = op.Op{Name: "aten::logical_or"}
	opLogicalOr_               = op.Op{Name: "aten::logical_or_"}
	opLogicalXor               = op.Op{Name: "aten::logical_xor"}
	opLogicalXor_              = op.Op{Name: "aten::logical_xor_"}
	opLogicalNot               = op.Op{Name: "aten::logical_not"}
	opLogicalNot_              = op.Op{Name: "aten::logical_not_"}
	opBitwiseAnd               = op.Op{Name: "aten::bitwise_and.Tensor"}
	opBitwiseAnd_              = op.Op{Name: "aten::bitwise_and_.Tensor"}
	opBitwiseAndScalar         = op.Op{Name: "aten::bitwise_and.Scalar"}
	opBitwiseAndScalar_        = op.Op{Name: "aten::bitwise_and_.Scalar"}
	opBitwiseOr                = op.Op{Name: "aten::bitwise_or.Tensor"}
	opBitwiseOr_               = op.Op{Name: "aten::bitwise_or_.Tensor"}
	opBitwiseOrScalar          = op.Op{Name: "aten::bitwise_or.Scalar"}
	opBitwiseOrScalar_         = op.Op{Name: "aten::bitwise_or_.Scalar"}
	opBitwiseXor               = op.Op{Name: "aten::bitwise_xor.Tensor"}
	opBitwiseXor_              = op.Op{Name: "aten::bitwise_xor_.Tensor"}
	opBitwiseXorScalar         = op.Op{Name: "aten::bitwise_xor.Scalar"}
	opBitwiseXorScalar_        = op.Op{Name: "aten::bitwise_xor_.Scalar"}
	opBitwiseLeftShift         = op.Op{Name: "aten::bitwise_left_shift.Tensor"}
	opBitwiseLeftShift_        = op.Op{Name: "aten::bitwise_left_shift_.Tensor"}
	opBitwiseLeftShiftScalar   = op.Op{Name: "aten::bitwise_left_shift.Tensor_Scalar"}
	opBitwiseLeftShiftScalar_  = op.Op{Name: "aten::bitwise_left_shift_.Tensor_Scalar"}
	opBitwiseRightShift        = op.Op{Name: "aten::bitwise_right_shift.Tensor"}
	opBitwiseRightShift_       = op.Op{Name: "aten::bitwise_right_shift_.Tensor"}
	opBitwiseRightShiftScalar  = op.Op{Name: "aten::bitwise_right_shift.Tensor_Scalar"}
	opBitwiseRightShiftScalar_ = op.Op{Name: "aten::bitwise_right_shift_.Tensor_Scalar"}
	opBitwiseNot               = op.Op{Name: "aten::bitwise_not"}
	opBitwiseNot_              = op.Op{Name: "aten::bitwise_not_"}
	opIsNaN                    = op.Op{Name: "aten::isnan"}
	opIsInf                    = op.Op{Name: "aten::isinf"}
	opIsFinite                 = op.Op{Name: "aten::isfinite"}
	opIsPosInf                 = op.Op{Name: "aten::isposinf"}
	opIsNegInf                 = op.Op{Name: "aten::isneginf"}
	opIsRealElem               = op.Op{Name: "aten::isreal"}
	opSignBit                  = op.Op{Name: "aten::signbit"}
	opEqual                    = op.Op{Name: "aten::equal"}
	opAllClose                 = op.Op{Name: "aten::allclose"}
	opIsClose                  = op.Op{Name: "aten::isclose"}
	opIsIn                     = op.Op{Name: "aten::isin.Tensor_Tensor"}
)

// Eq reports where t == other, as a bool tensor (torch.eq).
func (t *Tensor) Eq(other *Tensor) *Tensor { return call(&opEq, t, other) }

// Eq_ is Eq in place.
func (t *Tensor) Eq_(other *Tensor) *Tensor { return call_(&opEq_, t, other) }

// EqScalar reports where t == v, as a bool tensor (torch.eq).
func (t *Tensor) EqScalar(v float64) *Tensor { return callScalar(&opEqScalar, t, Number(v)) }

// EqScalar_ is EqScalar in place.
func (t *Tensor) EqScalar_(v float64) *Tensor { return callScalar_(&opEqScalar_, t, Number(v)) }

// Ne reports where t != other, as a bool tensor (torch.ne).
func (t *Tensor) Ne(other *Tensor) *Tensor { return call(&opNe, t, other) }

// Ne_ is Ne in place.
func (t *Tensor) Ne_(other *Tensor) *Tensor { return call_(&opNe_, t, other) }

// NeScalar reports where t != v, as a bool tensor (torch.ne).
func (t *Tensor) NeScalar(v float64) *Tensor { return callScalar(&opNeScalar, t, Number(v)) }

// NeScalar_ is NeScalar in place.
func (t *Tensor) NeScalar_(v float64) *Tensor { return callScalar_(&opNeScalar_, t, Number(v)) }

// Lt reports where t < other, as a bool tensor (torch.lt).
func (t *Tensor) Lt(other *Tensor) *Tensor { return call(&opLt, t, other) }

// Lt_ is Lt in place.
func (t *Tensor) Lt_(other *Tensor) *Tensor { return call_(&opLt_, t, other) }

// LtScalar reports where t < v, as a bool tensor (torch.lt).
func (t *Tensor) LtScalar(v float64) *Tensor { return callScalar(&opLtScalar, t, Number(v)) }

// LtScalar_ is LtScalar in place.
func (t *Tensor) LtScalar_(v float64) *Tensor { return callScalar_(&opLtScalar_, t, Number(v)) }

// Le reports where t <= other, as a bool tensor (torch.le).
func (t *Tensor) Le(other *Tensor) *Tensor { return call(&opLe, t, other) }

// Le_ is Le in place.
func (t *Tensor) Le_(other *Tensor) *Tensor { return call_(&opLe_, t, other) }

// LeScalar reports where t <= v, as a bool tensor (torch.le).
func (t *Tensor) LeScalar(v float64) *Tensor { return callScalar(&opLeScalar, t, Number(v)) }

// LeScalar_ is LeScalar in place.
func (t *Tensor) LeScalar_(v float64) *Tensor { return callScalar_(&opLeScalar_, t, Number(v)) }

// Gt reports where t > other, as a bool tensor (torch.gt).
func (t *Tensor) Gt(other *Tensor) *Tensor { return call(&opGt, t, other) }

// Gt_ is Gt in place.
func (t *Tensor) Gt_(other *Tensor) *Tensor { return call_(&opGt_, t, other) }

// GtScalar reports where t > v, as a bool tensor (torch.gt).
func (t *Tensor) GtScalar(v float64) *Tensor { return callScalar(&opGtScalar, t, Number(v)) }

// GtScalar_ is GtScalar in place.
func (t *Tensor) GtScalar_(v float64) *Tensor { return callScalar_(&opGtScalar_, t, Number(v)) }

// Ge reports where t >= other, as a bool tensor (torch.ge).
func (t *Tensor) Ge(other *Tensor) *Tensor { return call(&opGe, t, other) }

// Ge_ is Ge in place.
func (t *Tensor) Ge_(other *Tensor) *Tensor { return call_(&opGe_, t, other) }

// GeScalar reports where t >= v, as a bool tensor (torch.ge).
func (t *Tensor) GeScalar(v float64) *Tensor { return callScalar(&opGeScalar, t, Number(v)) }

// GeScalar_ is GeScalar in place.
func (t *Tensor) GeScalar_(v float64) *Tensor { return callScalar_(&opGeScalar_, t, Number(v)) }

// LogicalAnd reports where both are not zero, as a bool tensor (torch.logical_and).
func (t *Tensor) LogicalAnd(other *Tensor) *Tensor { return call(&opLogicalAnd, t, other) }

// LogicalAnd_ is LogicalAnd in place.
func (t *Tensor) LogicalAnd_(other *Tensor) *Tensor { return call_(&opLogicalAnd_, t, other) }

// LogicalOr reports where one or both are not zero, as a bool tensor (torch.logical_or).
func (t *Tensor) LogicalOr(other *Tensor) *Tensor { return call(&opLogicalOr, t, other) }

// LogicalOr_ is LogicalOr in place.
func (t *Tensor) LogicalOr_(other *Tensor) *Tensor { return call_(&opLogicalOr_, t, other) }

// LogicalXor reports where exactly one is not zero, as a bool tensor (torch.logical_xor).
func (t *Tensor) LogicalXor(other *Tensor) *Tensor { return call(&opLogicalXor, t, other) }

// LogicalXor_ is LogicalXor in place.
func (t *Tensor) LogicalXor_(other *Tensor) *Tensor { return call_(&opLogicalXor_, t, other) }

// LogicalNot reports where t is zero, as a bool tensor (torch.logical_not).
func (t *Tensor) LogicalNot() *Tensor { return call(&opLogicalNot, t) }

// LogicalNot_ is LogicalNot in place.
func (t *Tensor) LogicalNot_() *Tensor { return call_(&opLogicalNot_, t) }

// BitwiseAnd returns the bits set in both t and other, of integers or bools (torch.bitwise_and).
func (t *Tensor) BitwiseAnd(other *Tensor) *Tensor { return call(&opBitwiseAnd, t, other) }

// BitwiseAnd_ is BitwiseAnd in place.
func (t *Tensor) BitwiseAnd_(other *Tensor) *Tensor { return call_(&opBitwiseAnd_, t, other) }

// BitwiseAndScalar is BitwiseAnd with a number.
func (t *Tensor) BitwiseAndScalar(v int) *Tensor { return callScalar(&opBitwiseAndScalar, t, Int(v)) }

// BitwiseAndScalar_ is BitwiseAndScalar in place.
func (t *Tensor) BitwiseAndScalar_(v int) *Tensor {
	return callScalar_(&opBitwiseAndScalar_, t, Int(v))
}

// BitwiseOr returns the bits set in t or other, of integers or bools (torch.bitwise_or).
func (t *Tensor) BitwiseOr(other *Tensor) *Tensor { return call(&opBitwiseOr, t, other) }

// BitwiseOr_ is BitwiseOr in place.
func (t *Tensor) BitwiseOr_(other *Tensor) *Tensor { return call_(&opBitwiseOr_, t, other) }

// BitwiseOrScalar is BitwiseOr with a number.
func (t *Tensor) BitwiseOrScalar(v int) *Tensor { return callScalar(&opBitwiseOrScalar, t, Int(v)) }

// BitwiseOrScalar_ is BitwiseOrScalar in place.
func (t *Tensor) BitwiseOrScalar_(v int) *Tensor { return callScalar_(&opBitwiseOrScalar_, t, Int(v)) }

// BitwiseXor returns the bits set in exactly one of t and other, of integers or bools (torch.bitwise_xor).
func (t *Tensor) BitwiseXor(other *Tensor) *Tensor { return call(&opBitwiseXor, t, other) }

// BitwiseXor_ is BitwiseXor in place.
func (t *Tensor) BitwiseXor_(other *Tensor) *Tensor { return call_(&opBitwiseXor_, t, other) }

// BitwiseXorScalar is BitwiseXor with a number.
func (t *Tensor) BitwiseXorScalar(v int) *Tensor { return callScalar(&opBitwiseXorScalar, t, Int(v)) }

// BitwiseXorScalar_ is BitwiseXorScalar in place.
func (t *Tensor) BitwiseXorScalar_(v int) *Tensor {
	return callScalar_(&opBitwiseXorScalar_, t, Int(v))
}

// BitwiseLeftShift shifts t's bits up by other, of integers or bools (torch.bitwise_left_shift).
func (t *Tensor) BitwiseLeftShift(other *Tensor) *Tensor { return call(&opBitwiseLeftShift, t, other) }

// BitwiseLeftShift_ is BitwiseLeftShift in place.
func (t *Tensor) BitwiseLeftShift_(other *Tensor) *Tensor {
	return call_(&opBitwiseLeftShift_, t, other)
}

// BitwiseLeftShiftScalar is BitwiseLeftShift with a number.
func (t *Tensor) BitwiseLeftShiftScalar(v int) *Tensor {
	return callScalar(&opBitwiseLeftShiftScalar, t, Int(v))
}

// BitwiseLeftShiftScalar_ is BitwiseLeftShiftScalar in place.
func (t *Tensor) BitwiseLeftShiftScalar_(v int) *Tensor {
	return callScalar_(&opBitwiseLeftShiftScalar_, t, Int(v))
}

// BitwiseRightShift shifts t's bits down by other, of integers or bools (torch.bitwise_right_shift).
func (t *Tensor) BitwiseRightShift(other *Tensor) *Tensor {
	return call(&opBitwiseRightShift, t, other)
}

// BitwiseRightShift_ is BitwiseRightShift in place.
func (t *Tensor) BitwiseRightShift_(other *Tensor) *Tensor {
	return call_(&opBitwiseRightShift_, t, other)
}

// BitwiseRightShiftScalar is BitwiseRightShift with a number.
func (t *Tensor) BitwiseRightShiftScalar(v int) *Tensor {
	return callScalar(&opBitwiseRightShiftScalar, t, Int(v))
}

// BitwiseRightShiftScalar_ is BitwiseRightShiftScalar in place.
func (t *Tensor) BitwiseRightShiftScalar_(v int) *Tensor {
	return callScalar_(&opBitwiseRightShiftScalar_, t, Int(v))
}

// BitwiseNot inverts the bits of integers, or bools (torch.bitwise_not).
func (t *Tensor) BitwiseNot() *Tensor { return call(&opBitwiseNot, t) }

// BitwiseNot_ is BitwiseNot in place.
func (t *Tensor) BitwiseNot_() *Tensor { return call_(&opBitwiseNot_, t) }

// IsNaN reports which elements are NaN, as a bool tensor (torch.isnan).
func (t *Tensor) IsNaN() *Tensor { return call(&opIsNaN, t) }

// IsInf reports which elements are infinite, as a bool tensor (torch.isinf).
func (t *Tensor) IsInf() *Tensor { return call(&opIsInf, t) }

// IsFinite reports which elements are neither infinite nor NaN, as a bool tensor (torch.isfinite).
func (t *Tensor) IsFinite() *Tensor { return call(&opIsFinite, t) }

// IsPosInf reports which elements are +Inf, as a bool tensor (torch.isposinf).
func (t *Tensor) IsPosInf() *Tensor { return call(&opIsPosInf, t) }

// IsNegInf reports which elements are -Inf, as a bool tensor (torch.isneginf).
func (t *Tensor) IsNegInf() *Tensor { return call(&opIsNegInf, t) }

// IsRealElem reports which elements have no imaginary part, as a bool tensor (torch.isreal).
func (t *Tensor) IsRealElem() *Tensor { return call(&opIsRealElem, t) }

// SignBit reports which elements have their sign bit set, -0 too, as a bool tensor (torch.signbit).
func (t *Tensor) SignBit() *Tensor { return call(&opSignBit, t) }

// Equal reports whether both tensors have the same shape and elements (torch.equal). It waits for the device.
func (t *Tensor) Equal(other *Tensor) bool {
	var a op.Args
	put(&a, &opEqual, t, other)
	return truth(&opEqual, &a)
}

// CloseOptions are the arguments of AllClose and IsClose. Nil stands for PyTorch's defaults, 1e-5 and 1e-8.
type CloseOptions struct {
	RTol, ATol *float64 // relative and absolute tolerance; nil: 1e-5 and 1e-8
	EqualNaN   bool     // NaN is close to NaN
}

func (c CloseOptions) write(a *op.Args) {
	rtol, atol := 1e-5, 1e-8
	if c.RTol != nil {
		rtol = *c.RTol
	}
	if c.ATol != nil {
		atol = *c.ATol
	}
	a.Float(rtol)
	a.Float(atol)
	a.Bool(c.EqualNaN)
}

// AllClose reports whether |t - other| <= atol + rtol * |other| holds everywhere (torch.allclose).
func (t *Tensor) AllClose(other *Tensor, opts ...CloseOptions) bool {
	var a op.Args
	put(&a, &opAllClose, t, other)
	one("AllClose", opts).write(&a)
	return truth(&opAllClose, &a)
}

// IsClose reports where |t - other| <= atol + rtol * |other|, as a bool tensor (torch.isclose).
func (t *Tensor) IsClose(other *Tensor, opts ...CloseOptions) *Tensor {
	var a op.Args
	put(&a, &opIsClose, t, other)
	one("IsClose", opts).write(&a)
	return result(&opIsClose, &a)
}

// IsIn reports which elements occur in values, as a bool tensor (torch.isin).
func (t *Tensor) IsIn(values *Tensor) *Tensor {
	var a op.Args
	put(&a, &opIsIn, t, values)
	a.Bool(false)
	a.Bool(false)
	return result(&opIsIn, &a)
}
