package functional

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// MaxPoolOptions are the optional arguments of MaxPool1d, 2d and 3d: one number for all spatial dimensions, or one for
// each.
type MaxPoolOptions struct {
	Stride    int   // default: the window's size
	Strides   []int // Stride for each dimension
	Padding   int   // default 0; padded elements are never the maximum
	Paddings  []int // Padding for each dimension
	Dilation  int   // distance of the window's elements; default 1
	Dilations []int // Dilation for each dimension
	CeilMode  bool  // round the result's size up, not down
}

func (o MaxPoolOptions) each(operation string, n int) (stride, padding, dilation []int) {
	return strideOf(operation, n, o.Stride, o.Strides), EachOf(operation, "Padding", n, o.Padding, o.Paddings, 0),
		EachOf(operation, "Dilation", n, o.Dilation, o.Dilations, 1)
}

// strideOf gives libtorch's list: an empty one is the window's size.
func strideOf(operation string, n, one int, each []int) []int {
	if one == 0 && each == nil {
		return []int{}
	}
	return EachOf(operation, "Stride", n, one, each, 1)
}

// MaxPool1d takes the maximum of each window of x [N, C, L] or [C, L] (torch.nn.functional.max_pool1d).
func MaxPool1d[K Size](x *torch.Tensor, kernel K, opts ...MaxPoolOptions) *torch.Tensor {
	k := Sizes("F.MaxPool1d", "the window", 1, kernel)
	stride, padding, dilation := one("F.MaxPool1d", opts).each("F.MaxPool1d", 1)
	return aten.MaxPool1d(x, k, stride, padding, dilation, one("F.MaxPool1d", opts).CeilMode)
}

// MaxPool2d takes the maximum of each window of x [N, C, H, W] or [C, H, W] (torch.nn.functional.max_pool2d).
func MaxPool2d[K Size](x *torch.Tensor, kernel K, opts ...MaxPoolOptions) *torch.Tensor {
	k := Sizes("F.MaxPool2d", "the window", 2, kernel)
	stride, padding, dilation := one("F.MaxPool2d", opts).each("F.MaxPool2d", 2)
	return aten.MaxPool2d(x, k, stride, padding, dilation, one("F.MaxPool2d", opts).CeilMode)
}

// MaxPool3d takes the maximum of each window of x [N, C, D, H, W] or [C, D, H, W] (torch.nn.functional.max_pool3d).
func MaxPool3d[K Size](x *torch.Tensor, kernel K, opts ...MaxPoolOptions) *torch.Tensor {
	k := Sizes("F.MaxPool3d", "the window", 3, kernel)
	stride, padding, dilation := one("F.MaxPool3d", opts).each("F.MaxPool3d", 3)
	return aten.MaxPool3d(x, k, stride, padding, dilation, one("F.MaxPool3d", opts).CeilMode)
}

// MaxPool1dWithIndices is MaxPool1d that also returns the place of each maximum, for
// MaxUnpool1d (torch.nn.functional.max_pool1d with return_indices).
func MaxPool1dWithIndices[K Size](x *torch.Tensor, kernel K, opts ...MaxPoolOptions) (out, indices *torch.Tensor) {
	k := Sizes("F.MaxPool1d", "the window", 1, kernel)
	stride, padding, dilation := one("F.MaxPool1d", opts).each("F.MaxPool1d", 1)
	return aten.MaxPool1dWithIndices(x, k, stride, padding, dilation, one("F.MaxPool1d", opts).CeilMode)
}

// MaxPool2dWithIndices is MaxPool2d that also returns the place of each maximum, for
// MaxUnpool2d (torch.nn.functional.max_pool2d with return_indices).
func MaxPool2dWithIndices[K Size](x *torch.Tensor, kernel K, opts ...MaxPoolOptions) (out, indices *torch.Tensor) {
	k := Sizes("F.MaxPool2d", "the window", 2, kernel)
	stride, padding, dilation := one("F.MaxPool2d", opts).each("F.MaxPool2d", 2)
	return aten.MaxPool2dWithIndices(x, k, stride, padding, dilation, one("F.MaxPool2d", opts).CeilMode)
}

// MaxPool3dWithIndices is MaxPool3d that also returns the place of each maximum, for
// MaxUnpool3d (torch.nn.functional.max_pool3d with return_indices).
func MaxPool3dWithIndices[K Size](x *torch.Tensor, kernel K, opts ...MaxPoolOptions) (out, indices *torch.Tensor) {
	k := Sizes("F.MaxPool3d", "the window", 3, kernel)
	stride, padding, dilation := one("F.MaxPool3d", opts).each("F.MaxPool3d", 3)
	return aten.MaxPool3dWithIndices(x, k, stride, padding, dilation, one("F.MaxPool3d", opts).CeilMode)
}

// AvgPoolOptions are the optional arguments of AvgPool1d, 2d and 3d: one number for all spatial dimensions, or one for
// each.
type AvgPoolOptions struct {
	Stride          int   // default: the window's size
	Strides         []int // Stride for each dimension
	Padding         int   // zeros; default 0
	Paddings        []int // Padding for each dimension
	CeilMode        bool  // round the result's size up, not down
	ExcludePad      bool  // padded zeros don't count in the mean (count_include_pad=False)
	DivisorOverride int   // divide by this and not by the window's size; not in 1d; 0: don't
}

func (o AvgPoolOptions) each(operation string, n int) (stride, padding []int) {
	return strideOf(operation, n, o.Stride, o.Strides), EachOf(operation, "Padding", n, o.Padding, o.Paddings, 0)
}

func (o AvgPoolOptions) divisor() *int {
	if o.DivisorOverride == 0 {
		return nil
	}
	return &o.DivisorOverride
}

// AvgPool1d takes the mean of each window of x [N, C, L] or [C, L] (torch.nn.functional.avg_pool1d).
func AvgPool1d[K Size](x *torch.Tensor, kernel K, opts ...AvgPoolOptions) *torch.Tensor {
	k, o := Sizes("F.AvgPool1d", "the window", 1, kernel), one("F.AvgPool1d", opts)
	if o.DivisorOverride != 0 {
		torch.Fail("F.AvgPool1d", "DivisorOverride is for AvgPool2d and AvgPool3d")
	}
	stride, padding := o.each("F.AvgPool1d", 1)
	return aten.AvgPool1d(x, k, stride, padding, o.CeilMode, !o.ExcludePad)
}

// AvgPool2d takes the mean of each window of x [N, C, H, W] or [C, H, W] (torch.nn.functional.avg_pool2d).
func AvgPool2d[K Size](x *torch.Tensor, kernel K, opts ...AvgPoolOptions) *torch.Tensor {
	k, o := Sizes("F.AvgPool2d", "the window", 2, kernel), one("F.AvgPool2d", opts)
	stride, padding := o.each("F.AvgPool2d", 2)
	return aten.AvgPool2d(x, k, stride, padding, o.CeilMode, !o.ExcludePad, o.divisor())
}

// AvgPool3d takes the mean of each window of x [N, C, D, H, W] or [C, D, H, W] (torch.nn.functional.avg_pool3d).
func AvgPool3d[K Size](x *torch.Tensor, kernel K, opts ...AvgPoolOptions) *torch.Tensor {
	k, o := Sizes("F.AvgPool3d", "the window", 3, kernel), one("F.AvgPool3d", opts)
	stride, padding := o.each("F.AvgPool3d", 3)
	return aten.AvgPool3d(x, k, stride, padding, o.CeilMode, !o.ExcludePad, o.divisor())
}

// LPPoolOptions are the optional arguments of LPPool1d, 2d and 3d.
type LPPoolOptions struct {
	Stride   int   // default: the window's size
	Strides  []int // Stride for each dimension
	CeilMode bool  // windows may go beyond the end of the input
}

func (o LPPoolOptions) avg() AvgPoolOptions {
	return AvgPoolOptions{Stride: o.Stride, Strides: o.Strides, CeilMode: o.CeilMode}
}

// LPPool1d takes the p-norm of each window of x [N, C, L] or [C, L] (torch.nn.functional.lp_pool1d).
func LPPool1d[K Size](x *torch.Tensor, p float64, kernel K, opts ...LPPoolOptions) *torch.Tensor {
	k := Sizes("F.LPPool1d", "the window", 1, kernel)
	return lpNorm(AvgPool1d(pow(x, p), k, one("F.LPPool1d", opts).avg()), p, k)
}

// LPPool2d takes the p-norm of each window of x [N, C, H, W] or [C, H, W] (torch.nn.functional.lp_pool2d).
func LPPool2d[K Size](x *torch.Tensor, p float64, kernel K, opts ...LPPoolOptions) *torch.Tensor {
	k := Sizes("F.LPPool2d", "the window", 2, kernel)
	return lpNorm(AvgPool2d(pow(x, p), k, one("F.LPPool2d", opts).avg()), p, k)
}

// LPPool3d takes the p-norm of each window of x [N, C, D, H, W] or [C, D, H, W] (torch.nn.functional.lp_pool3d).
func LPPool3d[K Size](x *torch.Tensor, p float64, kernel K, opts ...LPPoolOptions) *torch.Tensor {
	k := Sizes("F.LPPool3d", "the window", 3, kernel)
	return lpNorm(AvgPool3d(pow(x, p), k, one("F.LPPool3d", opts).avg()), p, k)
}

// lpNorm makes p-norms of means of p-th powers.
func lpNorm(mean *torch.Tensor, p float64, kernel []int) *torch.Tensor {
	n := 1
	for _, k := range kernel {
		n *= k
	}
	return pow(times(mul(aten.Sign(mean), ReLU(aten.Abs(mean))), float64(n)), 1/p)
}
