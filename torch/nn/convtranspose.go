package nn

import (
	"github.com/golite/golite/torch"
	F "github.com/golite/golite/torch/nn/functional"
)

// ConvTransposeOptions are the optional arguments of NewConvTranspose1d, 2d and 3d: one number for all spatial
// dimensions, or one for each.
type ConvTransposeOptions struct {
	Stride         int          // default 1
	Strides        []int        // Stride for each dimension
	Padding        int          // default 0
	Paddings       []int        // Padding for each dimension
	OutputPadding  int          // rows added at one side of the result; default 0
	OutputPaddings []int        // OutputPadding for each dimension
	Dilation       int          // default 1
	Dilations      []int        // Dilation for each dimension
	Groups         int          // groups of channels that are kept apart; default 1
	NoBias         bool         // no bias (bias=False)
	DType          torch.DType  // of the parameters; default: the default floating type
	Device         torch.Device // of the parameters; default: the CPU
}

// convTranspose holds the settings that the transposed convolutions have in common.
type convTranspose struct {
	in, out int
	kernel  []int
	pass    F.ConvTransposeOptions // what the function is called with
}

func (c *convTranspose) init(operation string, in, out int, kernel []int, o ConvTransposeOptions) (weight,
	bias Parameter) {
	n := len(kernel)
	groups := checkChannels(operation, in, out, o.Groups, kernel)
	c.in, c.out, c.kernel = in, out, kernel
	c.pass = F.ConvTransposeOptions{
		Strides:        F.EachOf(operation, "Stride", n, o.Stride, o.Strides, 1),
		Paddings:       F.EachOf(operation, "Padding", n, o.Padding, o.Paddings, 0),
		OutputPaddings: F.EachOf(operation, "OutputPadding", n, o.OutputPadding, o.OutputPaddings, 0),
		Dilations:      F.EachOf(operation, "Dilation", n, o.Dilation, o.Dilations, 1),
		Groups:         groups,
	}
	f := factory{o.DType, o.Device}
	weight = f.empty(append([]int{in, out / groups}, kernel...)...)
	if !o.NoBias {
		bias = f.empty(out)
	}
	resetLike(weight, bias)
	return weight, bias
}

// sized gives the options of a call whose result is to have a size of the user's.
func (c *convTranspose) sized(operation string, x *torch.Tensor, size []int) F.ConvTransposeOptions {
	o, n := c.pass, len(c.kernel)
	if size == nil {
		return o
	}
	shape := x.Shape()
	if len(size) > n && len(size) == len(shape) {
		size = size[len(size)-n:]
	}
	if len(size) != n || len(shape) != n+1 && len(shape) != n+2 {
		torch.Fail(operation, "the output's size must have %d numbers, or as many as the input %v has dimensions, got %v", n,
			shape, size)
	}
	o.OutputPaddings = make([]int, n)
	for i := range n {
		least := (shape[len(shape)-n+i]-1)*o.Strides[i] - 2*o.Paddings[i] + o.Dilations[i]*(c.kernel[i]-1) + 1
		if size[i] < least || size[i] > least+o.Strides[i]-1 {
			torch.Fail(operation, "the output's size %d must lie between %d and %d for the input %v", size[i], least,
				least+o.Strides[i]-1, shape)
		}
		o.OutputPaddings[i] = size[i] - least
	}
	return o
}

// ConvTranspose1d is the gradient of a convolution over one spatial dimension with respect to its input
// (torch.nn.ConvTranspose1d). Keys: weight [in, out/groups, K], bias [out].
type ConvTranspose1d struct {
	Base
	Weight Parameter // [in, out/groups, K]
	Bias   Parameter // [out]; the zero Parameter with NoBias
	convTranspose
}

// NewConvTranspose1d makes a transposed convolution from in to out channels (torch.nn.ConvTranspose1d). It panics if
// the groups divide the channels of either side with a remainder, or the kernel's size is below 1.
func NewConvTranspose1d[K Size](in, out int, kernel K, opts ...ConvTransposeOptions) *ConvTranspose1d {
	const operation = "nn.NewConvTranspose1d"
	c := &ConvTranspose1d{}
	c.Weight, c.Bias = c.init(operation, in, out, F.Sizes(operation, "the kernel", 1, kernel), one(operation, opts))
	return c
}

// ResetParameters draws the initial values anew (ConvTranspose1d.reset_parameters).
func (c *ConvTranspose1d) ResetParameters() { resetLike(c.Weight, c.Bias) }

// Forward takes x [N, in, L] or [in, L] and returns [N, out, L'] or [out, L'].
func (c *ConvTranspose1d) Forward(x *torch.Tensor) *torch.Tensor { return c.ForwardSize(x, nil) }

// ForwardSize makes a result of the given size, of which several have the same convolution (output_size).
func (c *ConvTranspose1d) ForwardSize(x *torch.Tensor, size []int) *torch.Tensor {
	return c.withHooks(c, x, func(x *torch.Tensor) *torch.Tensor {
		return F.ConvTranspose1d(x, c.Weight.Tensor, c.Bias.Tensor, c.sized("nn.ConvTranspose1d", x, size))
	})
}

// ConvTranspose2d is the gradient of a convolution over two spatial dimensions with respect to its input
// (torch.nn.ConvTranspose2d). Keys: weight [in, out/groups, KH, KW], bias [out].
type ConvTranspose2d struct {
	Base
	Weight Parameter // [in, out/groups, KH, KW]
	Bias   Parameter // [out]; the zero Parameter with NoBias
	convTranspose
}

// NewConvTranspose2d makes a transposed convolution from in to out channels (torch.nn.ConvTranspose2d). It panics if
// the groups divide the channels of either side with a remainder, or the kernel's size is below 1.
func NewConvTranspose2d[K Size](in, out int, kernel K, opts ...ConvTransposeOptions) *ConvTranspose2d {
	const operation = "nn.NewConvTranspose2d"
	c := &ConvTranspose2d{}
	c.Weight, c.Bias = c.init(operation, in, out, F.Sizes(operation, "the kernel", 2, kernel), one(operation, opts))
	return c
}

// ResetParameters draws the initial values anew (ConvTranspose2d.reset_parameters).
func (c *ConvTranspose2d) ResetParameters() { resetLike(c.Weight, c.Bias) }

// Forward takes x [N, in, H, W] or [in, H, W] and returns [N, out, H', W'] or [out, H', W'].
func (c *ConvTranspose2d) Forward(x *torch.Tensor) *torch.Tensor { return c.ForwardSize(x, nil) }

// ForwardSize makes a result of the given size, of which several have the same convolution (output_size).
func (c *ConvTranspose2d) ForwardSize(x *torch.Tensor, size []int) *torch.Tensor {
	return c.withHooks(c, x, func(x *torch.Tensor) *torch.Tensor {
		return F.ConvTranspose2d(x, c.Weight.Tensor, c.Bias.Tensor, c.sized("nn.ConvTranspose2d", x, size))
	})
}

// ConvTranspose3d is the gradient of a convolution over three spatial dimensions with respect to its input
// (torch.nn.ConvTranspose3d). Keys: weight [in, out/groups, KD, KH, KW], bias [out].
type ConvTranspose3d struct {
	Base
	Weight Parameter // [in, out/groups, KD, KH, KW]
	Bias   Parameter // [out]; the zero Parameter with NoBias
	convTranspose
}

// NewConvTranspose3d makes a transposed convolution from in to out channels (torch.nn.ConvTranspose3d). It panics if
// the groups divide the channels of either side with a remainder, or the kernel's size is below 1.
func NewConvTranspose3d[K Size](in, out int, kernel K, opts ...ConvTransposeOptions) *ConvTranspose3d {
	const operation = "nn.NewConvTranspose3d"
	c := &ConvTranspose3d{}
	c.Weight, c.Bias = c.init(operation, in, out, F.Sizes(operation, "the kernel", 3, kernel), one(operation, opts))
	return c
}

// ResetParameters draws the initial values anew (ConvTranspose3d.reset_parameters).
func (c *ConvTranspose3d) ResetParameters() { resetLike(c.Weight, c.Bias) }

// Forward takes x [N, in, D, H, W] or [in, D, H, W] and returns [N, out, D', H', W'] or [out, D', H', W'].
func (c *ConvTranspose3d) Forward(x *torch.Tensor) *torch.Tensor { return c.ForwardSize(x, nil) }

// ForwardSize makes a result of the given size, of which several have the same convolution (output_size).
func (c *ConvTranspose3d) ForwardSize(x *torch.Tensor, size []int) *torch.Tensor {
	return c.withHooks(c, x, func(x *torch.Tensor) *torch.Tensor {
		return F.ConvTranspose3d(x, c.Weight.Tensor, c.Bias.Tensor, c.sized("nn.ConvTranspose3d", x, size))
	})
}
