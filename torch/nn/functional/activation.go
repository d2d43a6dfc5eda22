package functional

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// ReLU is max(x, 0), element by element (torch.nn.functional.relu).
func ReLU(x *torch.Tensor) *torch.Tensor { return aten.Relu(x) }

// ReLU_ is ReLU in place, and returns x (torch.nn.functional.relu_).
func ReLU_(x *torch.Tensor) *torch.Tensor { return aten.Relu_(x) }

// ReLU6 is min(max(x, 0), 6) (torch.nn.functional.relu6).
func ReLU6(x *torch.Tensor) *torch.Tensor { return aten.Relu6(x) }

// ReLU6_ is ReLU6 in place, and returns x (torch.nn.functional.relu6 with inplace=True).
func ReLU6_(x *torch.Tensor) *torch.Tensor { return aten.Relu6_(x) }

// LeakyReLU is x where it is positive, else x times the negative slope, by default 0.01
// (torch.nn.functional.leaky_relu).
func LeakyReLU(x *torch.Tensor, negativeSlope ...float64) *torch.Tensor {
	return aten.LeakyRelu(x, torch.Float(only("F.LeakyReLU", negativeSlope, 0.01)))
}

// LeakyReLU_ is LeakyReLU in place, and returns x (torch.nn.functional.leaky_relu_).
func LeakyReLU_(x *torch.Tensor, negativeSlope ...float64) *torch.Tensor {
	return aten.LeakyRelu_(x, torch.Float(only("F.LeakyReLU_", negativeSlope, 0.01)))
}

// PReLU is x where it is positive, else x times weight, which has one element or one for each channel, dimension 1
// (torch.nn.functional.prelu).
func PReLU(x, weight *torch.Tensor) *torch.Tensor { return aten.Prelu(x, weight) }

// RReLUOptions are RReLU's optional arguments.
type RReLUOptions struct {
	Lower    *float64 // default 1/8
	Upper    *float64 // default 1/3
	Training bool     // draw each slope from [Lower, Upper); else it is their mean
}

// RReLU is a leaky ReLU whose slopes are drawn (torch.nn.functional.rrelu).
func RReLU(x *torch.Tensor, opts ...RReLUOptions) *torch.Tensor {
	o := one("F.RReLU", opts)
	lower, upper := o.bounds("F.RReLU")
	return aten.Rrelu(x, lower, upper, o.Training, nil)
}

// RReLU_ is RReLU in place, and returns x (torch.nn.functional.rrelu_).
func RReLU_(x *torch.Tensor, opts ...RReLUOptions) *torch.Tensor {
	o := one("F.RReLU_", opts)
	lower, upper := o.bounds("F.RReLU_")
	return aten.Rrelu_(x, lower, upper, o.Training, nil)
}

func (o RReLUOptions) bounds(operation string) (lower, upper torch.Scalar) {
	l, u := or(o.Lower, 1.0/8), or(o.Upper, 1.0/3)
	if l > u {
		torch.Fail(operation, "Lower must not be greater than Upper, got %g and %g", l, u)
	}
	return torch.Float(l), torch.Float(u)
}

// ELU is x where it is positive, else alpha·(exp(x)-1); alpha is 1 by default (torch.nn.functional.elu).
func ELU(x *torch.Tensor, alpha ...float64) *torch.Tensor {
	return aten.Elu(x, torch.Float(only("F.ELU", alpha, 1)), torch.Int(1), torch.Int(1))
}

// ELU_ is ELU in place, and returns x (torch.nn.functional.elu_).
func ELU_(x *torch.Tensor, alpha ...float64) *torch.Tensor {
	return aten.Elu_(x, torch.Float(only("F.ELU_", alpha, 1)), torch.Int(1), torch.Int(1))
}

// CELU is max(x, 0) + min(0, alpha·(exp(x/alpha)-1)); alpha is 1 by default (torch.nn.functional.celu).
func CELU(x *torch.Tensor, alpha ...float64) *torch.Tensor {
	return aten.Celu(x, torch.Float(only("F.CELU", alpha, 1)))
}

// CELU_ is CELU in place, and returns x (torch.nn.functional.celu_).
func CELU_(x *torch.Tensor, alpha ...float64) *torch.Tensor {
	return aten.Celu_(x, torch.Float(only("F.CELU_", alpha, 1)))
}

// SELU is ELU with the constants that keep mean and variance (torch.nn.functional.selu).
func SELU(x *torch.Tensor) *torch.Tensor { return aten.Selu(x) }

// SELU_ is SELU in place, and returns x (torch.nn.functional.selu_).
func SELU_(x *torch.Tensor) *torch.Tensor { return aten.Selu_(x) }

// GELUOptions are GELU's optional arguments.
type GELUOptions struct {
	Tanh bool // the approximation with tanh (approximate="tanh")
}

// GELU is x times the normal distribution's function at x (torch.nn.functional.gelu).
func GELU(x *torch.Tensor, opts ...GELUOptions) *torch.Tensor {
	if one("F.GELU", opts).Tanh {
		return aten.Gelu(x, "tanh")
	}
	return aten.Gelu(x, "none")
}

// GLU splits x in halves a and b along a dimension, by default the last, and is a·sigmoid(b) (torch.nn.functional.glu).
func GLU(x *torch.Tensor, dim ...int) *torch.Tensor {
	d := -1
	if len(dim) > 0 {
		d = one("F.GLU", dim)
	}
	if x.Dim() == 0 {
		torch.Fail("F.GLU", "a scalar tensor can't be halved")
	}
	return aten.Glu(x, d)
}

// SiLU is x·sigmoid(x), also called swish (torch.nn.functional.silu).
func SiLU(x *torch.Tensor) *torch.Tensor { return aten.Silu(x) }

// SiLU_ is SiLU in place, and returns x (torch.nn.functional.silu with inplace=True).
func SiLU_(x *torch.Tensor) *torch.Tensor { return aten.Silu_(x) }

// Mish is x·tanh(softplus(x)) (torch.nn.functional.mish).
func Mish(x *torch.Tensor) *torch.Tensor { return aten.Mish(x) }

// Mish_ is Mish in place, and returns x (torch.nn.functional.mish with inplace=True).
func Mish_(x *torch.Tensor) *torch.Tensor { return aten.Mish_(x) }

// HardtanhOptions are Hardtanh's bounds.
type HardtanhOptions struct {
	Min *float64 // default -1
	Max *float64 // default 1
}

func (o HardtanhOptions) bounds(operation string) (low, high torch.Scalar) {
	l, h := or(o.Min, -1), or(o.Max, 1)
	if l > h {
		torch.Fail(operation, "Min must not be greater than Max, got %g and %g", l, h)
	}
	return torch.Float(l), torch.Float(h)
}

// Hardtanh clamps x to [-1, 1] or to the bounds given (torch.nn.functional.hardtanh).
func Hardtanh(x *torch.Tensor, opts ...HardtanhOptions) *torch.Tensor {
	low, high := one("F.Hardtanh", opts).bounds("F.Hardtanh")
	return aten.Hardtanh(x, low, high)
}

// Hardtanh_ is Hardtanh in place, and returns x (torch.nn.functional.hardtanh_).
func Hardtanh_(x *torch.Tensor, opts ...HardtanhOptions) *torch.Tensor {
	low, high := one("F.Hardtanh_", opts).bounds("F.Hardtanh_")
	return aten.Hardtanh_(x, low, high)
}

// Hardswish is x·ReLU6(x+3)/6 (torch.nn.functional.hardswish).
func Hardswish(x *torch.Tensor) *torch.Tensor { return aten.Hardswish(x) }

// Hardswish_ is Hardswish in place, and returns x (torch.nn.functional.hardswish with inplace=True).
func Hardswish_(x *torch.Tensor) *torch.Tensor { return aten.Hardswish_(x) }

// Hardsigmoid is ReLU6(x+3)/6 (torch.nn.functional.hardsigmoid).
func Hardsigmoid(x *torch.Tensor) *torch.Tensor { return aten.Hardsigmoid(x) }

// Hardsigmoid_ is Hardsigmoid in place, and returns x (torch.nn.functional.hardsigmoid with inplace=True).
func Hardsigmoid_(x *torch.Tensor) *torch.Tensor { return aten.Hardsigmoid_(x) }

// Hardshrink is x where |x| is greater than lambda, by default 0.5, else 0 (torch.nn.functional.hardshrink).
func Hardshrink(x *torch.Tensor, lambda ...float64) *torch.Tensor {
	return aten.Hardshrink(x, torch.Float(only("F.Hardshrink", lambda, 0.5)))
}

// Softshrink moves x towards 0 by lambda, by default 0.5, and no farther (torch.nn.functional.softshrink).
func Softshrink(x *torch.Tensor, lambda ...float64) *torch.Tensor {
	return aten.Softshrink(x, torch.Float(only("F.Softshrink", lambda, 0.5)))
}

// Tanhshrink is x - tanh(x) (torch.nn.functional.tanhshrink).
func Tanhshrink(x *torch.Tensor) *torch.Tensor { return sub(x, aten.Tanh(x)) }

// SoftplusOptions are Softplus's optional arguments.
type SoftplusOptions struct {
	Beta      *float64 // default 1
	Threshold *float64 // where x·Beta is greater than this, the result is x; default 20
}

// Softplus is log(1 + exp(Beta·x)) / Beta (torch.nn.functional.softplus).
func Softplus(x *torch.Tensor, opts ...SoftplusOptions) *torch.Tensor {
	o := one("F.Softplus", opts)
	return aten.Softplus(x, torch.Float(or(o.Beta, 1)), torch.Float(or(o.Threshold, 20)))
}

// Softsign is x / (1 + |x|) (torch.nn.functional.softsign).
func Softsign(x *torch.Tensor) *torch.Tensor { return div(x, plus(aten.Abs(x), 1)) }

// LogSigmoid is log(sigmoid(x)) (torch.nn.functional.logsigmoid).
func LogSigmoid(x *torch.Tensor) *torch.Tensor { return aten.LogSigmoid(x) }

// Sigmoid is 1 / (1 + exp(-x)) (torch.nn.functional.sigmoid).
func Sigmoid(x *torch.Tensor) *torch.Tensor { return aten.Sigmoid(x) }

// Tanh is the hyperbolic tangent (torch.nn.functional.tanh).
func Tanh(x *torch.Tensor) *torch.Tensor { return aten.Tanh(x) }

// Threshold is x where it is greater than threshold, else value (torch.nn.functional.threshold).
func Threshold(x *torch.Tensor, threshold, value float64) *torch.Tensor {
	return aten.Threshold(x, torch.Float(threshold), torch.Float(value))
}

// Threshold_ is Threshold in place, and returns x (torch.nn.functional.threshold_).
func Threshold_(x *torch.Tensor, threshold, value float64) *torch.Tensor {
	return aten.Threshold_(x, torch.Float(threshold), torch.Float(value))
}
