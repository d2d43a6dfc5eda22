package nn

import (
	"github.com/golite/golite/torch"
	F "github.com/golite/golite/torch/nn/functional"
)

// MaxPoolOptions are the optional arguments of NewMaxPool1d, NewMaxPool2d and NewMaxPool3d.
type MaxPoolOptions = F.MaxPoolOptions

// AvgPoolOptions are the optional arguments of NewAvgPool1d, NewAvgPool2d and NewAvgPool3d.
type AvgPoolOptions = F.AvgPoolOptions

// LPPoolOptions are the optional arguments of NewLPPool1d, NewLPPool2d and NewLPPool3d.
type LPPoolOptions = F.LPPoolOptions

// MaxUnpoolOptions are the optional arguments of NewMaxUnpool1d, NewMaxUnpool2d and NewMaxUnpool3d.
type MaxUnpoolOptions = F.MaxUnpoolOptions

// MaxPool1d takes the maximum of each window (torch.nn.MaxPool1d).
type MaxPool1d struct {
	Base
	kernel  []int
	options MaxPoolOptions
}

// NewMaxPool1d makes a pooling with windows of the given size, which are that far apart unless Stride is set
// (torch.nn.MaxPool1d). It panics if the size is below 1.
func NewMaxPool1d[K Size](kernel K, opts ...MaxPoolOptions) *MaxPool1d {
	return &MaxPool1d{kernel: window("nn.NewMaxPool1d", 1, kernel), options: one("nn.NewMaxPool1d", opts)}
}

// Forward takes x [N, C, L] or [C, L] and returns [N, C, L'] or [C, L'].
func (p *MaxPool1d) Forward(x *torch.Tensor) *torch.Tensor {
	return p.withHooks(p, x, func(x *torch.Tensor) *torch.Tensor { return F.MaxPool1d(x, p.kernel, p.options) })
}

// ForwardWithIndices also returns the place of each maximum, for MaxUnpool1d (return_indices=True).
func (p *MaxPool1d) ForwardWithIndices(x *torch.Tensor) (out, indices *torch.Tensor) {
	return p.withIndices(p, x, func(x *torch.Tensor) (out, indices *torch.Tensor) {
		return F.MaxPool1dWithIndices(x, p.kernel, p.options)
	})
}

// MaxPool2d takes the maximum of each window (torch.nn.MaxPool2d).
type MaxPool2d struct {
	Base
	kernel  []int
	options MaxPoolOptions
}

// NewMaxPool2d makes a pooling with windows of the given size, which are that far apart unless Stride is set
// (torch.nn.MaxPool2d). It panics if the size is below 1.
func NewMaxPool2d[K Size](kernel K, opts ...MaxPoolOptions) *MaxPool2d {
	return &MaxPool2d{kernel: window("nn.NewMaxPool2d", 2, kernel), options: one("nn.NewMaxPool2d", opts)}
}

// Forward takes x [N, C, H, W] or [C, H, W] and returns [N, C, H', W'] or [C, H', W'].
func (p *MaxPool2d) Forward(x *torch.Tensor) *torch.Tensor {
	return p.withHooks(p, x, func(x *torch.Tensor) *torch.Tensor { return F.MaxPool2d(x, p.kernel, p.options) })
}

// ForwardWithIndices also returns the place of each maximum, for MaxUnpool2d (return_indices=True).
func (p *MaxPool2d) ForwardWithIndices(x *torch.Tensor) (out, indices *torch.Tensor) {
	return p.withIndices(p, x, func(x *torch.Tensor) (out, indices *torch.Tensor) {
		return F.MaxPool2dWithIndices(x, p.kernel, p.options)
	})
}

// MaxPool3d takes the maximum of each window (torch.nn.MaxPool3d).
type MaxPool3d struct {
	Base
	kernel  []int
	options MaxPoolOptions
}

// NewMaxPool3d makes a pooling with windows of the given size, which are that far apart unless Stride is set
// (torch.nn.MaxPool3d). It panics if the size is below 1.
func NewMaxPool3d[K Size](kernel K, opts ...MaxPoolOptions) *MaxPool3d {
	return &MaxPool3d{kernel: window("nn.NewMaxPool3d", 3, kernel), options: one("nn.NewMaxPool3d", opts)}
}

// Forward takes x [N, C, D, H, W] or [C, D, H, W] and returns [N, C, D', H', W'] or [C, D', H', W'].
func (p *MaxPool3d) Forward(x *torch.Tensor) *torch.Tensor {
	return p.withHooks(p, x, func(x *torch.Tensor) *torch.Tensor { return F.MaxPool3d(x, p.kernel, p.options) })
}

// ForwardWithIndices also returns the place of each maximum, for MaxUnpool3d (return_indices=True).
func (p *MaxPool3d) ForwardWithIndices(x *torch.Tensor) (out, indices *torch.Tensor) {
	return p.withIndices(p, x, func(x *torch.Tensor) (out, indices *torch.Tensor) {
		return F.MaxPool3dWithIndices(x, p.kernel, p.options)
	})
}

// window checks a pooling's window.
func window[K Size](operation string, n int, kernel K) []int {
	k := given(operation, "the window", n, kernel)
	for _, s := range k {
		positive(operation, "the window's size", s)
	}
	return k
}

// given checks a size and returns it as it came: one number, or one for each of the n dimensions.
func given[S Size](operation, what string, n int, size S) []int {
	each := F.Sizes(operation, what, n, size)
	switch s := any(size).(type) {
	case int:
		return each[:1]
	case []int:
		return each[:len(s)]
	}
	return each
}
