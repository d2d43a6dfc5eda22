package nn

import (
	"github.com/golite/golite/torch"
	F "github.com/golite/golite/torch/nn/functional"
)

// AvgPool1d takes the mean of each window (torch.nn.AvgPool1d).
type AvgPool1d struct {
	Base
	kernel  []int
	options AvgPoolOptions
}

// NewAvgPool1d makes a pooling with windows of the given size, which are that far apart unless Stride is set
// (torch.nn.AvgPool1d). It panics if the size is below 1.
func NewAvgPool1d[K Size](kernel K, opts ...AvgPoolOptions) *AvgPool1d {
	return &AvgPool1d{kernel: window("nn.NewAvgPool1d", 1, kernel), options: one("nn.NewAvgPool1d", opts)}
}

// Forward takes x [N, C, L] or [C, L] and returns [N, C, L'] or [C, L'].
func (p *AvgPool1d) Forward(x *torch.Tensor) *torch.Tensor {
	return p.withHooks(p, x, func(x *torch.Tensor) *torch.Tensor { return F.AvgPool1d(x, p.kernel, p.options) })
}

// LPPool1d takes the p-norm of each window (torch.nn.LPPool1d).
type LPPool1d struct {
	Base
	p       float64
	kernel  []int
	options LPPoolOptions
}

// NewLPPool1d makes a pooling with norm p and windows of the given size, which are that far apart unless Stride says
// otherwise (torch.nn.LPPool1d). It panics if the size is below 1.
func NewLPPool1d[K Size](p float64, kernel K, opts ...LPPoolOptions) *LPPool1d {
	return &LPPool1d{p: p, kernel: window("nn.NewLPPool1d", 1, kernel), options: one("nn.NewLPPool1d", opts)}
}

// Forward takes x [N, C, L] or [C, L] and returns [N, C, L'] or [C, L'].
func (p *LPPool1d) Forward(x *torch.Tensor) *torch.Tensor {
	return p.withHooks(p, x, func(x *torch.Tensor) *torch.Tensor { return F.LPPool1d(x, p.p, p.kernel, p.options) })
}

// MaxUnpool1d puts maxima back to their places, with zeros elsewhere (torch.nn.MaxUnpool1d).
type MaxUnpool1d struct {
	Base
	kernel  []int
	options MaxUnpoolOptions
}

// NewMaxUnpool1d makes what undoes a MaxPool1d with windows of the given size; the other options are to be those of
// that pooling (torch.nn.MaxUnpool1d). It panics if the size is below 1.
func NewMaxUnpool1d[K Size](kernel K, opts ...MaxUnpoolOptions) *MaxUnpool1d {
	return &MaxUnpool1d{kernel: window("nn.NewMaxUnpool1d", 1, kernel), options: one("nn.NewMaxUnpool1d", opts)}
}

// Forward takes x [N, C, L] or [C, L] and the places that ForwardWithIndices returned. outputSize, if given, is the
// size of the result, of which several have the same pooling.
func (p *MaxUnpool1d) Forward(x, indices *torch.Tensor, outputSize ...int) *torch.Tensor {
	return p.withHooks2(p, x, indices, func(x, indices *torch.Tensor) *torch.Tensor {
		o := p.options
		if len(outputSize) > 0 {
			o.OutputSize = outputSize
		}
		return F.MaxUnpool1d(x, indices, p.kernel, o)
	})
}

// AvgPool2d takes the mean of each window (torch.nn.AvgPool2d).
type AvgPool2d struct {
	Base
	kernel  []int
	options AvgPoolOptions
}

// NewAvgPool2d makes a pooling with windows of the given size, which are that far apart unless Stride is set
// (torch.nn.AvgPool2d). It panics if the size is below 1.
func NewAvgPool2d[K Size](kernel K, opts ...AvgPoolOptions) *AvgPool2d {
	return &AvgPool2d{kernel: window("nn.NewAvgPool2d", 2, kernel), options: one("nn.NewAvgPool2d", opts)}
}

// Forward takes x [N, C, H, W] or [C, H, W] and returns [N, C, H', W'] or [C, H', W'].
func (p *AvgPool2d) Forward(x *torch.Tensor) *torch.Tensor {
	return p.withHooks(p, x, func(x *torch.Tensor) *torch.Tensor { return F.AvgPool2d(x, p.kernel, p.options) })
}

// LPPool2d takes the p-norm of each window (torch.nn.LPPool2d).
type LPPool2d struct {
	Base
	p       float64
	kernel  []int
	options LPPoolOptions
}

// NewLPPool2d makes a pooling with norm p and windows of the given size, which are that far apart unless Stride says
// otherwise (torch.nn.LPPool2d). It panics if the size is below 1.
func NewLPPool2d[K Size](p float64, kernel K, opts ...LPPoolOptions) *LPPool2d {
	return &LPPool2d{p: p, kernel: window("nn.NewLPPool2d", 2, kernel), options: one("nn.NewLPPool2d", opts)}
}

// Forward takes x [N, C, H, W] or [C, H, W] and returns [N, C, H', W'] or [C, H', W'].
func (p *LPPool2d) Forward(x *torch.Tensor) *torch.Tensor {
	return p.withHooks(p, x, func(x *torch.Tensor) *torch.Tensor { return F.LPPool2d(x, p.p, p.kernel, p.options) })
}

// MaxUnpool2d puts maxima back to their places, with zeros elsewhere (torch.nn.MaxUnpool2d).
type MaxUnpool2d struct {
	Base
	kernel  []int
	options MaxUnpoolOptions
}

// NewMaxUnpool2d makes what undoes a MaxPool2d with windows of the given size; the other options are to be those of
// that pooling (torch.nn.MaxUnpool2d). It panics if the size is below 1.
func NewMaxUnpool2d[K Size](kernel K, opts ...MaxUnpoolOptions) *MaxUnpool2d {
	return &MaxUnpool2d{kernel: window("nn.NewMaxUnpool2d", 2, kernel), options: one("nn.NewMaxUnpool2d", opts)}
}

// Forward takes x [N, C, H, W] or [C, H, W] and the places that ForwardWithIndices returned. outputSize, if given, is
// the size of the result, of which several have the same pooling.
func (p *MaxUnpool2d) Forward(x, indices *torch.Tensor, outputSize ...int) *torch.Tensor {
	return p.withHooks2(p, x, indices, func(x, indices *torch.Tensor) *torch.Tensor {
		o := p.options
		if len(outputSize) > 0 {
			o.OutputSize = outputSize
		}
		return F.MaxUnpool2d(x, indices, p.kernel, o)
	})
}

// AvgPool3d takes the mean of each window (torch.nn.AvgPool3d).
type AvgPool3d struct {
	Base
	kernel  []int
	options AvgPoolOptions
}

// NewAvgPool3d makes a pooling with windows of the given size, which are that far apart unless Stride is set
// (torch.nn.AvgPool3d). It panics if the size is below 1.
func NewAvgPool3d[K Size](kernel K, opts ...AvgPoolOptions) *AvgPool3d {
	return &AvgPool3d{kernel: window("nn.NewAvgPool3d", 3, kernel), options: one("nn.NewAvgPool3d", opts)}
}

// Forward takes x [N, C, D, H, W] or [C, D, H, W] and returns [N, C, D', H', W'] or [C, D', H', W'].
func (p *AvgPool3d) Forward(x *torch.Tensor) *torch.Tensor {
	return p.withHooks(p, x, func(x *torch.Tensor) *torch.Tensor { return F.AvgPool3d(x, p.kernel, p.options) })
}

// LPPool3d takes the p-norm of each window (torch.nn.LPPool3d).
type LPPool3d struct {
	Base
	p       float64
	kernel  []int
	options LPPoolOptions
}

// NewLPPool3d makes a pooling with norm p and windows of the given size, which are that far apart unless Stride says
// otherwise (torch.nn.LPPool3d). It panics if the size is below 1.
func NewLPPool3d[K Size](p float64, kernel K, opts ...LPPoolOptions) *LPPool3d {
	return &LPPool3d{p: p, kernel: window("nn.NewLPPool3d", 3, kernel), options: one("nn.NewLPPool3d", opts)}
}

// Forward takes x [N, C, D, H, W] or [C, D, H, W] and returns [N, C, D', H', W'] or [C, D', H', W'].
func (p *LPPool3d) Forward(x *torch.Tensor) *torch.Tensor {
	return p.withHooks(p, x, func(x *torch.Tensor) *torch.Tensor { return F.LPPool3d(x, p.p, p.kernel, p.options) })
}

// MaxUnpool3d puts maxima back to their places, with zeros elsewhere (torch.nn.MaxUnpool3d).
type MaxUnpool3d struct {
	Base
	kernel  []int
	options MaxUnpoolOptions
}

// NewMaxUnpool3d makes what undoes a MaxPool3d with windows of the given size; the other options are to be those of
// that pooling (torch.nn.MaxUnpool3d). It panics if the size is below 1.
func NewMaxUnpool3d[K Size](kernel K, opts ...MaxUnpoolOptions) *MaxUnpool3d {
	return &MaxUnpool3d{kernel: window("nn.NewMaxUnpool3d", 3, kernel), options: one("nn.NewMaxUnpool3d", opts)}
}

// Forward takes x [N, C, D, H, W] or [C, D, H, W] and the places that ForwardWithIndices returned. outputSize, if
// given, is the size of the result, of which several have the same pooling.
func (p *MaxUnpool3d) Forward(x, indices *torch.Tensor, outputSize ...int) *torch.Tensor {
	return p.withHooks2(p, x, indices, func(x, indices *torch.Tensor) *torch.Tensor {
		o := p.options
		if len(outputSize) > 0 {
			o.OutputSize = outputSize
		}
		return F.MaxUnpool3d(x, indices, p.kernel, o)
	})
}
