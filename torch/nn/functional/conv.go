package functional

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// ConvOptions are the optional arguments of Conv1d, Conv2d and Conv3d. Of Stride and Strides, Padding and Paddings,
// Dilation and Dilations at most one is given: one number for all spatial dimensions, or one for each.
type ConvOptions struct {
	Stride      int // steps of the window; default 1
	Strides     []int
	Padding     int // zeros added on both sides; default 0
	Paddings    []int
	PaddingSame bool // as much padding as makes the result as large as the input, for stride 1 (padding="same")
	Dilation    int  // distance of the kernel's elements; default 1
	Dilations   []int
	Groups      int // groups of channels that are kept apart; default 1
}

// Conv1d convolves x [N, in, L] or [in, L] with weight [out, in/Groups, K] and adds bias [out], if not nil
// (torch.nn.functional.conv1d).
func Conv1d(x, weight, bias *torch.Tensor, opts ...ConvOptions) *torch.Tensor {
	o := one("F.Conv1d", opts)
	stride, padding, dilation := o.each("F.Conv1d", 1)
	if o.PaddingSame {
		return aten.Conv1dPadding(x, weight, bias, stride, "same", dilation, o.groups())
	}
	return aten.Conv1d(x, weight, bias, stride, padding, dilation, o.groups())
}

// Conv2d convolves x [N, in, H, W] or [in, H, W] with weight [out, in/Groups, KH, KW] and adds bias [out], if not nil
// (torch.nn.functional.conv2d).
func Conv2d(x, weight, bias *torch.Tensor, opts ...ConvOptions) *torch.Tensor {
	o := one("F.Conv2d", opts)
	stride, padding, dilation := o.each("F.Conv2d", 2)
	if o.PaddingSame {
		return aten.Conv2dPadding(x, weight, bias, stride, "same", dilation, o.groups())
	}
	return aten.Conv2d(x, weight, bias, stride, padding, dilation, o.groups())
}

// Conv3d convolves x [N, in, D, H, W] or [in, D, H, W] with weight [out, in/Groups, KD, KH, KW] and adds bias [out], if
// not nil (torch.nn.functional.conv3d).
func Conv3d(x, weight, bias *torch.Tensor, opts ...ConvOptions) *torch.Tensor {
	o := one("F.Conv3d", opts)
	stride, padding, dilation := o.each("F.Conv3d", 3)
	if o.PaddingSame {
		return aten.Conv3dPadding(x, weight, bias, stride, "same", dilation, o.groups())
	}
	return aten.Conv3d(x, weight, bias, stride, padding, dilation, o.groups())
}

func (o ConvOptions) each(operation string, n int) (stride, padding, dilation []int) {
	if o.PaddingSame && (o.Padding != 0 || o.Paddings != nil) {
		torch.Fail(operation, "PaddingSame is given together with another padding")
	}
	return EachOf(operation, "Stride", n, o.Stride, o.Strides, 1), EachOf(operation, "Padding", n, o.Padding, o.Paddings,
			0),
		EachOf(operation, "Dilation", n, o.Dilation, o.Dilations, 1)
}

func (o ConvOptions) groups() int { return max(o.Groups, 1) }

// ConvTransposeOptions are the optional arguments of ConvTranspose1d, 2d and 3d: one number for all spatial dimensions,
// or one for each.
type ConvTransposeOptions struct {
	Stride         int   // default 1
	Strides        []int // Stride for each dimension
	Padding        int   // default 0
	Paddings       []int // Padding for each dimension
	OutputPadding  int   // rows added at one side of the result; default 0
	OutputPaddings []int // OutputPadding for each dimension
	Dilation       int   // default 1
	Dilations      []int // Dilation for each dimension
	Groups         int   // default 1
}

// ConvTranspose1d is the gradient of Conv1d with respect to its input: x [N, in, L], weight [in, out/Groups, K]
// (torch.nn.functional.conv_transpose1d).
func ConvTranspose1d(x, weight, bias *torch.Tensor, opts ...ConvTransposeOptions) *torch.Tensor {
	o := one("F.ConvTranspose1d", opts)
	stride, padding, output, dilation := o.each("F.ConvTranspose1d", 1)
	return aten.ConvTranspose1d(x, weight, bias, stride, padding, output, max(o.Groups, 1), dilation)
}

// ConvTranspose2d is the gradient of Conv2d with respect to its input: x [N, in, H, W], weight [in, out/Groups, KH, KW]
// (torch.nn.functional.conv_transpose2d).
func ConvTranspose2d(x, weight, bias *torch.Tensor, opts ...ConvTransposeOptions) *torch.Tensor {
	o := one("F.ConvTranspose2d", opts)
	stride, padding, output, dilation := o.each("F.ConvTranspose2d", 2)
	return aten.ConvTranspose2dInput(x, weight, bias, stride, padding, output, max(o.Groups, 1), dilation)
}

// ConvTranspose3d is the gradient of Conv3d with respect to its input: x [N, in, D, H, W], weight
// [in, out/Groups, KD, KH, KW] (torch.nn.functional.conv_transpose3d).
func ConvTranspose3d(x, weight, bias *torch.Tensor, opts ...ConvTransposeOptions) *torch.Tensor {
	o := one("F.ConvTranspose3d", opts)
	stride, padding, output, dilation := o.each("F.ConvTranspose3d", 3)
	return aten.ConvTranspose3dInput(x, weight, bias, stride, padding, output, max(o.Groups, 1), dilation)
}

func (o ConvTransposeOptions) each(operation string, n int) (stride, padding, output, dilation []int) {
	return EachOf(operation, "Stride", n, o.Stride, o.Strides, 1), EachOf(operation, "Padding", n, o.Padding, o.Paddings,
			0),
		EachOf(operation, "OutputPadding", n, o.OutputPadding, o.OutputPaddings, 0),
		EachOf(operation, "Dilation", n, o.Dilation, o.Dilations, 1)
}
