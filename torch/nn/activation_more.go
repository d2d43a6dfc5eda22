package nn

import (
	"github.com/golite/golite/torch"
	F "github.com/golite/golite/torch/nn/functional"
)

// GELUOptions are NewGELU's optional arguments.
type GELUOptions = F.GELUOptions

// GELU is x times the normal distribution's function at x (torch.nn.GELU).
type GELU struct {
	Base
	Options GELUOptions // what the constructor was given
}

// NewGELU makes the layer, exact unless the options select tanh's approximation (torch.nn.GELU).
func NewGELU(opts ...GELUOptions) *GELU { return &GELU{Options: one("nn.NewGELU", opts)} }

// Forward takes x of any shape and returns the same shape.
func (a *GELU) Forward(x *torch.Tensor) *torch.Tensor {
	return a.withHooks(a, x, func(x *torch.Tensor) *torch.Tensor { return F.GELU(x, a.Options) })
}

// GLU splits its input in halves a and b and is a·sigmoid(b) (torch.nn.GLU).
type GLU struct {
	Base
	Dim int // the dimension that is halved
}

// NewGLU makes the layer; dim, by default the last, is halved (torch.nn.GLU).
func NewGLU(dim ...int) *GLU { return &GLU{Dim: only("nn.NewGLU", dim, -1)} }

// Forward takes x, whose dimension Dim is even, and returns half of it.
func (a *GLU) Forward(x *torch.Tensor) *torch.Tensor {
	return a.withHooks(a, x, func(x *torch.Tensor) *torch.Tensor { return F.GLU(x, a.Dim) })
}

// HardtanhOptions are NewHardtanh's bounds.
type HardtanhOptions = F.HardtanhOptions

// Hardtanh clamps to [-1, 1] or to the bounds given (torch.nn.Hardtanh).
type Hardtanh struct {
	Base
	Options HardtanhOptions // what the constructor was given
	Inplace bool            // write the input itself
}

// NewHardtanh makes the layer, by default with the bounds -1 and 1 (torch.nn.Hardtanh). It panics if the lower is not
// below the upper.
func NewHardtanh(opts ...HardtanhOptions) *Hardtanh {
	o := one("nn.NewHardtanh", opts)
	if l, h := or(o.Min, -1), or(o.Max, 1); l >= h {
		torch.Fail("nn.NewHardtanh", "Min must be smaller than Max, got %g and %g", l, h)
	}
	return &Hardtanh{Options: o}
}

// Forward takes x of any shape and returns the same shape.
func (a *Hardtanh) Forward(x *torch.Tensor) *torch.Tensor {
	return a.withHooks(a, x, func(x *torch.Tensor) *torch.Tensor {
		if a.Inplace {
			return F.Hardtanh_(x, a.Options)
		}
		return F.Hardtanh(x, a.Options)
	})
}

// SoftplusOptions are NewSoftplus's optional arguments.
type SoftplusOptions = F.SoftplusOptions

// Softplus is log(1 + exp(Beta·x)) / Beta (torch.nn.Softplus).
type Softplus struct {
	Base
	Options SoftplusOptions // what the constructor was given
}

// NewSoftplus makes the layer, by default with Beta 1 and Threshold 20 (torch.nn.Softplus).
func NewSoftplus(opts ...SoftplusOptions) *Softplus {
	return &Softplus{Options: one("nn.NewSoftplus", opts)}
}

// Forward takes x of any shape and returns the same shape.
func (a *Softplus) Forward(x *torch.Tensor) *torch.Tensor {
	return a.withHooks(a, x, func(x *torch.Tensor) *torch.Tensor { return F.Softplus(x, a.Options) })
}

// Threshold is x where it is greater than a threshold, else a value (torch.nn.Threshold).
type Threshold struct {
	Base
	Threshold, Value float64
	Inplace          bool // write the input itself
}

// NewThreshold makes the layer: elements up to threshold become value (torch.nn.Threshold).
func NewThreshold(threshold, value float64) *Threshold {
	return &Threshold{Threshold: threshold, Value: value}
}

// Forward takes x of any shape and returns the same shape.
func (a *Threshold) Forward(x *torch.Tensor) *torch.Tensor {
	return a.withHooks(a, x, func(x *torch.Tensor) *torch.Tensor {
		if a.Inplace {
			return F.Threshold_(x, a.Threshold, a.Value)
		}
		return F.Threshold(x, a.Threshold, a.Value)
	})
}

// RReLUOptions are NewRReLU's bounds.
type RReLUOptions struct {
	Lower *float64 // default 1/8
	Upper *float64 // default 1/3
}

// RReLU is a leaky ReLU whose slopes are drawn when training (torch.nn.RReLU).
type RReLU struct {
	Base
	Options RReLUOptions // what the constructor was given
	Inplace bool         // write the input itself
}

// NewRReLU makes the layer, by default with slopes between 1/8 and 1/3 (torch.nn.RReLU). It panics if the lower bound
// is above the upper.
func NewRReLU(opts ...RReLUOptions) *RReLU {
	o := one("nn.NewRReLU", opts)
	if l, u := or(o.Lower, 1.0/8), or(o.Upper, 1.0/3); l > u {
		torch.Fail("nn.NewRReLU", "Lower must not be greater than Upper, got %g and %g", l, u)
	}
	return &RReLU{Options: o}
}

// Forward takes x of any shape and returns the same shape.
func (a *RReLU) Forward(x *torch.Tensor) *torch.Tensor {
	return a.withHooks(a, x, func(x *torch.Tensor) *torch.Tensor {
		o := F.RReLUOptions{Lower: a.Options.Lower, Upper: a.Options.Upper, Training: a.Training()}
		if a.Inplace {
			return F.RReLU_(x, o)
		}
		return F.RReLU(x, o)
	})
}

// PReLUOptions are NewPReLU's optional arguments.
type PReLUOptions struct {
	NumParameters int          // 1, or as many as there are channels; 0 means 1
	Init          *float64     // the first value; default 0.25
	DType         torch.DType  // of the parameters; default: the default floating type
	Device        torch.Device // of the parameters; default: the CPU
}

// PReLU is a leaky ReLU whose slope is trained (torch.nn.PReLU). Key: weight [1] or [channels].
type PReLU struct {
	Base
	Weight Parameter
}

// NewPReLU makes the layer, by default with one slope that begins at 0.25 (torch.nn.PReLU). It panics if NumParameters
// is negative.
func NewPReLU(opts ...PReLUOptions) *PReLU {
	o := one("nn.NewPReLU", opts)
	notNegative("nn.NewPReLU", "the number of parameters", o.NumParameters)
	return &PReLU{Weight: factory{o.DType, o.Device}.make(func(t torch.Options) *torch.Tensor {
		return t.Full(or(o.Init, 0.25), max(o.NumParameters, 1))
	})}
}

// Forward takes x of any shape, whose dimension 1 holds the channels, and returns the same shape.
func (a *PReLU) Forward(x *torch.Tensor) *torch.Tensor {
	return a.withHooks(a, x, func(x *torch.Tensor) *torch.Tensor { return F.PReLU(x, a.Weight.Tensor) })
}

// Softmax is exp(x) divided by its sum along a dimension (torch.nn.Softmax).
type Softmax struct {
	Base
	Dim int // the dimension along which the results add up to 1
}

// NewSoftmax makes the layer for a dimension, which counts from the end if negative (torch.nn.Softmax).
func NewSoftmax(dim int) *Softmax { return &Softmax{Dim: dim} }

// Forward takes x of any shape and returns the same shape.
func (a *Softmax) Forward(x *torch.Tensor) *torch.Tensor {
	return a.withHooks(a, x, func(x *torch.Tensor) *torch.Tensor { return F.Softmax(x, a.Dim) })
}

// Softmin is Softmax of -x (torch.nn.Softmin).
type Softmin struct {
	Base
	Dim int // the dimension along which the results add up to 1
}

// NewSoftmin makes the layer for a dimension, which counts from the end if negative (torch.nn.Softmin).
func NewSoftmin(dim int) *Softmin { return &Softmin{Dim: dim} }

// Forward takes x of any shape and returns the same shape.
func (a *Softmin) Forward(x *torch.Tensor) *torch.Tensor {
	return a.withHooks(a, x, func(x *torch.Tensor) *torch.Tensor { return F.Softmin(x, a.Dim) })
}

// LogSoftmax is log(Softmax(x)) (torch.nn.LogSoftmax).
type LogSoftmax struct {
	Base
	Dim int // the dimension along which the exponentials of the results add up to 1
}

// NewLogSoftmax makes the layer for a dimension, which counts from the end if negative (torch.nn.LogSoftmax).
func NewLogSoftmax(dim int) *LogSoftmax { return &LogSoftmax{Dim: dim} }

// Forward takes x of any shape and returns the same shape.
func (a *LogSoftmax) Forward(x *torch.Tensor) *torch.Tensor {
	return a.withHooks(a, x, func(x *torch.Tensor) *torch.Tensor { return F.LogSoftmax(x, a.Dim) })
}

// Softmax2d is Softmax over the channels of each place (torch.nn.Softmax2d).
type Softmax2d struct{ Base }

// NewSoftmax2d makes the layer for images [N, C, H, W] or [C, H, W] (torch.nn.Softmax2d).
func NewSoftmax2d() *Softmax2d { return &Softmax2d{} }

// Forward takes x [N, C, H, W] or [C, H, W] and returns the same shape.
func (s *Softmax2d) Forward(x *torch.Tensor) *torch.Tensor {
	return s.withHooks(s, x, func(x *torch.Tensor) *torch.Tensor {
		wantDims("nn.Softmax2d", x, 3, 4)
		return F.Softmax(x, -3)
	})
}
