package functional

import (
	"fmt"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// InterpolateMode is how Interpolate finds new values (torch.nn.functional.interpolate's mode).
//
// The modes are Nearest (the default), Linear1d, Bilinear2d, Bicubic, Trilinear, Area and NearestExact.
type InterpolateMode uint8

// Modes of Interpolate.
const (
	Nearest      InterpolateMode = iota
	Linear1d                     // of x [N, C, L] (linear)
	Bilinear2d                   // of x [N, C, H, W] (bilinear)
	Bicubic                      // of x [N, C, H, W]
	Trilinear                    // of x [N, C, D, H, W]
	Area                         // means of windows
	NearestExact                 // as Pillow's and scikit-image's nearest
)

// String returns PyTorch's name.
func (m InterpolateMode) String() string {
	names := [...]string{"nearest", "linear", "bilinear", "bicubic", "trilinear", "area", "nearest-exact"}
	if int(m) < len(names) {
		return names[m]
	}
	return "unknown mode"
}

// goName is the mode's name in Go, and PyTorch's, which alone would lead to F.Bilinear, the bilinear layer's function.
func (m InterpolateMode) goName() string {
	names := [...]string{"Nearest", "Linear1d", "Bilinear2d", "Bicubic", "Trilinear", "Area", "NearestExact"}
	if int(m) < len(names) {
		return "F." + names[m] + " (" + m.String() + ")"
	}
	return fmt.Sprintf("InterpolateMode(%d)", m)
}

// InterpolateOptions are Interpolate's arguments: either Size or Scale is needed.
type InterpolateOptions struct {
	Size         []int           // of the result: one number, or one for each spatial dimension
	Scale        []float64       // the result's size over the input's: one number, or one for each spatial dimension
	Mode         InterpolateMode // default Nearest
	AlignCorners bool            // the corners' centres stay where they are; not with Nearest, NearestExact and Area
	// RecomputeScale computes the scale anew from the rounded size (recompute_scale_factor=True).
	RecomputeScale bool
	Antialias      bool // with Bilinear2d and Bicubic, when the result is smaller
}

// Interpolate makes x [N, C, ...], with 1 to 3 spatial dimensions, larger or smaller (torch.nn.functional.interpolate).
func Interpolate(x *torch.Tensor, o InterpolateOptions) *torch.Tensor {
	const operation = "F.Interpolate"
	dims := x.Dim()
	o.check(operation, dims)
	size, scale := o.target(operation, x.Shape(), dims-2)
	call := resamplers[o.Mode][dims]
	if call == nil {
		torch.Fail(operation, "mode %s doesn't go with an input of %d dimensions, %v", o.Mode.goName(), dims, x.Shape())
	}
	return call(x, size, scale, o)
}

func (o InterpolateOptions) check(operation string, dims int) {
	plain := o.Mode == Nearest || o.Mode == NearestExact || o.Mode == Area
	switch {
	case dims < 3 || dims > 5:
		torch.Fail(operation, "want an input of 3, 4 or 5 dimensions, got %d", dims)
	case plain && o.AlignCorners:
		torch.Fail(operation, "AlignCorners doesn't go with mode %s", o.Mode.goName())
	case (o.Size == nil) == (o.Scale == nil):
		torch.Fail(operation, "want one of Size and Scale")
	case o.RecomputeScale && o.Size != nil:
		torch.Fail(operation, "RecomputeScale doesn't go with Size")
	case o.Antialias && !(dims == 4 && (o.Mode == Bilinear2d || o.Mode == Bicubic)):
		torch.Fail(operation, "Antialias goes with modes F.Bilinear2d and F.Bicubic, and inputs of 4 dimensions")
	}
}

// target gives the size or the scale that libtorch is given; the other is nil.
func (o InterpolateOptions) target(operation string, shape []int, n int) (size []int, scale []float64) {
	if o.Size != nil {
		return Sizes(operation, "Size", n, o.Size), nil
	}
	if len(o.Scale) != 1 && len(o.Scale) != n {
		torch.Fail(operation, "Scale must be one number or %d, got %v", n, o.Scale)
	}
	for i := range n {
		scale = append(scale, o.Scale[min(i, len(o.Scale)-1)])
	}
	if o.RecomputeScale || o.Mode == Area {
		for i := range n {
			size = append(size, int(float64(shape[i+2])*scale[i]))
		}
		return size, nil
	}
	return nil, scale
}

type resampler func(x *torch.Tensor, size []int, scale []float64, o InterpolateOptions) *torch.Tensor

// resamplers are libtorch's operators by mode and number of dimensions.
var resamplers = map[InterpolateMode]map[int]resampler{
	Nearest: {
		3: plainly(aten.UpsampleNearest1dVec), 4: plainly(aten.UpsampleNearest2dVec), 5: plainly(aten.UpsampleNearest3dVec),
	},
	NearestExact: {
		3: plainly(aten.UpsampleNearestExact1dVec), 4: plainly(aten.UpsampleNearestExact2dVec),
		5: plainly(aten.UpsampleNearestExact3dVec),
	},
	Area: {
		3: means(aten.AdaptiveAvgPool1d), 4: means(aten.AdaptiveAvgPool2d), 5: means(aten.AdaptiveAvgPool3d),
	},
	Linear1d:   {3: cornered(aten.UpsampleLinear1dVec, nil)},
	Bilinear2d: {4: cornered(aten.UpsampleBilinear2dVec, aten.UpsampleBilinear2dAaVec)},
	Bicubic:    {4: cornered(aten.UpsampleBicubic2dVec, aten.UpsampleBicubic2dAaVec)},
	Trilinear:  {5: cornered(aten.UpsampleTrilinear3dVec, nil)},
}

func plainly(f func(*torch.Tensor, []int, []float64) *torch.Tensor) resampler {
	return func(x *torch.Tensor, size []int, scale []float64, _ InterpolateOptions) *torch.Tensor {
		return f(x, size, scale)
	}
}

func means(f func(*torch.Tensor, []int) *torch.Tensor) resampler {
	return func(x *torch.Tensor, size []int, _ []float64, _ InterpolateOptions) *torch.Tensor { return f(x, size) }
}

func cornered(f, smooth func(*torch.Tensor, []int, bool, []float64) *torch.Tensor) resampler {
	return func(x *torch.Tensor, size []int, scale []float64, o InterpolateOptions) *torch.Tensor {
		if o.Antialias {
			return smooth(x, size, o.AlignCorners, scale)
		}
		return f(x, size, o.AlignCorners, scale)
	}
}
