package nn

import (
	"github.com/golite/golite/torch"
	F "github.com/golite/golite/torch/nn/functional"
)

// ReLU is max(x, 0), element by element (torch.nn.ReLU).
type ReLU struct {
	Base
	Inplace bool // write the input itself
}

// NewReLU makes the layer (torch.nn.ReLU); results have the input's shape.
func NewReLU() *ReLU { return &ReLU{} }

// Forward takes x of any shape and returns the same shape.
func (a *ReLU) Forward(x *torch.Tensor) *torch.Tensor {
	return a.withHooks(a, x, func(x *torch.Tensor) *torch.Tensor {
		if a.Inplace {
			return F.ReLU_(x)
		}
		return F.ReLU(x)
	})
}

// ReLU6 is min(max(x, 0), 6), element by element (torch.nn.ReLU6).
type ReLU6 struct {
	Base
	Inplace bool // write the input itself
}

// NewReLU6 makes the layer (torch.nn.ReLU6); results have the input's shape.
func NewReLU6() *ReLU6 { return &ReLU6{} }

// Forward takes x of any shape and returns the same shape.
func (a *ReLU6) Forward(x *torch.Tensor) *torch.Tensor {
	return a.withHooks(a, x, func(x *torch.Tensor) *torch.Tensor {
		if a.Inplace {
			return F.ReLU6_(x)
		}
		return F.ReLU6(x)
	})
}

// SELU is ELU with the constants that keep mean and variance, element by element (torch.nn.SELU).
type SELU struct {
	Base
	Inplace bool // write the input itself
}

// NewSELU makes the layer (torch.nn.SELU); results have the input's shape.
func NewSELU() *SELU { return &SELU{} }

// Forward takes x of any shape and returns the same shape.
func (a *SELU) Forward(x *torch.Tensor) *torch.Tensor {
	return a.withHooks(a, x, func(x *torch.Tensor) *torch.Tensor {
		if a.Inplace {
			return F.SELU_(x)
		}
		return F.SELU(x)
	})
}

// SiLU is x·sigmoid(x), element by element (torch.nn.SiLU).
type SiLU struct {
	Base
	Inplace bool // write the input itself
}

// NewSiLU makes the layer (torch.nn.SiLU); results have the input's shape.
func NewSiLU() *SiLU { return &SiLU{} }

// Forward takes x of any shape and returns the same shape.
func (a *SiLU) Forward(x *torch.Tensor) *torch.Tensor {
	return a.withHooks(a, x, func(x *torch.Tensor) *torch.Tensor {
		if a.Inplace {
			return F.SiLU_(x)
		}
		return F.SiLU(x)
	})
}

// Mish is x·tanh(softplus(x)), element by element (torch.nn.Mish).
type Mish struct {
	Base
	Inplace bool // write the input itself
}

// NewMish makes the layer (torch.nn.Mish); results have the input's shape.
func NewMish() *Mish { return &Mish{} }

// Forward takes x of any shape and returns the same shape.
func (a *Mish) Forward(x *torch.Tensor) *torch.Tensor {
	return a.withHooks(a, x, func(x *torch.Tensor) *torch.Tensor {
		if a.Inplace {
			return F.Mish_(x)
		}
		return F.Mish(x)
	})
}

// Hardswish is x·ReLU6(x+3)/6, element by element (torch.nn.Hardswish).
type Hardswish struct {
	Base
	Inplace bool // write the input itself
}

// NewHardswish makes the layer (torch.nn.Hardswish); results have the input's shape.
func NewHardswish() *Hardswish { return &Hardswish{} }

// Forward takes x of any shape and returns the same shape.
func (a *Hardswish) Forward(x *torch.Tensor) *torch.Tensor {
	return a.withHooks(a, x, func(x *torch.Tensor) *torch.Tensor {
		if a.Inplace {
			return F.Hardswish_(x)
		}
		return F.Hardswish(x)
	})
}

// Hardsigmoid is ReLU6(x+3)/6, element by element (torch.nn.Hardsigmoid).
type Hardsigmoid struct {
	Base
	Inplace bool // write the input itself
}

// NewHardsigmoid makes the layer (torch.nn.Hardsigmoid); results have the input's shape.
func NewHardsigmoid() *Hardsigmoid { return &Hardsigmoid{} }

// Forward takes x of any shape and returns the same shape.
func (a *Hardsigmoid) Forward(x *torch.Tensor) *torch.Tensor {
	return a.withHooks(a, x, func(x *torch.Tensor) *torch.Tensor {
		if a.Inplace {
			return F.Hardsigmoid_(x)
		}
		return F.Hardsigmoid(x)
	})
}

// Sigmoid is 1 / (1 + exp(-x)), element by element (torch.nn.Sigmoid).
type Sigmoid struct{ Base }

// NewSigmoid makes the layer (torch.nn.Sigmoid); results have the input's shape.
func NewSigmoid() *Sigmoid { return &Sigmoid{} }

// Forward takes x of any shape and returns the same shape.
func (s *Sigmoid) Forward(x *torch.Tensor) *torch.Tensor {
	return s.withHooks(s, x, F.Sigmoid)
}

// Tanh is the hyperbolic tangent, element by element (torch.nn.Tanh).
type Tanh struct{ Base }

// NewTanh makes the layer (torch.nn.Tanh); results have the input's shape.
func NewTanh() *Tanh { return &Tanh{} }

// Forward takes x of any shape and returns the same shape.
func (t *Tanh) Forward(x *torch.Tensor) *torch.Tensor {
	return t.withHooks(t, x, F.Tanh)
}

// Tanhshrink is x - tanh(x), element by element (torch.nn.Tanhshrink).
type Tanhshrink struct{ Base }

// NewTanhshrink makes the layer (torch.nn.Tanhshrink); results have the input's shape.
func NewTanhshrink() *Tanhshrink { return &Tanhshrink{} }

// Forward takes x of any shape and returns the same shape.
func (t *Tanhshrink) Forward(x *torch.Tensor) *torch.Tensor {
	return t.withHooks(t, x, F.Tanhshrink)
}

// Softsign is x / (1 + |x|), element by element (torch.nn.Softsign).
type Softsign struct{ Base }

// NewSoftsign makes the layer (torch.nn.Softsign); results have the input's shape.
func NewSoftsign() *Softsign { return &Softsign{} }

// Forward takes x of any shape and returns the same shape.
func (s *Softsign) Forward(x *torch.Tensor) *torch.Tensor {
	return s.withHooks(s, x, F.Softsign)
}

// LogSigmoid is log(sigmoid(x)), element by element (torch.nn.LogSigmoid).
type LogSigmoid struct{ Base }

// NewLogSigmoid makes the layer (torch.nn.LogSigmoid); results have the input's shape.
func NewLogSigmoid() *LogSigmoid { return &LogSigmoid{} }

// Forward takes x of any shape and returns the same shape.
func (l *LogSigmoid) Forward(x *torch.Tensor) *torch.Tensor {
	return l.withHooks(l, x, F.LogSigmoid)
}
