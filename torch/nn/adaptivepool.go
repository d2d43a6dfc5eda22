package nn

import (
	"github.com/golite/golite/torch"
	F "github.com/golite/golite/torch/nn/functional"
)

// Keep, as a size that the adaptive poolings are given, keeps the input's size in that dimension (None in Python).
const Keep = F.Keep

// AdaptiveAvgPool1d takes means of windows so that the result has a given size (torch.nn.AdaptiveAvgPool1d).
type AdaptiveAvgPool1d struct {
	Base
	size []int
}

// NewAdaptiveAvgPool1d makes a pooling from [N, C, L] to [N, C, size], whatever the input's size
// (torch.nn.AdaptiveAvgPool1d).
func NewAdaptiveAvgPool1d[S Size](size S) *AdaptiveAvgPool1d {
	return &AdaptiveAvgPool1d{size: given("nn.NewAdaptiveAvgPool1d", "the output's size", 1, size)}
}

// Forward takes x [N, C, L] or [C, L] and returns [N, C, L'] or [C, L'].
func (p *AdaptiveAvgPool1d) Forward(x *torch.Tensor) *torch.Tensor {
	return p.withHooks(p, x, func(x *torch.Tensor) *torch.Tensor { return F.AdaptiveAvgPool1d(x, p.size) })
}

// AdaptiveMaxPool1d takes maxima of windows so that the result has a given size (torch.nn.AdaptiveMaxPool1d).
type AdaptiveMaxPool1d struct {
	Base
	size []int
}

// NewAdaptiveMaxPool1d makes a pooling from [N, C, L] to [N, C, size], whatever the input's size
// (torch.nn.AdaptiveMaxPool1d).
func NewAdaptiveMaxPool1d[S Size](size S) *AdaptiveMaxPool1d {
	return &AdaptiveMaxPool1d{size: given("nn.NewAdaptiveMaxPool1d", "the output's size", 1, size)}
}

// Forward takes x [N, C, L] or [C, L] and returns [N, C, L'] or [C, L'].
func (p *AdaptiveMaxPool1d) Forward(x *torch.Tensor) *torch.Tensor {
	return p.withHooks(p, x, func(x *torch.Tensor) *torch.Tensor {
		out, _ := F.AdaptiveMaxPool1d(x, p.size)
		return out
	})
}

// ForwardWithIndices also returns the place of each maximum (return_indices=True).
func (p *AdaptiveMaxPool1d) ForwardWithIndices(x *torch.Tensor) (out, indices *torch.Tensor) {
	return p.withIndices(p, x, func(x *torch.Tensor) (out, indices *torch.Tensor) {
		return F.AdaptiveMaxPool1d(x,
			p.size)
	})
}

// AdaptiveAvgPool2d takes means of windows so that the result has a given size (torch.nn.AdaptiveAvgPool2d).
type AdaptiveAvgPool2d struct {
	Base
	size []int
}

// NewAdaptiveAvgPool2d makes a pooling from [N, C, H, W] to [N, C, size...], whatever the input's size
// (torch.nn.AdaptiveAvgPool2d).
func NewAdaptiveAvgPool2d[S Size](size S) *AdaptiveAvgPool2d {
	return &AdaptiveAvgPool2d{size: given("nn.NewAdaptiveAvgPool2d", "the output's size", 2, size)}
}

// Forward takes x [N, C, H, W] or [C, H, W] and returns [N, C, H', W'] or [C, H', W'].
func (p *AdaptiveAvgPool2d) Forward(x *torch.Tensor) *torch.Tensor {
	return p.withHooks(p, x, func(x *torch.Tensor) *torch.Tensor { return F.AdaptiveAvgPool2d(x, p.size) })
}

// AdaptiveMaxPool2d takes maxima of windows so that the result has a given size (torch.nn.AdaptiveMaxPool2d).
type AdaptiveMaxPool2d struct {
	Base
	size []int
}

// NewAdaptiveMaxPool2d makes a pooling from [N, C, H, W] to [N, C, size...], whatever the input's size
// (torch.nn.AdaptiveMaxPool2d).
func NewAdaptiveMaxPool2d[S Size](size S) *AdaptiveMaxPool2d {
	return &AdaptiveMaxPool2d{size: given("nn.NewAdaptiveMaxPool2d", "the output's size", 2, size)}
}

// Forward takes x [N, C, H, W] or [C, H, W] and returns [N, C, H', W'] or [C, H', W'].
func (p *AdaptiveMaxPool2d) Forward(x *torch.Tensor) *torch.Tensor {
	return p.withHooks(p, x, func(x *torch.Tensor) *torch.Tensor {
		out, _ := F.AdaptiveMaxPool2d(x, p.size)
		return out
	})
}

// ForwardWithIndices also returns the place of each maximum (return_indices=True).
func (p *AdaptiveMaxPool2d) ForwardWithIndices(x *torch.Tensor) (out, indices *torch.Tensor) {
	return p.withIndices(p, x, func(x *torch.Tensor) (out, indices *torch.Tensor) {
		return F.AdaptiveMaxPool2d(x,
			p.size)
	})
}

// AdaptiveAvgPool3d takes means of windows so that the result has a given size (torch.nn.AdaptiveAvgPool3d).
type AdaptiveAvgPool3d struct {
	Base
	size []int
}

// NewAdaptiveAvgPool3d makes a pooling from [N, C, D, H, W] to [N, C, size...], whatever the input's size
// (torch.nn.AdaptiveAvgPool3d).
func NewAdaptiveAvgPool3d[S Size](size S) *AdaptiveAvgPool3d {
	return &AdaptiveAvgPool3d{size: given("nn.NewAdaptiveAvgPool3d", "the output's size", 3, size)}
}

// Forward takes x [N, C, D, H, W] or [C, D, H, W] and returns [N, C, D', H', W'] or [C, D', H', W'].
func (p *AdaptiveAvgPool3d) Forward(x *torch.Tensor) *torch.Tensor {
	return p.withHooks(p, x, func(x *torch.Tensor) *torch.Tensor { return F.AdaptiveAvgPool3d(x, p.size) })
}

// AdaptiveMaxPool3d takes maxima of windows so that the result has a given size (torch.nn.AdaptiveMaxPool3d).
type AdaptiveMaxPool3d struct {
	Base
	size []int
}

// NewAdaptiveMaxPool3d makes a pooling from [N, C, D, H, W] to [N, C, size...], whatever the input's size
// (torch.nn.AdaptiveMaxPool3d).
func NewAdaptiveMaxPool3d[S Size](size S) *AdaptiveMaxPool3d {
	return &AdaptiveMaxPool3d{size: given("nn.NewAdaptiveMaxPool3d", "the output's size", 3, size)}
}

// Forward takes x [N, C, D, H, W] or [C, D, H, W] and returns [N, C, D', H', W'] or [C, D', H', W'].
func (p *AdaptiveMaxPool3d) Forward(x *torch.Tensor) *torch.Tensor {
	return p.withHooks(p, x, func(x *torch.Tensor) *torch.Tensor {
		out, _ := F.AdaptiveMaxPool3d(x, p.size)
		return out
	})
}

// ForwardWithIndices also returns the place of each maximum (return_indices=True).
func (p *AdaptiveMaxPool3d) ForwardWithIndices(x *torch.Tensor) (out, indices *torch.Tensor) {
	return p.withIndices(p, x, func(x *torch.Tensor) (out, indices *torch.Tensor) {
		return F.AdaptiveMaxPool3d(x,
			p.size)
	})
}

// FractionalMaxPoolOptions say how large the result of a FractionalMaxPool2d or 3d is.
type FractionalMaxPoolOptions = F.FractionalMaxPoolOptions

// FractionalMaxPool2d takes maxima of windows whose places are drawn, also in evaluation mode
// (torch.nn.FractionalMaxPool2d).
type FractionalMaxPool2d struct {
	Base
	kernel  []int
	options FractionalMaxPoolOptions
}

// NewFractionalMaxPool2d makes a pooling with windows of the given size (torch.nn.FractionalMaxPool2d). It panics
// unless one of OutputSize and OutputRatio is given, and the ratios are between 0 and 1.
func NewFractionalMaxPool2d[K Size](kernel K, opts FractionalMaxPoolOptions) *FractionalMaxPool2d {
	const operation = "nn.NewFractionalMaxPool2d"
	if (opts.OutputSize == nil) == (opts.OutputRatio == nil) {
		torch.Fail(operation, "want one of OutputSize and OutputRatio")
	}
	for _, r := range opts.OutputRatio {
		if r <= 0 || r >= 1 {
			torch.Fail(operation, "OutputRatio must lie between 0 and 1, got %v", opts.OutputRatio)
		}
	}
	return &FractionalMaxPool2d{kernel: window(operation, 2, kernel), options: opts}
}

// Forward takes x [N, C, H, W] or [C, H, W] and returns [N, C, H', W'] or [C, H', W'].
func (p *FractionalMaxPool2d) Forward(x *torch.Tensor) *torch.Tensor {
	return p.withHooks(p, x, func(x *torch.Tensor) *torch.Tensor {
		out, _ := F.FractionalMaxPool2d(x, p.kernel, p.options)
		return out
	})
}

// ForwardWithIndices also returns the place of each maximum (return_indices=True).
func (p *FractionalMaxPool2d) ForwardWithIndices(x *torch.Tensor) (out, indices *torch.Tensor) {
	return p.withIndices(p, x, func(x *torch.Tensor) (out, indices *torch.Tensor) {
		return F.FractionalMaxPool2d(x, p.kernel, p.options)
	})
}

// FractionalMaxPool3d takes maxima of windows whose places are drawn, also in evaluation mode
// (torch.nn.FractionalMaxPool3d).
type FractionalMaxPool3d struct {
	Base
	kernel  []int
	options FractionalMaxPoolOptions
}

// NewFractionalMaxPool3d makes a pooling with windows of the given size (torch.nn.FractionalMaxPool3d). It panics
// unless one of OutputSize and OutputRatio is given, and the ratios are between 0 and 1.
func NewFractionalMaxPool3d[K Size](kernel K, opts FractionalMaxPoolOptions) *FractionalMaxPool3d {
	const operation = "nn.NewFractionalMaxPool3d"
	if (opts.OutputSize == nil) == (opts.OutputRatio == nil) {
		torch.Fail(operation, "want one of OutputSize and OutputRatio")
	}
	for _, r := range opts.OutputRatio {
		if r <= 0 || r >= 1 {
			torch.Fail(operation, "OutputRatio must lie between 0 and 1, got %v", opts.OutputRatio)
		}
	}
	return &FractionalMaxPool3d{kernel: window(operation, 3, kernel), options: opts}
}

// Forward takes x [N, C, D, H, W] or [C, D, H, W] and returns [N, C, D', H', W'] or [C, D', H', W'].
func (p *FractionalMaxPool3d) Forward(x *torch.Tensor) *torch.Tensor {
	return p.withHooks(p, x, func(x *torch.Tensor) *torch.Tensor {
		out, _ := F.FractionalMaxPool3d(x, p.kernel, p.options)
		return out
	})
}

// ForwardWithIndices also returns the place of each maximum (return_indices=True).
func (p *FractionalMaxPool3d) ForwardWithIndices(x *torch.Tensor) (out, indices *torch.Tensor) {
	return p.withIndices(p, x, func(x *torch.Tensor) (out, indices *torch.Tensor) {
		return F.FractionalMaxPool3d(x, p.kernel, p.options)
	})
}
