package functional

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// BatchNormOptions are the optional arguments of BatchNorm and InstanceNorm.
type BatchNormOptions struct {
	Weight, Bias *torch.Tensor // [C], or nil
	Training     bool          // BatchNorm: normalise by the batch's statistics and move the running ones towards them
	Momentum     *float64      // how far the running statistics move; default 0.1
	Eps          *float64      // added to the variance; default 1e-5
	// RunningStats makes InstanceNorm normalise by the running statistics (use_input_stats=False).
	RunningStats bool
}

// BatchNorm normalises each channel of x [N, C, ...] over the batch; runningMean and runningVar [C] may be nil when
// training (torch.nn.functional.batch_norm).
func BatchNorm(x, runningMean, runningVar *torch.Tensor, opts ...BatchNormOptions) *torch.Tensor {
	o := one("F.BatchNorm", opts)
	if o.Training {
		moreThanOne("F.BatchNorm", x.Shape())
	}
	eps := or(o.Eps, 1e-5)
	if eps <= 0 {
		torch.Fail("F.BatchNorm", "Eps must be positive, got %g", eps)
	}
	return aten.BatchNorm(x, o.Weight, o.Bias, runningMean, runningVar, o.Training, or(o.Momentum, 0.1), eps, true)
}

// moreThanOne refuses statistics of one value.
func moreThanOne(operation string, shape []int) {
	if len(shape) < 2 {
		torch.Fail(operation, "want an input of at least 2 dimensions, batch and channels, got %v", shape)
	}
	n := shape[0]
	for _, s := range shape[2:] {
		n *= s
	}
	if n == 1 {
		torch.Fail(operation, "want more than 1 value per channel when training, got input %v", shape)
	}
}

// InstanceNorm normalises each channel of each sample of x [N, C, ...]; runningMean and runningVar [C] may be nil
// (torch.nn.functional.instance_norm).
func InstanceNorm(x, runningMean, runningVar *torch.Tensor, opts ...BatchNormOptions) *torch.Tensor {
	o := one("F.InstanceNorm", opts)
	if !o.RunningStats {
		shape, n := x.Shape(), 1
		for _, s := range shape[min(2, len(shape)):] {
			n *= s
		}
		if n == 1 {
			torch.Fail("F.InstanceNorm", "want more than 1 spatial element when training, got input %v", shape)
		}
	}
	return aten.InstanceNorm(x, o.Weight, o.Bias, runningMean, runningVar, !o.RunningStats, or(o.Momentum, 0.1),
		or(o.Eps, 1e-5), true)
}

// NormOptions are the optional arguments of LayerNorm and GroupNorm.
type NormOptions struct {
	Weight, Bias *torch.Tensor // nil: none
	Eps          *float64      // added to the variance; default 1e-5
}

// LayerNorm normalises over the last dimensions of x, those of normalizedShape (torch.nn.functional.layer_norm).
func LayerNorm(x *torch.Tensor, normalizedShape []int, opts ...NormOptions) *torch.Tensor {
	o := one("F.LayerNorm", opts)
	return aten.LayerNorm(x, normalizedShape, o.Weight, o.Bias, or(o.Eps, 1e-5), true)
}

// GroupNorm normalises groups of channels of x [N, C, ...] in each sample (torch.nn.functional.group_norm).
func GroupNorm(x *torch.Tensor, numGroups int, opts ...NormOptions) *torch.Tensor {
	const operation = "F.GroupNorm"
	o := one(operation, opts)
	shape := x.Shape()
	if len(shape) < 2 {
		torch.Fail(operation, "want an input of at least 2 dimensions, got %v", shape)
	}
	if numGroups < 1 {
		torch.Fail(operation, "want at least 1 group, got %d", numGroups)
	}
	moreThanOne(operation, append([]int{shape[0] * shape[1] / numGroups, numGroups}, shape[2:]...))
	return aten.GroupNorm(x, numGroups, o.Weight, o.Bias, or(o.Eps, 1e-5), true)
}

// RMSNormOptions are RMSNorm's optional arguments.
type RMSNormOptions struct {
	Weight *torch.Tensor // of the normalised shape, or nil
	Eps    *float64      // added to the mean square; default: the smallest step of x's type at 1
}

// RMSNorm divides by the root of the mean square over the last dimensions of x (torch.nn.functional.rms_norm).
func RMSNorm(x *torch.Tensor, normalizedShape []int, opts ...RMSNormOptions) *torch.Tensor {
	o := one("F.RMSNorm", opts)
	return aten.RmsNorm(x, normalizedShape, o.Weight, o.Eps)
}

// LocalResponseNormOptions are LocalResponseNorm's optional arguments.
type LocalResponseNormOptions struct {
	Alpha *float64 // default 1e-4
	Beta  *float64 // default 0.75
	K     *float64 // default 1
}

// LocalResponseNorm normalises across size neighbouring channels of x [N, C, ...]
// (torch.nn.functional.local_response_norm).
func LocalResponseNorm(x *torch.Tensor, size int, opts ...LocalResponseNormOptions) *torch.Tensor {
	const operation = "F.LocalResponseNorm"
	o := one(operation, opts)
	shape := x.Shape()
	if len(shape) < 3 {
		torch.Fail(operation, "want an input of at least 3 dimensions, got %v", shape)
	}
	if x.Numel() == 0 {
		return x
	}
	sq := mul(x, x)
	if len(shape) == 3 {
		sq = Pad(aten.Unsqueeze(sq, 1), []int{0, 0, size / 2, (size - 1) / 2})
		sq = aten.SqueezeDim(AvgPool2d(sq, []int{size, 1}, AvgPoolOptions{Stride: 1}), 1)
	} else {
		sq = Pad(aten.View(sq, []int{shape[0], 1, shape[1], shape[2], -1}), []int{0, 0, 0, 0, size / 2, (size - 1) / 2})
		sq = aten.SqueezeDim(AvgPool3d(sq, []int{size, 1, 1}, AvgPoolOptions{Stride: 1}), 1)
		sq = aten.View(sq, shape)
	}
	return div(x, pow(plus(times(sq, or(o.Alpha, 1e-4)), or(o.K, 1)), or(o.Beta, 0.75)))
}

// NormalizeOptions are Normalize's optional arguments.
type NormalizeOptions struct {
	P   *float64 // the norm; default 2
	Dim *int     // default 1
	Eps *float64 // the least divisor; default 1e-12
}

// Normalize divides x by its norm along a dimension (torch.nn.functional.normalize).
func Normalize(x *torch.Tensor, opts ...NormalizeOptions) *torch.Tensor {
	o := one("F.Normalize", opts)
	p := torch.Float(or(o.P, 2))
	norm := aten.NormScalarOptDim(x, &p, []int{or(o.Dim, 1)}, true)
	return div(x, aten.ExpandAs(aten.ClampMin(norm, torch.Float(or(o.Eps, 1e-12))), x))
}
