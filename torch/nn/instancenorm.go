package nn

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	F "github.com/golite/golite/torch/nn/functional"
)

// InstanceNormOptions are the optional arguments of the constructors of instance normalisation.
type InstanceNormOptions struct {
	Eps          *float64     // added to the variance; default 1e-5
	Momentum     *float64     // how far the running statistics move to the batch's; default 0.1
	Affine       bool         // a weight and a bias (affine=True)
	RunningStats bool         // running statistics, used in evaluation mode (track_running_stats=True)
	DType        torch.DType  // of the parameters; default: the default floating type
	Device       torch.Device // of the parameters; default: the CPU
}

// instanceNorm is what the instance normalisations have in common.
type instanceNorm struct{ batchNorm }

// batches: an instance normalisation is none over the batch.
func (b *instanceNorm) batches() *batchNorm { return nil }

func (b *instanceNorm) init(operation string, features int, o InstanceNormOptions) normTensors {
	return b.batchNorm.init(operation, features, BatchNormOptions{
		Eps: o.Eps, Momentum: o.Momentum, NoAffine: !o.Affine, NoRunningStats: !o.RunningStats, DType: o.DType,
		Device: o.Device,
	})
}

// instances is the instance normalisations' Forward; dims is the number of dimensions without a batch.
func (b *instanceNorm) instances(operation string, training bool, t normTensors, x *torch.Tensor,
	dims int) *torch.Tensor {
	wantDims(operation, x, dims, dims+1)
	unbatched := x.Dim() == dims
	channel := 1
	if unbatched {
		channel = 0
	}
	if n := x.Size(channel); n != b.features && t.weight.Tensor != nil {
		torch.Fail(operation, "want %d channels, got an input %v", b.features, x.Shape())
	}
	if unbatched {
		x = aten.Unsqueeze(x, 0)
	}
	out := F.InstanceNorm(x, t.runningMean.Tensor, t.runningVar.Tensor, F.BatchNormOptions{
		Weight: t.weight.Tensor, Bias: t.bias.Tensor, Momentum: &b.momentum, Eps: &b.eps,
		RunningStats: !training && t.runningMean.Tensor != nil,
	})
	if unbatched {
		out = aten.SqueezeDim(out, 0)
	}
	return out
}

// InstanceNorm1d normalises each channel of each sample (torch.nn.InstanceNorm1d). Keys, where the options enable them:
// weight, bias, running_mean, running_var [C], num_batches_tracked.
type InstanceNorm1d struct {
	Base
	Weight            Parameter // [C]; the zero Parameter without Affine
	Bias              Parameter // [C]; the zero Parameter without Affine
	RunningMean       Buffer    // [C]; the zero Buffer without RunningStats
	RunningVar        Buffer    // [C]; the zero Buffer without RunningStats
	NumBatchesTracked Buffer    // []; the zero Buffer without RunningStats
	instanceNorm
}

// NewInstanceNorm1d makes an instance normalisation of features channels, by default without parameters and running
// statistics (torch.nn.InstanceNorm1d).
func NewInstanceNorm1d(features int, opts ...InstanceNormOptions) *InstanceNorm1d {
	b := &InstanceNorm1d{}
	t := b.init("nn.NewInstanceNorm1d", features, one("nn.NewInstanceNorm1d", opts))
	b.Weight, b.Bias = t.weight, t.bias
	b.RunningMean, b.RunningVar, b.NumBatchesTracked = t.runningMean, t.runningVar, t.numBatchesTracked
	return b
}

// ResetRunningStats makes the running statistics what they were at first (InstanceNorm1d.reset_running_stats).
func (b *InstanceNorm1d) ResetRunningStats() { b.tensors().resetStats() }

// ResetParameters makes the statistics, the weight and the bias what they were at first
// (InstanceNorm1d.reset_parameters).
func (b *InstanceNorm1d) ResetParameters() { b.tensors().reset() }

func (b *InstanceNorm1d) tensors() normTensors {
	return normTensors{b.Weight, b.Bias, b.RunningMean, b.RunningVar, b.NumBatchesTracked}
}

// Forward takes x [N, C, L] or [C, L] and returns the same shape.
func (b *InstanceNorm1d) Forward(x *torch.Tensor) *torch.Tensor {
	return b.withHooks(b, x, func(x *torch.Tensor) *torch.Tensor {
		return b.instances("nn.InstanceNorm1d", b.Training(), b.tensors(), x, 2)
	})
}

// InstanceNorm2d normalises each channel of each sample (torch.nn.InstanceNorm2d). Keys, where the options enable them:
// weight, bias, running_mean, running_var [C], num_batches_tracked.
type InstanceNorm2d struct {
	Base
	Weight            Parameter // [C]; the zero Parameter without Affine
	Bias              Parameter // [C]; the zero Parameter without Affine
	RunningMean       Buffer    // [C]; the zero Buffer without RunningStats
	RunningVar        Buffer    // [C]; the zero Buffer without RunningStats
	NumBatchesTracked Buffer    // []; the zero Buffer without RunningStats
	instanceNorm
}

// NewInstanceNorm2d makes an instance normalisation of features channels, by default without parameters and running
// statistics (torch.nn.InstanceNorm2d).
func NewInstanceNorm2d(features int, opts ...InstanceNormOptions) *InstanceNorm2d {
	b := &InstanceNorm2d{}
	t := b.init("nn.NewInstanceNorm2d", features, one("nn.NewInstanceNorm2d", opts))
	b.Weight, b.Bias = t.weight, t.bias
	b.RunningMean, b.RunningVar, b.NumBatchesTracked = t.runningMean, t.runningVar, t.numBatchesTracked
	return b
}

// ResetRunningStats makes the running statistics what they were at first (InstanceNorm2d.reset_running_stats).
func (b *InstanceNorm2d) ResetRunningStats() { b.tensors().resetStats() }

// ResetParameters makes the statistics, the weight and the bias what they were at first
// (InstanceNorm2d.reset_parameters).
func (b *InstanceNorm2d) ResetParameters() { b.tensors().reset() }

func (b *InstanceNorm2d) tensors() normTensors {
	return normTensors{b.Weight, b.Bias, b.RunningMean, b.RunningVar, b.NumBatchesTracked}
}

// Forward takes x [N, C, H, W] or [C, H, W] and returns the same shape.
func (b *InstanceNorm2d) Forward(x *torch.Tensor) *torch.Tensor {
	return b.withHooks(b, x, func(x *torch.Tensor) *torch.Tensor {
		return b.instances("nn.InstanceNorm2d", b.Training(), b.tensors(), x, 3)
	})
}

// InstanceNorm3d normalises each channel of each sample (torch.nn.InstanceNorm3d). Keys, where the options enable them:
// weight, bias, running_mean, running_var [C], num_batches_tracked.
type InstanceNorm3d struct {
	Base
	Weight            Parameter // [C]; the zero Parameter without Affine
	Bias              Parameter // [C]; the zero Parameter without Affine
	RunningMean       Buffer    // [C]; the zero Buffer without RunningStats
	RunningVar        Buffer    // [C]; the zero Buffer without RunningStats
	NumBatchesTracked Buffer    // []; the zero Buffer without RunningStats
	instanceNorm
}

// NewInstanceNorm3d makes an instance normalisation of features channels, by default without parameters and running
// statistics (torch.nn.InstanceNorm3d).
func NewInstanceNorm3d(features int, opts ...InstanceNormOptions) *InstanceNorm3d {
	b := &InstanceNorm3d{}
	t := b.init("nn.NewInstanceNorm3d", features, one("nn.NewInstanceNorm3d", opts))
	b.Weight, b.Bias = t.weight, t.bias
	b.RunningMean, b.RunningVar, b.NumBatchesTracked = t.runningMean, t.runningVar, t.numBatchesTracked
	return b
}

// ResetRunningStats makes the running statistics what they were at first (InstanceNorm3d.reset_running_stats).
func (b *InstanceNorm3d) ResetRunningStats() { b.tensors().resetStats() }

// ResetParameters makes the statistics, the weight and the bias what they were at first
// (InstanceNorm3d.reset_parameters).
func (b *InstanceNorm3d) ResetParameters() { b.tensors().reset() }

func (b *InstanceNorm3d) tensors() normTensors {
	return normTensors{b.Weight, b.Bias, b.RunningMean, b.RunningVar, b.NumBatchesTracked}
}

// Forward takes x [N, C, D, H, W] or [C, D, H, W] and returns the same shape.
func (b *InstanceNorm3d) Forward(x *torch.Tensor) *torch.Tensor {
	return b.withHooks(b, x, func(x *torch.Tensor) *torch.Tensor {
		return b.instances("nn.InstanceNorm3d", b.Training(), b.tensors(), x, 4)
	})
}
