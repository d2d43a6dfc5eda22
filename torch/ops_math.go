package torch

import "github.com/golite/golite/internal/op"

var (
	opAbs           = op.Op{Name: "aten::abs"}
	opAbs_          = op.Op{Name: "aten::abs_"}
	opNeg           = op.Op{Name: "aten::neg"}
	opNeg_          = op.Op{Name: "aten::neg_"}
	opSign          = op.Op{Name: "aten::sign"}
	opSign_         = op.Op{Name: "aten::sign_"}
	opSgn           = op.Op{Name: "aten::sgn"}
	opSgn_          = op.Op{Name: "aten::sgn_"}
	opSquare        = op.Op{Name: "aten::square"}
	opSquare_       = op.Op{Name: "aten::square_"}
	opSqrt          = op.Op{Name: "aten::sqrt"}
	opSqrt_         = op.Op{Name: "aten::sqrt_"}
	opRsqrt         = op.Op{Name: "aten::rsqrt"}
	opRsqrt_        = op.Op{Name: "aten::rsqrt_"}
	opReciprocal    = op.Op{Name: "aten::reciprocal"}
	opReciprocal_   = op.Op{Name: "aten::reciprocal_"}
	opExp           = op.Op{Name: "aten::exp"}
	opExp_          = op.Op{Name: "aten::exp_"}
	opExp2          = op.Op{Name: "aten::exp2"}
	opExp2_         = op.Op{Name: "aten::exp2_"}
	opExpm1         = op.Op{Name: "aten::expm1"}
	opExpm1_        = op.Op{Name: "aten::expm1_"}
	opLog           = op.Op{Name: "aten::log"}
	opLog_          = op.Op{Name: "aten::log_"}
	opLog2          = op.Op{Name: "aten::log2"}
	opLog2_         = op.Op{Name: "aten::log2_"}
	opLog10         = op.Op{Name: "aten::log10"}
	opLog10_        = op.Op{Name: "aten::log10_"}
	opLog1p         = op.Op{Name: "aten::log1p"}
	opLog1p_        = op.Op{Name: "aten::log1p_"}
	opSin           = op.Op{Name: "aten::sin"}
	opSin_          = op.Op{Name: "aten::sin_"}
	opCos           = op.Op{Name: "aten::cos"}
	opCos_          = op.Op{Name: "aten::cos_"}
	opTan           = op.Op{Name: "aten::tan"}
	opTan_          = op.Op{Name: "aten::tan_"}
	opAsin          = op.Op{Name: "aten::asin"}
	opAsin_         = op.Op{Name: "aten::asin_"}
	opAcos          = op.Op{Name: "aten::acos"}
	opAcos_         = op.Op{Name: "aten::acos_"}
	opAtan          = op.Op{Name: "aten::atan"}
	opAtan_         = op.Op{Name: "aten::atan_"}
	opSinh          = op.Op{Name: "aten::sinh"}
	opSinh_         = op.Op{Name: "aten::sinh_"}
	opCosh          = op.Op{Name: "aten::cosh"}
	opCosh_         = op.Op{Name: "aten::cosh_"}
	opTanh          = op.Op{Name: "aten::tanh"}
	opTanh_         = op.Op{Name: "aten::tanh_"}
	opAsinh         = op.Op{Name: "aten::asinh"}
	opAsinh_        = op.Op{Name: "aten::asinh_"}
	opAcosh         = op.Op{Name: "aten::acosh"}
	opAcosh_        = op.Op{Name: "aten::acosh_"}
	opAtanh         = op.Op{Name: "aten::atanh"}
	opAtanh_        = op.Op{Name: "aten::atanh_"}
	opSinc          = op.Op{Name: "aten::sinc"}
	opSinc_         = op.Op{Name: "aten::sinc_"}
	opSigmoid       = op.Op{Name: "aten::sigmoid"}
	opSigmoid_      = op.Op{Name: "aten::sigmoid_"}
	opReLU          = op.Op{Name: "aten::relu"}
	opReLU_         = op.Op{Name: "aten::relu_"}
	opFloor         = op.Op{Name: "aten::floor"}
	opFloor_        = op.Op{Name: "aten::floor_"}
	opCeil          = op.Op{Name: "aten::ceil"}
	opCeil_         = op.Op{Name: "aten::ceil_"}
	opRound         = op.Op{Name: "aten::round"}
	opRound_        = op.Op{Name: "aten::round_"}
	opTrunc         = op.Op{Name: "aten::trunc"}
	opTrunc_        = op.Op{Name: "aten::trunc_"}
	opFrac          = op.Op{Name: "aten::frac"}
	opFrac_         = op.Op{Name: "aten::frac_"}
	opErf           = op.Op{Name: "aten::erf"}
	opErf_          = op.Op{Name: "aten::erf_"}
	opErfc          = op.Op{Name: "aten::erfc"}
	opErfc_         = op.Op{Name: "aten::erfc_"}
	opErfInv        = op.Op{Name: "aten::erfinv"}
	opErfInv_       = op.Op{Name: "aten::erfinv_"}
	opLgamma        = op.Op{Name: "aten::lgamma"}
	opLgamma_       = op.Op{Name: "aten::lgamma_"}
	opDigamma       = op.Op{Name: "aten::digamma"}
	opDigamma_      = op.Op{Name: "aten::digamma_"}
	opI0            = op.Op{Name: "aten::i0"}
	opI0_           = op.Op{Name: "aten::i0_"}
	opDeg2Rad       = op.Op{Name: "aten::deg2rad"}
	opDeg2Rad_      = op.Op{Name: "aten::deg2rad_"}
	opRad2Deg       = op.Op{Name: "aten::rad2deg"}
	opRad2Deg_      = op.Op{Name: "aten::rad2deg_"}
	opPositive      = op.Op{Name: "aten::positive"}
	opAngle         = op.Op{Name: "aten::angle"}
	opClamp         = op.Op{Name: "aten::clamp"}
	opClamp_        = op.Op{Name: "aten::clamp_"}
	opClampTensor   = op.Op{Name: "aten::clamp.Tensor"}
	opClampTensor_  = op.Op{Name: "aten::clamp_.Tensor"}
	opClampMin      = op.Op{Name: "aten::clamp_min"}
	opClampMin_     = op.Op{Name: "aten::clamp_min_"}
	opClampMax      = op.Op{Name: "aten::clamp_max"}
	opClampMax_     = op.Op{Name: "aten::clamp_max_"}
	opSoftmax       = op.Op{Name: "aten::softmax.int"}
	opLogSoftmax    = op.Op{Name: "aten::log_softmax.int"}
	opRoundDecimals = op.Op{Name: "aten::round.decimals"}
	opLogit         = op.Op{Name: "aten::logit"}
	opNanToNum      = op.Op{Name: "aten::nan_to_num"}
	opNanToNum_     = op.Op{Name: "aten::nan_to_num_"}
	opPolygamma     = op.Op{Name: "aten::polygamma"}
	opMvlgamma      = op.Op{Name: "aten::mvlgamma"}
	opFrexp         = op.Op{Name: "aten::frexp.Tensor"}
)

// Abs returns the absolute value (torch.abs).
func (t *Tensor) Abs() *Tensor { return call(&opAbs, t) }

// Abs_ is Abs in place.
func (t *Tensor) Abs_() *Tensor { return call_(&opAbs_, t) }

// Neg returns -t (torch.neg).
func (t *Tensor) Neg() *Tensor { return call(&opNeg, t) }

// Neg_ is Neg in place.
func (t *Tensor) Neg_() *Tensor { return call_(&opNeg_, t) }

// Sign returns -1, 0 or 1 (torch.sign).
func (t *Tensor) Sign() *Tensor { return call(&opSign, t) }

// Sign_ is Sign in place.
func (t *Tensor) Sign_() *Tensor { return call_(&opSign_, t) }

// Sgn is Sign, for complex numbers too (torch.sgn).
func (t *Tensor) Sgn() *Tensor { return call(&opSgn, t) }

// Sgn_ is Sgn in place.
func (t *Tensor) Sgn_() *Tensor { return call_(&opSgn_, t) }

// Square returns t * t (torch.square).
func (t *Tensor) Square() *Tensor { return call(&opSquare, t) }

// Square_ is Square in place.
func (t *Tensor) Square_() *Tensor { return call_(&opSquare_, t) }

// Sqrt returns the square root (torch.sqrt).
func (t *Tensor) Sqrt() *Tensor { return call(&opSqrt, t) }

// Sqrt_ is Sqrt in place.
func (t *Tensor) Sqrt_() *Tensor { return call_(&opSqrt_, t) }

// Rsqrt returns 1 / sqrt(t) (torch.rsqrt).
func (t *Tensor) Rsqrt() *Tensor { return call(&opRsqrt, t) }

// Rsqrt_ is Rsqrt in place.
func (t *Tensor) Rsqrt_() *Tensor { return call_(&opRsqrt_, t) }

// Reciprocal returns 1 / t (torch.reciprocal).
func (t *Tensor) Reciprocal() *Tensor { return call(&opReciprocal, t) }

// Reciprocal_ is Reciprocal in place.
func (t *Tensor) Reciprocal_() *Tensor { return call_(&opReciprocal_, t) }

// Exp returns e**t (torch.exp).
func (t *Tensor) Exp() *Tensor { return call(&opExp, t) }

// Exp_ is Exp in place.
func (t *Tensor) Exp_() *Tensor { return call_(&opExp_, t) }

// Exp2 returns 2**t (torch.exp2).
func (t *Tensor) Exp2() *Tensor { return call(&opExp2, t) }

// Exp2_ is Exp2 in place.
func (t *Tensor) Exp2_() *Tensor { return call_(&opExp2_, t) }

// Expm1 returns e**t - 1, exact near 0 (torch.expm1).
func (t *Tensor) Expm1() *Tensor { return call(&opExpm1, t) }

// Expm1_ is Expm1 in place.
func (t *Tensor) Expm1_() *Tensor { return call_(&opExpm1_, t) }

// Log returns the natural logarithm (torch.log).
func (t *Tensor) Log() *Tensor { return call(&opLog, t) }

// Log_ is Log in place.
func (t *Tensor) Log_() *Tensor { return call_(&opLog_, t) }

// Log2 returns the base-2 logarithm (torch.log2).
func (t *Tensor) Log2() *Tensor { return call(&opLog2, t) }

// Log2_ is Log2 in place.
func (t *Tensor) Log2_() *Tensor { return call_(&opLog2_, t) }

// Log10 returns the base-10 logarithm (torch.log10).
func (t *Tensor) Log10() *Tensor { return call(&opLog10, t) }

// Log10_ is Log10 in place.
func (t *Tensor) Log10_() *Tensor { return call_(&opLog10_, t) }

// Log1p returns log(1 + t), exact near 0 (torch.log1p).
func (t *Tensor) Log1p() *Tensor { return call(&opLog1p, t) }

// Log1p_ is Log1p in place.
func (t *Tensor) Log1p_() *Tensor { return call_(&opLog1p_, t) }

// Sin returns the sine of radians (torch.sin).
func (t *Tensor) Sin() *Tensor { return call(&opSin, t) }

// Sin_ is Sin in place.
func (t *Tensor) Sin_() *Tensor { return call_(&opSin_, t) }

// Cos returns the cosine of radians (torch.cos).
func (t *Tensor) Cos() *Tensor { return call(&opCos, t) }

// Cos_ is Cos in place.
func (t *Tensor) Cos_() *Tensor { return call_(&opCos_, t) }

// Tan returns the tangent of radians (torch.tan).
func (t *Tensor) Tan() *Tensor { return call(&opTan, t) }

// Tan_ is Tan in place.
func (t *Tensor) Tan_() *Tensor { return call_(&opTan_, t) }

// Asin returns the arcsine in radians (torch.asin).
func (t *Tensor) Asin() *Tensor { return call(&opAsin, t) }

// Asin_ is Asin in place.
func (t *Tensor) Asin_() *Tensor { return call_(&opAsin_, t) }

// Acos returns the arccosine in radians (torch.acos).
func (t *Tensor) Acos() *Tensor { return call(&opAcos, t) }

// Acos_ is Acos in place.
func (t *Tensor) Acos_() *Tensor { return call_(&opAcos_, t) }

// Atan returns the arctangent in radians (torch.atan).
func (t *Tensor) Atan() *Tensor { return call(&opAtan, t) }

// Atan_ is Atan in place.
func (t *Tensor) Atan_() *Tensor { return call_(&opAtan_, t) }

// Sinh returns the hyperbolic sine (torch.sinh).
func (t *Tensor) Sinh() *Tensor { return call(&opSinh, t) }

// Sinh_ is Sinh in place.
func (t *Tensor) Sinh_() *Tensor { return call_(&opSinh_, t) }

// Cosh returns the hyperbolic cosine (torch.cosh).
func (t *Tensor) Cosh() *Tensor { return call(&opCosh, t) }

// Cosh_ is Cosh in place.
func (t *Tensor) Cosh_() *Tensor { return call_(&opCosh_, t) }

// Tanh returns the hyperbolic tangent (torch.tanh).
func (t *Tensor) Tanh() *Tensor { return call(&opTanh, t) }

// Tanh_ is Tanh in place.
func (t *Tensor) Tanh_() *Tensor { return call_(&opTanh_, t) }

// Asinh returns the inverse hyperbolic sine (torch.asinh).
func (t *Tensor) Asinh() *Tensor { return call(&opAsinh, t) }

// Asinh_ is Asinh in place.
func (t *Tensor) Asinh_() *Tensor { return call_(&opAsinh_, t) }

// Acosh returns the inverse hyperbolic cosine (torch.acosh).
func (t *Tensor) Acosh() *Tensor { return call(&opAcosh, t) }

// Acosh_ is Acosh in place.
func (t *Tensor) Acosh_() *Tensor { return call_(&opAcosh_, t) }

// Atanh returns the inverse hyperbolic tangent (torch.atanh).
func (t *Tensor) Atanh() *Tensor { return call(&opAtanh, t) }

// Atanh_ is Atanh in place.
func (t *Tensor) Atanh_() *Tensor { return call_(&opAtanh_, t) }

// Sinc returns sin(pi t) / (pi t) (torch.sinc).
func (t *Tensor) Sinc() *Tensor { return call(&opSinc, t) }

// Sinc_ is Sinc in place.
func (t *Tensor) Sinc_() *Tensor { return call_(&opSinc_, t) }

// Sigmoid returns 1 / (1 + e**-t) (torch.sigmoid).
func (t *Tensor) Sigmoid() *Tensor { return call(&opSigmoid, t) }

// Sigmoid_ is Sigmoid in place.
func (t *Tensor) Sigmoid_() *Tensor { return call_(&opSigmoid_, t) }

// ReLU returns t where it is positive, else 0 (torch.relu).
func (t *Tensor) ReLU() *Tensor { return call(&opReLU, t) }

// ReLU_ is ReLU in place.
func (t *Tensor) ReLU_() *Tensor { return call_(&opReLU_, t) }

// Floor rounds down (torch.floor).
func (t *Tensor) Floor() *Tensor { return call(&opFloor, t) }

// Floor_ is Floor in place.
func (t *Tensor) Floor_() *Tensor { return call_(&opFloor_, t) }

// Ceil rounds up (torch.ceil).
func (t *Tensor) Ceil() *Tensor { return call(&opCeil, t) }

// Ceil_ is Ceil in place.
func (t *Tensor) Ceil_() *Tensor { return call_(&opCeil_, t) }

// Round rounds to the nearest whole number, halves to the even one (torch.round).
func (t *Tensor) Round() *Tensor { return call(&opRound, t) }

// Round_ is Round in place.
func (t *Tensor) Round_() *Tensor { return call_(&opRound_, t) }

// Trunc rounds towards zero (torch.trunc).
func (t *Tensor) Trunc() *Tensor { return call(&opTrunc, t) }

// Trunc_ is Trunc in place.
func (t *Tensor) Trunc_() *Tensor { return call_(&opTrunc_, t) }

// Frac returns the part behind the point, with t's sign (torch.frac).
func (t *Tensor) Frac() *Tensor { return call(&opFrac, t) }

// Frac_ is Frac in place.
func (t *Tensor) Frac_() *Tensor { return call_(&opFrac_, t) }

// Erf returns the error function (torch.erf).
func (t *Tensor) Erf() *Tensor { return call(&opErf, t) }

// Erf_ is Erf in place.
func (t *Tensor) Erf_() *Tensor { return call_(&opErf_, t) }

// Erfc returns 1 - erf(t) (torch.erfc).
func (t *Tensor) Erfc() *Tensor { return call(&opErfc, t) }

// Erfc_ is Erfc in place.
func (t *Tensor) Erfc_() *Tensor { return call_(&opErfc_, t) }

// ErfInv returns the inverse of the error function (torch.erfinv).
func (t *Tensor) ErfInv() *Tensor { return call(&opErfInv, t) }

// ErfInv_ is ErfInv in place.
func (t *Tensor) ErfInv_() *Tensor { return call_(&opErfInv_, t) }

// Lgamma returns the logarithm of the gamma function's magnitude (torch.lgamma).
func (t *Tensor) Lgamma() *Tensor { return call(&opLgamma, t) }

// Lgamma_ is Lgamma in place.
func (t *Tensor) Lgamma_() *Tensor { return call_(&opLgamma_, t) }

// Digamma returns the logarithmic derivative of the gamma function (torch.digamma).
func (t *Tensor) Digamma() *Tensor { return call(&opDigamma, t) }

// Digamma_ is Digamma in place.
func (t *Tensor) Digamma_() *Tensor { return call_(&opDigamma_, t) }

// I0 returns the modified Bessel function of the first kind and order 0 (torch.i0).
func (t *Tensor) I0() *Tensor { return call(&opI0, t) }

// I0_ is I0 in place.
func (t *Tensor) I0_() *Tensor { return call_(&opI0_, t) }

// Deg2Rad turns degrees into radians (torch.deg2rad).
func (t *Tensor) Deg2Rad() *Tensor { return call(&opDeg2Rad, t) }

// Deg2Rad_ is Deg2Rad in place.
func (t *Tensor) Deg2Rad_() *Tensor { return call_(&opDeg2Rad_, t) }

// Rad2Deg turns radians into degrees (torch.rad2deg).
func (t *Tensor) Rad2Deg() *Tensor { return call(&opRad2Deg, t) }

// Rad2Deg_ is Rad2Deg in place.
func (t *Tensor) Rad2Deg_() *Tensor { return call_(&opRad2Deg_, t) }

// Positive returns t itself, as a new tensor (torch.positive).
func (t *Tensor) Positive() *Tensor { return call(&opPositive, t) }

// Angle returns the angle of a complex number in radians (torch.angle).
func (t *Tensor) Angle() *Tensor { return call(&opAngle, t) }

// Clamp brings every element into the range from low to high, both included (torch.clamp). ClampMin and ClampMax have
// one bound.
func (t *Tensor) Clamp(low, high float64) *Tensor {
	return callScalar(&opClamp, t, Number(low), Number(high))
}

// Clamp_ is Clamp in place.
func (t *Tensor) Clamp_(low, high float64) *Tensor {
	return callScalar_(&opClamp_, t, Number(low), Number(high))
}

// ClampTensor is Clamp with bounds for each element; nil is no bound.
func (t *Tensor) ClampTensor(low, high *Tensor) *Tensor {
	var a op.Args
	put(&a, &opClampTensor, t)
	abi.Tensor(&a, low)
	abi.Tensor(&a, high)
	return result(&opClampTensor, &a)
}

// ClampTensor_ is ClampTensor in place.
func (t *Tensor) ClampTensor_(low, high *Tensor) *Tensor {
	var a op.Args
	put(&a, &opClampTensor_, t)
	abi.Tensor(&a, low)
	abi.Tensor(&a, high)
	return inPlace(&opClampTensor_, &a, t)
}

// ClampMin raises every element below low to it (torch.clamp_min).
func (t *Tensor) ClampMin(low float64) *Tensor { return callScalar(&opClampMin, t, Number(low)) }

// ClampMin_ is ClampMin in place.
func (t *Tensor) ClampMin_(low float64) *Tensor { return callScalar_(&opClampMin_, t, Number(low)) }

// ClampMax lowers every element above high to it (torch.clamp_max).
func (t *Tensor) ClampMax(high float64) *Tensor { return callScalar(&opClampMax, t, Number(high)) }

// ClampMax_ is ClampMax in place.
func (t *Tensor) ClampMax_(high float64) *Tensor { return callScalar_(&opClampMax_, t, Number(high)) }

// Softmax returns e**t, scaled so that it sums to 1 over dim (torch.softmax).
func (t *Tensor) Softmax(dim int) *Tensor { return softmax(&opSoftmax, t, dim) }

// LogSoftmax returns the logarithm of Softmax, computed so that nothing overflows (torch.log_softmax).
func (t *Tensor) LogSoftmax(dim int) *Tensor { return softmax(&opLogSoftmax, t, dim) }

func softmax(o *op.Op, t *Tensor, dim int) *Tensor {
	var a op.Args
	put(&a, o, t)
	a.Int(int64(dim))
	a.None()
	return result(o, &a)
}

// RoundDecimals rounds to that many decimals, halves to the even digit; negative ones round tens, hundreds …
// (torch.round with decimals).
func (t *Tensor) RoundDecimals(decimals int) *Tensor { return callInt(&opRoundDecimals, t, decimals) }

// Logit returns log(t / (1 - t)). With eps, t is brought into the range from eps to 1 - eps first (torch.logit).
func (t *Tensor) Logit(eps ...float64) *Tensor {
	var a op.Args
	put(&a, &opLogit, t)
	if len(eps) == 0 {
		a.None()
	} else {
		a.Float(optional(&opLogit, eps, 0))
	}
	return result(&opLogit, &a)
}

// NanToNum replaces NaN by 0 and the infinities by the type's largest and smallest numbers. Numbers given replace, in
// this order, NaN, +Inf and -Inf (torch.nan_to_num).
func (t *Tensor) NanToNum(replacements ...float64) *Tensor {
	var a op.Args
	nanToNum(&a, &opNanToNum, t, replacements)
	return result(&opNanToNum, &a)
}

// NanToNum_ is NanToNum in place.
func (t *Tensor) NanToNum_(replacements ...float64) *Tensor {
	var a op.Args
	nanToNum(&a, &opNanToNum_, t, replacements)
	return inPlace(&opNanToNum_, &a, t)
}

func nanToNum(a *op.Args, o *op.Op, t *Tensor, replacements []float64) {
	if len(replacements) > 3 {
		Fail(o.Name, "want at most 3 replacements (of NaN, +Inf and -Inf), got %d", len(replacements))
	}
	put(a, o, t)
	for i := range 3 {
		if i < len(replacements) {
			a.Float(replacements[i])
		} else {
			a.None()
		}
	}
}

// Polygamma returns the n-th derivative of Digamma (torch.polygamma).
func (t *Tensor) Polygamma(n int) *Tensor {
	var a op.Args
	a.Int(int64(n))
	put(&a, &opPolygamma, t)
	return result(&opPolygamma, &a)
}

// Mvlgamma returns the logarithm of the multivariate gamma function of dimension p (torch.mvlgamma).
func (t *Tensor) Mvlgamma(p int) *Tensor { return callInt(&opMvlgamma, t, p) }

// Frexp splits t into a mantissa in (-1, 1) and an int32 exponent of 2 (torch.frexp).
func (t *Tensor) Frexp() (mantissa, exponent *Tensor) {
	var a op.Args
	put(&a, &opFrexp, t)
	return pair(&opFrexp, &a)
}
