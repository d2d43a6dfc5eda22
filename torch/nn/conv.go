package nn

import (
	"github.com/golite/golite/torch"
	F "github.com/golite/golite/torch/nn/functional"
)

// Size is a length for each spatial dimension: one number for all of them, or a slice or an array with one for each:
//
//	nn.NewConv2d(1, 32, 3)
//	nn.NewConv2d(1, 32, [2]int{3, 5})
type Size interface{ F.Size }

// ConvOptions are the optional arguments of NewConv1d, NewConv2d and NewConv3d. Of Stride and Strides, Padding and
// Paddings, Dilation and Dilations at most one is given: one number for all spatial dimensions, or one for each.
type ConvOptions struct {
	Stride      int // steps of the window; default 1
	Strides     []int
	Padding     int // elements added on both sides; default 0
	Paddings    []int
	PaddingSame bool // as much padding as makes the result as large as the input; needs stride 1 (padding="same")
	Dilation    int  // distance of the kernel's elements; default 1
	Dilations   []int
	Groups      int          // groups of channels that are kept apart; default 1
	PaddingMode F.PadMode    // what the padding is; default zeros
	NoBias      bool         // no bias (bias=False)
	DType       torch.DType  // of the parameters; default: the default floating type
	Device      torch.Device // of the parameters; default: the CPU
}

// conv holds the settings that the convolutions have in common. Their tensors are fields of each, where documentation
// shows them.
type conv struct {
	in, out  int
	kernel   []int
	pass     F.ConvOptions // what the function is called with
	mode     F.PadMode
	same     bool
	paddings []int // as given
	padding  []int // for Pad, where mode is not zeros
}

func (c *conv) init(operation string, in, out int, kernel []int, o ConvOptions) (weight, bias Parameter) {
	n := len(kernel)
	groups := checkChannels(operation, in, out, o.Groups, kernel)
	c.in, c.out, c.kernel, c.same = in, out, kernel, o.PaddingSame
	c.pass = F.ConvOptions{
		Strides:   F.EachOf(operation, "Stride", n, o.Stride, o.Strides, 1),
		Dilations: F.EachOf(operation, "Dilation", n, o.Dilation, o.Dilations, 1),
		Groups:    groups,
	}
	paddings := F.EachOf(operation, "Padding", n, o.Padding, o.Paddings, 0)
	c.paddings = paddings
	c.setPadding(operation, o, kernel, paddings)
	f := factory{o.DType, o.Device}
	weight = f.empty(append([]int{out, in / groups}, kernel...)...)
	if !o.NoBias {
		bias = f.empty(out)
	}
	resetLike(weight, bias)
	return weight, bias
}

func (c *conv) setPadding(operation string, o ConvOptions, kernel, paddings []int) {
	c.mode = o.PaddingMode
	if o.PaddingSame {
		for _, s := range c.pass.Strides {
			if s != 1 {
				torch.Fail(operation, "PaddingSame needs stride 1, got %v", c.pass.Strides)
			}
		}
		if o.Padding != 0 || o.Paddings != nil {
			torch.Fail(operation, "PaddingSame is given together with another padding")
		}
	}
	if c.mode == F.PadConstant {
		c.pass.PaddingSame = o.PaddingSame
		if !o.PaddingSame {
			c.pass.Paddings = paddings
		}
		return
	}
	for i := len(kernel) - 1; i >= 0; i-- {
		left, right := paddings[i], paddings[i]
		if o.PaddingSame {
			total := c.pass.Dilations[i] * (kernel[i] - 1)
			left, right = total/2, total-total/2
		}
		c.padding = append(c.padding, left, right)
	}
}

// checkChannels checks numbers of channels and groups, and gives the groups.
func checkChannels(operation string, in, out, groups int, kernel []int) int {
	if groups == 0 {
		groups = 1
	}
	positive(operation, "the number of groups", groups)
	notNegative(operation, "the number of input channels", in)
	notNegative(operation, "the number of output channels", out)
	if in%groups != 0 || out%groups != 0 {
		torch.Fail(operation, "%d input and %d output channels can't be divided into %d groups", in, out, groups)
	}
	for _, k := range kernel {
		positive(operation, "a kernel's size", k)
	}
	return groups
}

// padded adds the padding that the function can't.
func (c *conv) padded(x *torch.Tensor) *torch.Tensor {
	if c.mode == F.PadConstant {
		return x
	}
	return F.Pad(x, c.padding, F.PadOptions{Mode: c.mode})
}

// Conv1d is a convolution over one spatial dimension (torch.nn.Conv1d). Keys: weight [out, in/groups, K], bias [out].
type Conv1d struct {
	Base
	Weight Parameter // [out, in/groups, K]
	Bias   Parameter // [out]; the zero Parameter with NoBias
	conv
}

// NewConv1d makes a convolution from in to out channels (torch.nn.Conv1d). It panics as NewConv2d does.
func NewConv1d[K Size](in, out int, kernel K, opts ...ConvOptions) *Conv1d {
	c := &Conv1d{}
	c.Weight, c.Bias = c.init("nn.NewConv1d", in, out, F.Sizes("nn.NewConv1d", "the kernel", 1, kernel),
		one("nn.NewConv1d", opts))
	return c
}

// ResetParameters draws the initial values anew (Conv1d.reset_parameters).
func (c *Conv1d) ResetParameters() { resetLike(c.Weight, c.Bias) }

// Forward takes x [N, in, L] or [in, L] and returns [N, out, L'] or [out, L'].
func (c *Conv1d) Forward(x *torch.Tensor) *torch.Tensor {
	return c.withHooks(c, x, func(x *torch.Tensor) *torch.Tensor {
		return F.Conv1d(c.padded(x), c.Weight.Tensor, c.Bias.Tensor, c.pass)
	})
}

// Conv2d is a convolution over two spatial dimensions (torch.nn.Conv2d). Keys: weight [out, in/groups, KH, KW], bias
// [out].
type Conv2d struct {
	Base
	Weight Parameter // [out, in/groups, KH, KW]
	Bias   Parameter // [out]; the zero Parameter with NoBias
	conv
}

// NewConv2d makes a convolution from in to out channels (torch.nn.Conv2d). It panics if the groups divide the channels
// of either side with a remainder, the kernel's size is below 1, or PaddingSame is given with a stride or another
// padding.
//
//	nn.NewConv2d(1, 32, 3)
//	nn.NewConv2d(32, 64, 3, nn.ConvOptions{Stride: 2, Padding: 1, NoBias: true})
func NewConv2d[K Size](in, out int, kernel K, opts ...ConvOptions) *Conv2d {
	c := &Conv2d{}
	c.Weight, c.Bias = c.init("nn.NewConv2d", in, out, F.Sizes("nn.NewConv2d", "the kernel", 2, kernel),
		one("nn.NewConv2d", opts))
	return c
}

// ResetParameters draws the initial values anew (Conv2d.reset_parameters).
func (c *Conv2d) ResetParameters() { resetLike(c.Weight, c.Bias) }

// Forward takes x [N, in, H, W] or [in, H, W] and returns [N, out, H', W'] or [out, H', W'].
func (c *Conv2d) Forward(x *torch.Tensor) *torch.Tensor {
	return c.withHooks(c, x, func(x *torch.Tensor) *torch.Tensor {
		return F.Conv2d(c.padded(x), c.Weight.Tensor, c.Bias.Tensor, c.pass)
	})
}

// Conv3d is a convolution over three spatial dimensions (torch.nn.Conv3d). Keys: weight [out, in/groups, KD, KH, KW],
// bias [out].
type Conv3d struct {
	Base
	Weight Parameter // [out, in/groups, KD, KH, KW]
	Bias   Parameter // [out]; the zero Parameter with NoBias
	conv
}

// NewConv3d makes a convolution from in to out channels (torch.nn.Conv3d). It panics as NewConv2d does.
func NewConv3d[K Size](in, out int, kernel K, opts ...ConvOptions) *Conv3d {
	c := &Conv3d{}
	c.Weight, c.Bias = c.init("nn.NewConv3d", in, out, F.Sizes("nn.NewConv3d", "the kernel", 3, kernel),
		one("nn.NewConv3d", opts))
	return c
}

// ResetParameters draws the initial values anew (Conv3d.reset_parameters).
func (c *Conv3d) ResetParameters() { resetLike(c.Weight, c.Bias) }

// Forward takes x [N, in, D, H, W] or [in, D, H, W] and returns [N, out, D', H', W'] or [out, D', H', W'].
func (c *Conv3d) Forward(x *torch.Tensor) *torch.Tensor {
	return c.withHooks(c, x, func(x *torch.Tensor) *torch.Tensor {
		return F.Conv3d(c.padded(x), c.Weight.Tensor, c.Bias.Tensor, c.pass)
	})
}
