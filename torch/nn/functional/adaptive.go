package functional

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// Keep, as a size that AdaptiveAvgPool2d and its kin are given, keeps the input's size in that dimension (None in
// Python).
const Keep = -1

// outputSize gives the sizes of an adaptive pool's result.
func outputSize[S Size](operation string, n int, size S, x *torch.Tensor) []int {
	out, shape := Sizes(operation, "the output's size", n, size), x.Shape()
	if len(shape) < n+1 {
		torch.Fail(operation, "want an input of %d or %d dimensions, got %v", n+1, n+2, shape)
	}
	for i := range out {
		if out[i] == Keep {
			out[i] = shape[len(shape)-n+i]
		}
	}
	return out
}

// AdaptiveAvgPool1d takes means of windows of x [N, C, L] or [C, L] so that there are size of them
// (torch.nn.functional.adaptive_avg_pool1d).
func AdaptiveAvgPool1d[S Size](x *torch.Tensor, size S) *torch.Tensor {
	return aten.AdaptiveAvgPool1d(x, outputSize("F.AdaptiveAvgPool1d", 1, size, x))
}

// AdaptiveAvgPool2d takes means of windows of x [N, C, H, W] or [C, H, W] so that the result has the given size
// (torch.nn.functional.adaptive_avg_pool2d).
func AdaptiveAvgPool2d[S Size](x *torch.Tensor, size S) *torch.Tensor {
	return aten.AdaptiveAvgPool2d(x, outputSize("F.AdaptiveAvgPool2d", 2, size, x))
}

// AdaptiveAvgPool3d takes means of windows of x [N, C, D, H, W] or [C, D, H, W] so that the result has the given size
// (torch.nn.functional.adaptive_avg_pool3d).
func AdaptiveAvgPool3d[S Size](x *torch.Tensor, size S) *torch.Tensor {
	return aten.AdaptiveAvgPool3d(x, outputSize("F.AdaptiveAvgPool3d", 3, size, x))
}

// AdaptiveMaxPool1d takes maxima of windows of x [N, C, L] or [C, L] so that there are size of them, and returns them
// with their places (torch.nn.functional.adaptive_max_pool1d with return_indices).
func AdaptiveMaxPool1d[S Size](x *torch.Tensor, size S) (out, indices *torch.Tensor) {
	return aten.AdaptiveMaxPool1d(x, outputSize("F.AdaptiveMaxPool1d", 1, size, x))
}

// AdaptiveMaxPool2d takes maxima of windows of x [N, C, H, W] or [C, H, W] so that the result has the given size, and
// returns them with their places (torch.nn.functional.adaptive_max_pool2d with return_indices).
func AdaptiveMaxPool2d[S Size](x *torch.Tensor, size S) (out, indices *torch.Tensor) {
	return aten.AdaptiveMaxPool2d(x, outputSize("F.AdaptiveMaxPool2d", 2, size, x))
}

// AdaptiveMaxPool3d takes maxima of windows of x [N, C, D, H, W] or [C, D, H, W] so that the result has the given size,
// and returns them with their places (torch.nn.functional.adaptive_max_pool3d with return_indices).
func AdaptiveMaxPool3d[S Size](x *torch.Tensor, size S) (out, indices *torch.Tensor) {
	return aten.AdaptiveMaxPool3d(x, outputSize("F.AdaptiveMaxPool3d", 3, size, x))
}

// FractionalMaxPoolOptions are the optional arguments of FractionalMaxPool2d and 3d; one of the first two is needed.
type FractionalMaxPoolOptions struct {
	OutputSize []int // one number, or one for each spatial dimension
	// the output's size as a share of the input's: one number, or one for each spatial dimension
	OutputRatio   []float64
	RandomSamples *torch.Tensor // [N, C, 2 or 3]: where windows lie; default: drawn from [0, 1)
}

// FractionalMaxPool2d takes maxima of windows of x [N, C, H, W] or [C, H, W] whose places are drawn, and returns them
// with their places (torch.nn.functional.fractional_max_pool2d with return_indices).
func FractionalMaxPool2d[K Size](x *torch.Tensor, kernel K, o FractionalMaxPoolOptions) (out, indices *torch.Tensor) {
	const operation = "F.FractionalMaxPool2d"
	k := Sizes(operation, "the window", 2, kernel)
	size, samples := o.prepare(operation, x, 2)
	return aten.FractionalMaxPool2d(x, k, size, samples)
}

// FractionalMaxPool3d takes maxima of windows of x [N, C, D, H, W] or [C, D, H, W] whose places are drawn, and returns
// them with their places (torch.nn.functional.fractional_max_pool3d with return_indices).
func FractionalMaxPool3d[K Size](x *torch.Tensor, kernel K, o FractionalMaxPoolOptions) (out, indices *torch.Tensor) {
	const operation = "F.FractionalMaxPool3d"
	k := Sizes(operation, "the window", 3, kernel)
	size, samples := o.prepare(operation, x, 3)
	return aten.FractionalMaxPool3d(x, k, size, samples)
}

func (o FractionalMaxPoolOptions) prepare(operation string, x *torch.Tensor, n int) (size []int,
	samples *torch.Tensor) {
	shape := x.Shape()
	if len(shape) != n+1 && len(shape) != n+2 {
		torch.Fail(operation, "want an input of %d or %d dimensions, got %v", n+1, n+2, shape)
	}
	spatial := shape[len(shape)-n:]
	switch {
	case (o.OutputSize == nil) == (o.OutputRatio == nil):
		torch.Fail(operation, "want one of OutputSize and OutputRatio")
	case o.OutputSize != nil:
		size = Sizes(operation, "OutputSize", n, o.OutputSize)
	default:
		if len(o.OutputRatio) != 1 && len(o.OutputRatio) != n {
			torch.Fail(operation, "OutputRatio must be one number or %d, got %v", n, o.OutputRatio)
		}
		for i, s := range spatial {
			size = append(size, int(float64(s)*o.OutputRatio[min(i, len(o.OutputRatio)-1)]))
		}
	}
	samples = o.RandomSamples
	if samples == nil {
		batch := 1
		if len(shape) == n+2 {
			batch = shape[0]
		}
		samples = torch.Options{DType: x.DType(), Device: x.Device()}.Rand(batch, shape[len(shape)-n-1], n)
	}
	return size, samples
}

// MaxUnpoolOptions are the optional arguments of MaxUnpool1d, 2d and 3d.
type MaxUnpoolOptions struct {
	Stride     int   // of the pooling that is undone; default: the window's size
	Strides    []int // Stride for each dimension
	Padding    int   // of the pooling that is undone; default 0
	Paddings   []int // Padding for each dimension
	OutputSize []int // the spatial sizes of the result, or its whole shape; default: the smallest
}

func (o MaxUnpoolOptions) prepare(operation string, x *torch.Tensor, kernel []int) (size, stride, padding []int) {
	n := len(kernel)
	stride = strideOf(operation, n, o.Stride, o.Strides)
	if len(stride) == 0 {
		stride = kernel
	}
	padding = EachOf(operation, "Padding", n, o.Padding, o.Paddings, 0)
	shape := x.Shape()
	if len(shape) < n+1 {
		torch.Fail(operation, "want an input of %d or %d dimensions, got %v", n+1, n+2, shape)
	}
	for i, k := range kernel {
		size = append(size, (shape[len(shape)-n+i]-1)*stride[i]+k-2*padding[i])
	}
	if o.OutputSize == nil {
		return size, stride, padding
	}
	want := o.OutputSize
	if len(want) == n+2 {
		want = want[2:]
	}
	if len(want) != n {
		torch.Fail(operation, "OutputSize must have %d or %d numbers, got %v", n, n+2, o.OutputSize)
	}
	for i, w := range want {
		if low, high := size[i]-stride[i], size[i]+stride[i]; w <= low || w >= high {
			torch.Fail(operation, "OutputSize %v: size %d must lie between %d and %d", o.OutputSize, i, low, high)
		}
	}
	return want, stride, padding
}

// MaxUnpool1d puts maxima x [N, C, L] or [C, L] back to their places, with zeros elsewhere
// (torch.nn.functional.max_unpool1d).
func MaxUnpool1d[K Size](x, indices *torch.Tensor, kernel K, opts ...MaxUnpoolOptions) *torch.Tensor {
	k := Sizes("F.MaxUnpool1d", "the window", 1, kernel)
	size, _, _ := one("F.MaxUnpool1d", opts).prepare("F.MaxUnpool1d", x, k)
	return aten.SqueezeDim(aten.MaxUnpool2d(aten.Unsqueeze(x, -1), aten.Unsqueeze(indices, -1), append(size, 1)), -1)
}

// MaxUnpool2d puts maxima x [N, C, H, W] or [C, H, W] back to their places, with zeros elsewhere
// (torch.nn.functional.max_unpool2d).
func MaxUnpool2d[K Size](x, indices *torch.Tensor, kernel K, opts ...MaxUnpoolOptions) *torch.Tensor {
	k := Sizes("F.MaxUnpool2d", "the window", 2, kernel)
	size, _, _ := one("F.MaxUnpool2d", opts).prepare("F.MaxUnpool2d", x, k)
	return aten.MaxUnpool2d(x, indices, size)
}

// MaxUnpool3d puts maxima x [N, C, D, H, W] or [C, D, H, W] back to their places, with zeros elsewhere
// (torch.nn.functional.max_unpool3d).
func MaxUnpool3d[K Size](x, indices *torch.Tensor, kernel K, opts ...MaxUnpoolOptions) *torch.Tensor {
	k := Sizes("F.MaxUnpool3d", "the window", 3, kernel)
	size, stride, padding := one("F.MaxUnpool3d", opts).prepare("F.MaxUnpool3d", x, k)
	return aten.MaxUnpool3d(x, indices, size, stride, padding)
}
