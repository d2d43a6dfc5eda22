package nn

import (
	"github.com/golite/golite/torch"
	F "github.com/golite/golite/torch/nn/functional"
)

// LeakyReLU is x where it is positive, else x times the negative slope, element by element (torch.nn.LeakyReLU).
type LeakyReLU struct {
	Base
	NegativeSlope float64 // what negative elements are multiplied by
	Inplace       bool    // write the input itself
}

// NewLeakyReLU makes the layer; negativeSlope is 0.01 by default (torch.nn.LeakyReLU).
func NewLeakyReLU(negativeSlope ...float64) *LeakyReLU {
	return &LeakyReLU{NegativeSlope: only("nn.NewLeakyReLU", negativeSlope, 0.01)}
}

// Forward takes x of any shape and returns the same shape.
func (a *LeakyReLU) Forward(x *torch.Tensor) *torch.Tensor {
	return a.withHooks(a, x, func(x *torch.Tensor) *torch.Tensor {
		if a.Inplace {
			return F.LeakyReLU_(x, a.NegativeSlope)
		}
		return F.LeakyReLU(x, a.NegativeSlope)
	})
}

// ELU is x where it is positive, else alpha·(exp(x)-1), element by element (torch.nn.ELU).
type ELU struct {
	Base
	Alpha   float64
	Inplace bool // write the input itself
}

// NewELU makes the layer; alpha is 1 by default (torch.nn.ELU).
func NewELU(alpha ...float64) *ELU {
	return &ELU{Alpha: only("nn.NewELU", alpha, 1)}
}

// Forward takes x of any shape and returns the same shape.
func (a *ELU) Forward(x *torch.Tensor) *torch.Tensor {
	return a.withHooks(a, x, func(x *torch.Tensor) *torch.Tensor {
		if a.Inplace {
			return F.ELU_(x, a.Alpha)
		}
		return F.ELU(x, a.Alpha)
	})
}

// CELU is max(x, 0) + min(0, alpha·(exp(x/alpha)-1)), element by element (torch.nn.CELU).
type CELU struct {
	Base
	Alpha   float64
	Inplace bool // write the input itself
}

// NewCELU makes the layer; alpha is 1 by default (torch.nn.CELU).
func NewCELU(alpha ...float64) *CELU {
	return &CELU{Alpha: only("nn.NewCELU", alpha, 1)}
}

// Forward takes x of any shape and returns the same shape.
func (a *CELU) Forward(x *torch.Tensor) *torch.Tensor {
	return a.withHooks(a, x, func(x *torch.Tensor) *torch.Tensor {
		if a.Inplace {
			return F.CELU_(x, a.Alpha)
		}
		return F.CELU(x, a.Alpha)
	})
}

// Hardshrink is x where |x| is greater than lambda, else 0, element by element (torch.nn.Hardshrink).
type Hardshrink struct {
	Base
	Lambda float64
}

// NewHardshrink makes the layer; lambda is 0.5 by default (torch.nn.Hardshrink).
func NewHardshrink(lambda ...float64) *Hardshrink {
	return &Hardshrink{Lambda: only("nn.NewHardshrink", lambda, 0.5)}
}

// Forward takes x of any shape and returns the same shape.
func (a *Hardshrink) Forward(x *torch.Tensor) *torch.Tensor {
	return a.withHooks(a, x, func(x *torch.Tensor) *torch.Tensor { return F.Hardshrink(x, a.Lambda) })
}

// Softshrink is x moved towards 0 by lambda and no farther, element by element (torch.nn.Softshrink).
type Softshrink struct {
	Base
	Lambda float64
}

// NewSoftshrink makes the layer; lambda is 0.5 by default (torch.nn.Softshrink).
func NewSoftshrink(lambda ...float64) *Softshrink {
	return &Softshrink{Lambda: only("nn.NewSoftshrink", lambda, 0.5)}
}

// Forward takes x of any shape and returns the same shape.
func (a *Softshrink) Forward(x *torch.Tensor) *torch.Tensor {
	return a.withHooks(a, x, func(x *torch.Tensor) *torch.Tensor { return F.Softshrink(x, a.Lambda) })
}

// only returns the only element of a trailing parameter, or its default.
func only[T any](operation string, values []T, def T) T {
	if len(values) == 0 {
		return def
	}
	return one(operation, values)
}
