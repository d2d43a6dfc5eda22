package torch

import "github.com/golite/golite/internal/op"

var (
	opAdd               = op.Op{Name: "aten::add.Tensor"}
	opAdd_              = op.Op{Name: "aten::add_.Tensor"}
	opAddScalar         = op.Op{Name: "aten::add.Scalar"}
	opAddScalar_        = op.Op{Name: "aten::add_.Scalar"}
	opSub               = op.Op{Name: "aten::sub.Tensor"}
	opSub_              = op.Op{Name: "aten::sub_.Tensor"}
	opSubScalar         = op.Op{Name: "aten::sub.Scalar"}
	opSubScalar_        = op.Op{Name: "aten::sub_.Scalar"}
	opRsub              = op.Op{Name: "aten::rsub.Tensor"}
	opRsubScalar        = op.Op{Name: "aten::rsub.Scalar"}
	opMul               = op.Op{Name: "aten::mul.Tensor"}
	opMul_              = op.Op{Name: "aten::mul_.Tensor"}
	opMulScalar         = op.Op{Name: "aten::mul.Scalar"}
	opMulScalar_        = op.Op{Name: "aten::mul_.Scalar"}
	opDiv               = op.Op{Name: "aten::div.Tensor"}
	opDiv_              = op.Op{Name: "aten::div_.Tensor"}
	opDivScalar         = op.Op{Name: "aten::div.Scalar"}
	opDivScalar_        = op.Op{Name: "aten::div_.Scalar"}
	opDivMode           = op.Op{Name: "aten::div.Tensor_mode"}
	opDivMode_          = op.Op{Name: "aten::div_.Tensor_mode"}
	opDivScalarMode     = op.Op{Name: "aten::div.Scalar_mode"}
	opFloorDivide       = op.Op{Name: "aten::floor_divide"}
	opFloorDivideScalar = op.Op{Name: "aten::floor_divide.Scalar"}
	opFloorDivide_      = op.Op{Name: "aten::floor_divide_.Tensor"}
	opRemainder         = op.Op{Name: "aten::remainder.Tensor"}
	opRemainder_        = op.Op{Name: "aten::remainder_.Tensor"}
	opRemainderScalar   = op.Op{Name: "aten::remainder.Scalar"}
	opRemainderScalar_  = op.Op{Name: "aten::remainder_.Scalar"}
	opFmod              = op.Op{Name: "aten::fmod.Tensor"}
	opFmod_             = op.Op{Name: "aten::fmod_.Tensor"}
	opFmodScalar        = op.Op{Name: "aten::fmod.Scalar"}
	opFmodScalar_       = op.Op{Name: "aten::fmod_.Scalar"}
	opPow               = op.Op{Name: "aten::pow.Tensor_Scalar"}
	opPow_              = op.Op{Name: "aten::pow_.Scalar"}
	opPowTensor         = op.Op{Name: "aten::pow.Tensor_Tensor"}
	opPowTensor_        = op.Op{Name: "aten::pow_.Tensor"}
	opPowScalar         = op.Op{Name: "aten::pow.Scalar"}
	opFloatPower        = op.Op{Name: "aten::float_power.Tensor_Tensor"}
	opFloatPowerScalar  = op.Op{Name: "aten::float_power.Tensor_Scalar"}
	opAddCMul           = op.Op{Name: "aten::addcmul"}
	opAddCMul_          = op.Op{Name: "aten::addcmul_"}
	opAddCDiv           = op.Op{Name: "aten::addcdiv"}
	opAddCDiv_          = op.Op{Name: "aten::addcdiv_"}
	opLerp              = op.Op{Name: "aten::lerp.Scalar"}
	opLerp_             = op.Op{Name: "aten::lerp_.Scalar"}
	opLerpTensor        = op.Op{Name: "aten::lerp.Tensor"}
	opLerpTensor_       = op.Op{Name: "aten::lerp_.Tensor"}
	opMaximum           = op.Op{Name: "aten::maximum"}
	opMinimum           = op.Op{Name: "aten::minimum"}
	opFMax              = op.Op{Name: "aten::fmax"}
	opFMin              = op.Op{Name: "aten::fmin"}
	opAtan2             = op.Op{Name: "aten::atan2"}
	opAtan2_            = op.Op{Name: "aten::atan2_"}
	opHypot             = op.Op{Name: "aten::hypot"}
	opHypot_            = op.Op{Name: "aten::hypot_"}
	opNextAfter         = op.Op{Name: "aten::nextafter"}
	opNextAfter_        = op.Op{Name: "aten::nextafter_"}
	opLogAddExp         = op.Op{Name: "aten::logaddexp"}
	opLogAddExp2        = op.Op{Name: "aten::logaddexp2"}
	opGCD               = op.Op{Name: "aten::gcd"}
	opGCD_              = op.Op{Name: "aten::gcd_"}
	opLCM               = op.Op{Name: "aten::lcm"}
	opLCM_              = op.Op{Name: "aten::lcm_"}
	opHeaviside         = op.Op{Name: "aten::heaviside"}
	opHeaviside_        = op.Op{Name: "aten::heaviside_"}
	opCopysign          = op.Op{Name: "aten::copysign.Tensor"}
	opCopysign_         = op.Op{Name: "aten::copysign_.Tensor"}
	opCopysignScalar    = op.Op{Name: "aten::copysign.Scalar"}
	opCopysignScalar_   = op.Op{Name: "aten::copysign_.Scalar"}
	opXLogY             = op.Op{Name: "aten::xlogy.Tensor"}
	opXLogY_            = op.Op{Name: "aten::xlogy_.Tensor"}
	opLdExp             = op.Op{Name: "aten::ldexp.Tensor"}
	opLdExp_            = op.Op{Name: "aten::ldexp_"}
)

// Add returns t + other; shapes are broadcast (torch.add).
func (t *Tensor) Add(other *Tensor) *Tensor { return callScaled(&opAdd, 1, t, other) }

// Add_ is Add in place.
func (t *Tensor) Add_(other *Tensor) *Tensor { return callScaled_(&opAdd_, 1, t, other) }

// AddAlpha is Add with other multiplied by alpha first.
func (t *Tensor) AddAlpha(other *Tensor, alpha float64) *Tensor {
	return callScaled(&opAdd, alpha, t, other)
}

// AddAlpha_ is AddAlpha in place.
func (t *Tensor) AddAlpha_(other *Tensor, alpha float64) *Tensor {
	return callScaled_(&opAdd_, alpha, t, other)
}

// AddScalar returns t + v; a whole v keeps an integer tensor's type (torch.add).
func (t *Tensor) AddScalar(v float64) *Tensor { return callScalar(&opAddScalar, t, Number(v), Int(1)) }

// AddScalar_ is AddScalar in place.
func (t *Tensor) AddScalar_(v float64) *Tensor {
	return callScalar_(&opAddScalar_, t, Number(v), Int(1))
}

// Sub returns t - other; shapes are broadcast (torch.sub).
func (t *Tensor) Sub(other *Tensor) *Tensor { return callScaled(&opSub, 1, t, other) }

// Sub_ is Sub in place.
func (t *Tensor) Sub_(other *Tensor) *Tensor { return callScaled_(&opSub_, 1, t, other) }

// SubAlpha is Sub with other multiplied by alpha first.
func (t *Tensor) SubAlpha(other *Tensor, alpha float64) *Tensor {
	return callScaled(&opSub, alpha, t, other)
}

// SubAlpha_ is SubAlpha in place.
func (t *Tensor) SubAlpha_(other *Tensor, alpha float64) *Tensor {
	return callScaled_(&opSub_, alpha, t, other)
}

// SubScalar returns t - v (torch.sub).
func (t *Tensor) SubScalar(v float64) *Tensor { return callScalar(&opSubScalar, t, Number(v), Int(1)) }

// SubScalar_ is SubScalar in place.
func (t *Tensor) SubScalar_(v float64) *Tensor {
	return callScalar_(&opSubScalar_, t, Number(v), Int(1))
}

// Rsub returns other - t (torch.rsub).
func (t *Tensor) Rsub(other *Tensor) *Tensor { return callScaled(&opRsub, 1, t, other) }

// RsubScalar returns v - t (torch.rsub).
func (t *Tensor) RsubScalar(v float64) *Tensor {
	return callScalar(&opRsubScalar, t, Number(v), Int(1))
}

// Mul returns t * other; shapes are broadcast (torch.mul).
func (t *Tensor) Mul(other *Tensor) *Tensor { return call(&opMul, t, other) }

// Mul_ is Mul in place.
func (t *Tensor) Mul_(other *Tensor) *Tensor { return call_(&opMul_, t, other) }

// MulScalar returns t * v; a whole v keeps an integer tensor's type (torch.mul).
func (t *Tensor) MulScalar(v float64) *Tensor { return callScalar(&opMulScalar, t, Number(v)) }

// MulScalar_ is MulScalar in place.
func (t *Tensor) MulScalar_(v float64) *Tensor {
	if d := t.DType(); d == Float16 || d == BFloat16 {
		// aten::mul_.Scalar rounds v to 16 bits first, which Python's mul_ and aten::mul.Scalar don't.
		Scope(func() { call_(&opMul_, t, Options{DType: Float64}.Scalar(v)) })
		return t
	}
	return callScalar_(&opMulScalar_, t, Number(v))
}

// Div returns t / other, of a floating type for integers (torch.div).
func (t *Tensor) Div(other *Tensor) *Tensor { return call(&opDiv, t, other) }

// Div_ is Div in place.
func (t *Tensor) Div_(other *Tensor) *Tensor { return call_(&opDiv_, t, other) }

// DivScalar returns t / v, of a floating type for integers (torch.div).
func (t *Tensor) DivScalar(v float64) *Tensor { return callScalar(&opDivScalar, t, Number(v)) }

// DivScalar_ is DivScalar in place.
func (t *Tensor) DivScalar_(v float64) *Tensor { return callScalar_(&opDivScalar_, t, Number(v)) }

// Rounding is how DivMode rounds a quotient to a whole number.
//
// RoundTrunc rounds towards zero, RoundFloor down.
type Rounding string

// Rounding modes of torch.div.
const (
	RoundTrunc Rounding = "trunc" // towards zero, as Go divides integers
	RoundFloor Rounding = "floor" // down, as Python's //
)

// DivMode returns t / other, rounded (torch.div with rounding_mode).
func (t *Tensor) DivMode(other *Tensor, mode Rounding) *Tensor {
	var a op.Args
	put(&a, &opDivMode, t, other)
	a.String(string(mode))
	return result(&opDivMode, &a)
}

// DivMode_ is DivMode in place.
func (t *Tensor) DivMode_(other *Tensor, mode Rounding) *Tensor {
	var a op.Args
	put(&a, &opDivMode_, t, other)
	a.String(string(mode))
	return inPlace(&opDivMode_, &a, t)
}

// DivScalarMode returns t / v, rounded (torch.div with rounding_mode).
func (t *Tensor) DivScalarMode(v float64, mode Rounding) *Tensor {
	var a op.Args
	put(&a, &opDivScalarMode, t)
	Number(v).write(&a)
	a.String(string(mode))
	return result(&opDivScalarMode, &a)
}

// RdivScalar returns v / t (torch's v / tensor).
func (t *Tensor) RdivScalar(v float64) *Tensor { return t.Reciprocal().MulScalar(v) }

// FloorDivide returns t / other rounded down, Python's // (torch.floor_divide).
func (t *Tensor) FloorDivide(other *Tensor) *Tensor { return call(&opFloorDivide, t, other) }

// FloorDivide_ is FloorDivide in place.
func (t *Tensor) FloorDivide_(other *Tensor) *Tensor { return call_(&opFloorDivide_, t, other) }

// FloorDivideScalar returns t / v rounded down (torch.floor_divide).
func (t *Tensor) FloorDivideScalar(v float64) *Tensor {
	return callScalar(&opFloorDivideScalar, t, Number(v))
}

// Remainder returns t modulo other with other's sign, Python's % (torch.remainder).
func (t *Tensor) Remainder(other *Tensor) *Tensor { return call(&opRemainder, t, other) }

// Remainder_ is Remainder in place.
func (t *Tensor) Remainder_(other *Tensor) *Tensor { return call_(&opRemainder_, t, other) }

// RemainderScalar returns t modulo v with v's sign, Python's % (torch.remainder).
func (t *Tensor) RemainderScalar(v float64) *Tensor {
	return callScalar(&opRemainderScalar, t, Number(v))
}

// RemainderScalar_ is RemainderScalar in place.
func (t *Tensor) RemainderScalar_(v float64) *Tensor {
	return callScalar_(&opRemainderScalar_, t, Number(v))
}

// Fmod returns t modulo other with t's sign, C's fmod (torch.fmod).
func (t *Tensor) Fmod(other *Tensor) *Tensor { return call(&opFmod, t, other) }

// Fmod_ is Fmod in place.
func (t *Tensor) Fmod_(other *Tensor) *Tensor { return call_(&opFmod_, t, other) }

// FmodScalar returns t modulo v with t's sign, C's fmod (torch.fmod).
func (t *Tensor) FmodScalar(v float64) *Tensor { return callScalar(&opFmodScalar, t, Number(v)) }

// FmodScalar_ is FmodScalar in place.
func (t *Tensor) FmodScalar_(v float64) *Tensor { return callScalar_(&opFmodScalar_, t, Number(v)) }

// Pow returns t to the power of exponent (torch.pow).
func (t *Tensor) Pow(exponent float64) *Tensor { return callScalar(&opPow, t, Number(exponent)) }

// Pow_ is Pow in place.
func (t *Tensor) Pow_(exponent float64) *Tensor { return callScalar_(&opPow_, t, Number(exponent)) }

// PowTensor returns t to the power of exponent, element by element (torch.pow).
func (t *Tensor) PowTensor(exponent *Tensor) *Tensor { return call(&opPowTensor, t, exponent) }

// PowTensor_ is PowTensor in place.
func (t *Tensor) PowTensor_(exponent *Tensor) *Tensor { return call_(&opPowTensor_, t, exponent) }

// PowScalar returns base to the power of each element of exponent (torch.pow with a number first).
func PowScalar(base float64, exponent *Tensor) *Tensor {
	var a op.Args
	Number(base).write(&a)
	put(&a, &opPowScalar, exponent)
	return result(&opPowScalar, &a)
}

// FloatPower returns t to the power of exponent, computed in float64 (torch.float_power).
func (t *Tensor) FloatPower(exponent *Tensor) *Tensor { return call(&opFloatPower, t, exponent) }

// FloatPowerScalar returns t to the power of exponent, computed in float64 (torch.float_power).
func (t *Tensor) FloatPowerScalar(exponent float64) *Tensor {
	return callScalar(&opFloatPowerScalar, t, Number(exponent))
}

// AddCMul returns t + value * a * b (torch.addcmul).
func (t *Tensor) AddCMul(a, b *Tensor, value float64) *Tensor {
	return callScaled(&opAddCMul, value, t, a, b)
}

// AddCMul_ is AddCMul in place.
func (t *Tensor) AddCMul_(a, b *Tensor, value float64) *Tensor {
	return callScaled_(&opAddCMul_, value, t, a, b)
}

// AddCDiv returns t + value * a / b (torch.addcdiv).
func (t *Tensor) AddCDiv(a, b *Tensor, value float64) *Tensor {
	return callScaled(&opAddCDiv, value, t, a, b)
}

// AddCDiv_ is AddCDiv in place.
func (t *Tensor) AddCDiv_(a, b *Tensor, value float64) *Tensor {
	return callScaled_(&opAddCDiv_, value, t, a, b)
}

// Lerp returns t + weight * (end - t) (torch.lerp).
func (t *Tensor) Lerp(end *Tensor, weight float64) *Tensor {
	return callScaled(&opLerp, weight, t, end)
}

// Lerp_ is Lerp in place: a running mean.
func (t *Tensor) Lerp_(end *Tensor, weight float64) *Tensor {
	return callScaled_(&opLerp_, weight, t, end)
}

// LerpTensor is Lerp with a weight for each element.
func (t *Tensor) LerpTensor(end, weight *Tensor) *Tensor { return call(&opLerpTensor, t, end, weight) }

// LerpTensor_ is LerpTensor in place.
func (t *Tensor) LerpTensor_(end, weight *Tensor) *Tensor {
	return call_(&opLerpTensor_, t, end, weight)
}

// Maximum returns the larger of t and other, element by element; NaN wins (torch.maximum).
func (t *Tensor) Maximum(other *Tensor) *Tensor { return call(&opMaximum, t, other) }

// Minimum returns the smaller of t and other, element by element; NaN wins (torch.minimum).
func (t *Tensor) Minimum(other *Tensor) *Tensor { return call(&opMinimum, t, other) }

// FMax returns the larger of t and other, element by element; NaN loses (torch.fmax).
func (t *Tensor) FMax(other *Tensor) *Tensor { return call(&opFMax, t, other) }

// FMin returns the smaller of t and other, element by element; NaN loses (torch.fmin).
func (t *Tensor) FMin(other *Tensor) *Tensor { return call(&opFMin, t, other) }

// Atan2 returns the angle of the point (other, t), in radians (torch.atan2).
func (t *Tensor) Atan2(other *Tensor) *Tensor { return call(&opAtan2, t, other) }

// Atan2_ is Atan2 in place.
func (t *Tensor) Atan2_(other *Tensor) *Tensor { return call_(&opAtan2_, t, other) }

// Hypot returns the length of the hypotenuse of t and other (torch.hypot).
func (t *Tensor) Hypot(other *Tensor) *Tensor { return call(&opHypot, t, other) }

// Hypot_ is Hypot in place.
func (t *Tensor) Hypot_(other *Tensor) *Tensor { return call_(&opHypot_, t, other) }

// NextAfter returns the next number after t towards other (torch.nextafter).
func (t *Tensor) NextAfter(other *Tensor) *Tensor { return call(&opNextAfter, t, other) }

// NextAfter_ is NextAfter in place.
func (t *Tensor) NextAfter_(other *Tensor) *Tensor { return call_(&opNextAfter_, t, other) }

// LogAddExp returns log(exp(t) + exp(other)) (torch.logaddexp).
func (t *Tensor) LogAddExp(other *Tensor) *Tensor { return call(&opLogAddExp, t, other) }

// LogAddExp2 returns the base-2 log of 2**t + 2**other (torch.logaddexp2).
func (t *Tensor) LogAddExp2(other *Tensor) *Tensor { return call(&opLogAddExp2, t, other) }

// GCD returns the greatest common divisor of integers (torch.gcd).
func (t *Tensor) GCD(other *Tensor) *Tensor { return call(&opGCD, t, other) }

// GCD_ is GCD in place.
func (t *Tensor) GCD_(other *Tensor) *Tensor { return call_(&opGCD_, t, other) }

// LCM returns the least common multiple of integers (torch.lcm).
func (t *Tensor) LCM(other *Tensor) *Tensor { return call(&opLCM, t, other) }

// LCM_ is LCM in place.
func (t *Tensor) LCM_(other *Tensor) *Tensor { return call_(&opLCM_, t, other) }

// Heaviside returns 0 where t < 0, 1 where t > 0, and other where t is 0 (torch.heaviside).
func (t *Tensor) Heaviside(other *Tensor) *Tensor { return call(&opHeaviside, t, other) }

// Heaviside_ is Heaviside in place.
func (t *Tensor) Heaviside_(other *Tensor) *Tensor { return call_(&opHeaviside_, t, other) }

// Copysign returns t's magnitude with other's sign (torch.copysign).
func (t *Tensor) Copysign(other *Tensor) *Tensor { return call(&opCopysign, t, other) }

// Copysign_ is Copysign in place.
func (t *Tensor) Copysign_(other *Tensor) *Tensor { return call_(&opCopysign_, t, other) }

// CopysignScalar returns t's magnitude with v's sign (torch.copysign).
func (t *Tensor) CopysignScalar(v float64) *Tensor {
	return callScalar(&opCopysignScalar, t, Number(v))
}

// CopysignScalar_ is CopysignScalar in place.
func (t *Tensor) CopysignScalar_(v float64) *Tensor {
	return callScalar_(&opCopysignScalar_, t, Number(v))
}

// XLogY returns t * log(other), 0 where t is 0 (torch.xlogy).
func (t *Tensor) XLogY(other *Tensor) *Tensor { return call(&opXLogY, t, other) }

// XLogY_ is XLogY in place.
func (t *Tensor) XLogY_(other *Tensor) *Tensor { return call_(&opXLogY_, t, other) }

// LdExp returns t * 2**other (torch.ldexp).
func (t *Tensor) LdExp(other *Tensor) *Tensor { return call(&opLdExp, t, other) }

// LdExp_ is LdExp in place.
func (t *Tensor) LdExp_(other *Tensor) *Tensor { return call_(&opLdExp_, t, other) }
