package nn

import (
	"github.com/golite/golite/torch"
	F "github.com/golite/golite/torch/nn/functional"
)

// drop is what the dropout layers have in common.
type drop struct {
	Base
	p float64
}

// P returns the probability with which an element or channel becomes zero.
func (d *drop) P() float64 { return d.p }

func dropOf(operation string, p []float64) drop {
	v := 0.5
	if len(p) > 0 {
		v = one(operation, p)
	}
	if !(v >= 0 && v <= 1) {
		torch.Fail(operation, "a probability must be between 0 and 1, got %g", v)
	}
	return drop{p: v}
}

// Dropout makes elements zero at random when training, and does nothing in evaluation mode (torch.nn.Dropout).
type Dropout struct{ drop }

// NewDropout makes a dropout layer of probability p, by default 0.5 (torch.nn.Dropout). It panics unless p is from 0 to
// 1.
func NewDropout(p ...float64) *Dropout { return &Dropout{dropOf("nn.NewDropout", p)} }

// Forward takes x of any shape and returns the same shape.
func (d *Dropout) Forward(x *torch.Tensor) *torch.Tensor {
	return d.withHooks(d, x, func(x *torch.Tensor) *torch.Tensor { return F.Dropout(x, d.p, d.Training()) })
}

// Dropout1d makes channels zero at random when training (torch.nn.Dropout1d).
type Dropout1d struct{ drop }

// NewDropout1d makes a dropout layer of probability p, by default 0.5 (torch.nn.Dropout1d). It panics unless p is from
// 0 to 1.
func NewDropout1d(p ...float64) *Dropout1d { return &Dropout1d{dropOf("nn.NewDropout1d", p)} }

// Forward takes x [N, C, L] or [C, L] and returns the same shape.
func (d *Dropout1d) Forward(x *torch.Tensor) *torch.Tensor {
	return d.withHooks(d, x, func(x *torch.Tensor) *torch.Tensor { return F.Dropout1d(x, d.p, d.Training()) })
}

// Dropout2d makes channels zero at random when training (torch.nn.Dropout2d).
type Dropout2d struct{ drop }

// NewDropout2d makes a dropout layer of probability p, by default 0.5 (torch.nn.Dropout2d). It panics unless p is from
// 0 to 1.
func NewDropout2d(p ...float64) *Dropout2d { return &Dropout2d{dropOf("nn.NewDropout2d", p)} }

// Forward takes x [N, C, H, W]; an x of 3 dimensions is taken as [N, C, L]. It returns the same shape.
func (d *Dropout2d) Forward(x *torch.Tensor) *torch.Tensor {
	return d.withHooks(d, x, func(x *torch.Tensor) *torch.Tensor { return F.Dropout2d(x, d.p, d.Training()) })
}

// Dropout3d makes channels zero at random when training (torch.nn.Dropout3d).
type Dropout3d struct{ drop }

// NewDropout3d makes a dropout layer of probability p, by default 0.5 (torch.nn.Dropout3d). It panics unless p is from
// 0 to 1.
func NewDropout3d(p ...float64) *Dropout3d { return &Dropout3d{dropOf("nn.NewDropout3d", p)} }

// Forward takes x [N, C, D, H, W] or [C, D, H, W] and returns the same shape.
func (d *Dropout3d) Forward(x *torch.Tensor) *torch.Tensor {
	return d.withHooks(d, x, func(x *torch.Tensor) *torch.Tensor { return F.Dropout3d(x, d.p, d.Training()) })
}

// AlphaDropout is dropout that keeps the mean and variance of SELU's results (torch.nn.AlphaDropout).
type AlphaDropout struct{ drop }

// NewAlphaDropout makes a dropout layer of probability p, by default 0.5 (torch.nn.AlphaDropout). It panics unless p is
// from 0 to 1.
func NewAlphaDropout(p ...float64) *AlphaDropout {
	return &AlphaDropout{dropOf("nn.NewAlphaDropout", p)}
}

// Forward takes x of any shape and returns the same shape.
func (d *AlphaDropout) Forward(x *torch.Tensor) *torch.Tensor {
	return d.withHooks(d, x, func(x *torch.Tensor) *torch.Tensor { return F.AlphaDropout(x, d.p, d.Training()) })
}

// FeatureAlphaDropout is AlphaDropout of whole channels (torch.nn.FeatureAlphaDropout).
type FeatureAlphaDropout struct{ drop }

// NewFeatureAlphaDropout makes a dropout layer of probability p, by default 0.5 (torch.nn.FeatureAlphaDropout). It
// panics unless p is from 0 to 1.
func NewFeatureAlphaDropout(p ...float64) *FeatureAlphaDropout {
	return &FeatureAlphaDropout{dropOf("nn.NewFeatureAlphaDropout", p)}
}

// Forward takes x [N, C, ...] and returns the same shape.
func (d *FeatureAlphaDropout) Forward(x *torch.Tensor) *torch.Tensor {
	return d.withHooks(d, x, func(x *torch.Tensor) *torch.Tensor { return F.FeatureAlphaDropout(x, d.p, d.Training()) })
}
