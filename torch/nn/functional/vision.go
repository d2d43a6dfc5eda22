package functional

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// PixelShuffle rearranges x [*, C·r², H, W] to [*, C, H·r, W·r] (torch.nn.functional.pixel_shuffle).
func PixelShuffle(x *torch.Tensor, r int) *torch.Tensor { return aten.PixelShuffle(x, r) }

// PixelUnshuffle rearranges x [*, C, H·r, W·r] to [*, C·r², H, W] (torch.nn.functional.pixel_unshuffle).
func PixelUnshuffle(x *torch.Tensor, r int) *torch.Tensor { return aten.PixelUnshuffle(x, r) }

// ChannelShuffle divides the channels of x [N, C, ...] into groups and interleaves them
// (torch.nn.functional.channel_shuffle).
func ChannelShuffle(x *torch.Tensor, groups int) *torch.Tensor { return aten.ChannelShuffle(x, groups) }

// FoldOptions are the optional arguments of Fold and Unfold: one number for both spatial dimensions, or one for each.
type FoldOptions struct {
	Dilation  int   // default 1
	Dilations []int // Dilation for each dimension
	Padding   int   // default 0
	Paddings  []int // Padding for each dimension
	Stride    int   // default 1
	Strides   []int // Stride for each dimension
}

func (o FoldOptions) each(operation string) (dilation, padding, stride []int) {
	return EachOf(operation, "Dilation", 2, o.Dilation, o.Dilations, 1), EachOf(operation, "Padding", 2, o.Padding,
			o.Paddings, 0),
		EachOf(operation, "Stride", 2, o.Stride, o.Strides, 1)
}

// Unfold cuts windows out of x [N, C, H, W]: [N, C·KH·KW, L] (torch.nn.functional.unfold).
func Unfold[K Size](x *torch.Tensor, kernel K, opts ...FoldOptions) *torch.Tensor {
	dilation, padding, stride := one("F.Unfold", opts).each("F.Unfold")
	return aten.Im2col(x, Sizes("F.Unfold", "the window", 2, kernel), dilation, padding, stride)
}

// Fold adds windows x [N, C·KH·KW, L] up to an image of the given size: [N, C, H, W] (torch.nn.functional.fold).
func Fold[S, K Size](x *torch.Tensor, size S, kernel K, opts ...FoldOptions) *torch.Tensor {
	dilation, padding, stride := one("F.Fold", opts).each("F.Fold")
	return aten.Col2im(x, Sizes("F.Fold", "the output's size", 2, size), Sizes("F.Fold", "the window", 2, kernel),
		dilation, padding, stride)
}

// GridSampleMode is how GridSample finds values between pixels (torch.nn.functional.grid_sample's mode).
//
// The modes are GridBilinear (the default), GridNearest and GridBicubic.
type GridSampleMode uint8

// Modes of GridSample.
const (
	GridBilinear GridSampleMode = iota
	GridNearest
	GridBicubic
)

// GridPadding is what GridSample finds outside the image (torch.nn.functional.grid_sample's padding_mode).
//
// The paddings are GridZeros (the default), GridBorder and GridReflection.
type GridPadding uint8

// Paddings of GridSample.
const (
	GridZeros GridPadding = iota
	GridBorder
	GridReflection
)

// GridSampleOptions are GridSample's optional arguments.
type GridSampleOptions struct {
	Mode         GridSampleMode // default GridBilinear
	Padding      GridPadding    // default GridZeros
	AlignCorners bool           // -1 and 1 are the centres of the corner pixels, not their edges
}

// GridSample takes values of x [N, C, H, W] at the places of grid [N, H', W', 2], from -1 to 1, x first; also of three
// spatial dimensions (torch.nn.functional.grid_sample).
func GridSample(x, grid *torch.Tensor, opts ...GridSampleOptions) *torch.Tensor {
	o := one("F.GridSample", opts)
	if o.Mode > GridBicubic || o.Padding > GridReflection {
		torch.Fail("F.GridSample", "want Mode F.GridBilinear, F.GridNearest or F.GridBicubic and Padding F.GridZeros, "+
			"F.GridBorder or F.GridReflection, got %d and %d", o.Mode, o.Padding)
	}
	return aten.GridSampler(x, grid, int(o.Mode), int(o.Padding), o.AlignCorners)
}

// AffineGrid makes a grid for GridSample from affine matrices theta [N, 2, 3], for a result of size [N, C, H, W], or
// [N, 3, 4] and [N, C, D, H, W] (torch.nn.functional.affine_grid).
func AffineGrid(theta *torch.Tensor, size []int, alignCorners ...bool) *torch.Tensor {
	shape, n := theta.Shape(), len(size)-2
	if n != 2 && n != 3 || len(shape) != 3 || shape[1] != n || shape[2] != n+1 {
		torch.Fail("F.AffineGrid", "want matrices [N, 2, 3] and a size [N, C, H, W], or one dimension more, got %v and %v",
			shape, size)
	}
	for _, s := range size {
		if s < 1 {
			torch.Fail("F.AffineGrid", "the size must be positive, got %v", size)
		}
	}
	return aten.AffineGridGenerator(theta, size, len(alignCorners) > 0 && one("F.AffineGrid", alignCorners))
}
