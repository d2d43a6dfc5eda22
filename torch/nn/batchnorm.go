package nn

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	F "github.com/golite/golite/torch/nn/functional"
)

// BatchNormOptions are the optional arguments of the constructors of batch normalisation.
type BatchNormOptions struct {
	Eps            *float64     // added to the variance; default 1e-5
	Momentum       *float64     // how far the running statistics move to the batch's; default 0.1
	Cumulative     bool         // the running statistics are the mean of all batches' (momentum=None)
	NoAffine       bool         // no weight and bias (affine=False)
	NoRunningStats bool         // no running statistics: the batch's are used in evaluation mode too (track_running_stats=False)
	DType          torch.DType  // of the parameters; default: the default floating type
	Device         torch.Device // of the parameters; default: the CPU
}

// batchNorm is what batch and instance normalisation have in common.
type batchNorm struct {
	Base
	Weight            Parameter
	Bias              Parameter
	RunningMean       Buffer
	RunningVar        Buffer
	NumBatchesTracked Buffer
	eps, momentum     float64
	cumulative        bool
	features          int
	with              BatchNormFunc // nil: F.BatchNorm
}

func (b *batchNorm) init(operation string, features int, o BatchNormOptions) {
	notNegative(operation, "the number of channels", features)
	if o.Cumulative && o.Momentum != nil {
		torch.Fail(operation, "Cumulative is given together with Momentum")
	}
	b.eps, b.momentum, b.cumulative, b.features = or(o.Eps, 1e-5), or(o.Momentum, 0.1), o.Cumulative, features
	f := factory{o.DType, o.Device}
	if !o.NoAffine {
		b.Weight, b.Bias = f.ones(features), f.zeros(features)
	}
	if !o.NoRunningStats {
		b.RunningMean = f.buffer(func(o torch.Options) *torch.Tensor { return o.Zeros(features) })
		b.RunningVar = f.buffer(func(o torch.Options) *torch.Tensor { return o.Ones(features) })
		b.NumBatchesTracked = factory{torch.Int64, o.Device}.buffer(func(o torch.Options) *torch.Tensor { return o.Zeros() })
	}
}

// ResetRunningStats makes the running statistics what they were at first (reset_running_stats).
func (b *batchNorm) ResetRunningStats() {
	if b.RunningMean.Tensor == nil {
		return
	}
	torch.NoGrad(func() {
		aten.Zero_(b.RunningMean.Tensor)
		aten.FillScalar_(b.RunningVar.Tensor, torch.Int(1))
		aten.Zero_(b.NumBatchesTracked.Tensor)
	})
}

// ResetParameters makes the statistics, the weight and the bias what they were at first (reset_parameters).
func (b *batchNorm) ResetParameters() {
	b.ResetRunningStats()
	torch.NoGrad(func() {
		if b.Weight.Tensor != nil {
			aten.FillScalar_(b.Weight.Tensor, torch.Int(1))
			aten.Zero_(b.Bias.Tensor)
		}
	})
}

// BatchNormFunc is F.BatchNorm, or what takes its place.
type BatchNormFunc func(x, runningMean, runningVar *torch.Tensor, o F.BatchNormOptions) *torch.Tensor

// NormalizeWith lets the batch normalisations inside a model, or it itself, compute with f in place of F.BatchNorm while they
// are in training mode, and take inputs of any 2 dimensions or more; nil gives F.BatchNorm back. Their tensors and keys stay.
// It returns how many there are. ddp.ConvertSyncBatchNorm is made of it.
func NormalizeWith(m Module, f BatchNormFunc) (count int) {
	for _, m := range Modules(m) {
		if n, ok := m.(interface{ batches() *batchNorm }); ok && n.batches() != nil {
			n.batches().with = f
			count++
		}
	}
	return count
}

// batches tells a batch normalisation, or a module that embeds one, from other modules.
func (b *batchNorm) batches() *batchNorm { return b }

// normalize is the batch normalisations' Forward.
func (b *batchNorm) normalize(operation string, x *torch.Tensor, dims ...int) *torch.Tensor {
	if b.with == nil || x.Dim() < 2 {
		wantDims(operation, x, dims...)
	}
	momentum := b.momentum
	if b.cumulative {
		momentum = 0
	}
	tracked := b.RunningMean.Tensor != nil
	if b.Training() && tracked {
		aten.AddScalar_(b.NumBatchesTracked.Tensor, torch.Int(1), torch.Int(1))
		if b.cumulative {
			momentum = 1 / b.NumBatchesTracked.Item()
		}
	}
	o := F.BatchNormOptions{
		Weight: b.Weight.Tensor, Bias: b.Bias.Tensor, Training: b.Training() || !tracked, Momentum: &momentum, Eps: &b.eps,
	}
	if b.with != nil && b.Training() {
		return b.with(x, b.RunningMean.Tensor, b.RunningVar.Tensor, o)
	}
	return F.BatchNorm(x, b.RunningMean.Tensor, b.RunningVar.Tensor, o)
}

// wantDims refuses an input of another number of dimensions than those named.
func wantDims(operation string, x *torch.Tensor, dims ...int) {
	have := x.Dim()
	for _, d := range dims {
		if d == have {
			return
		}
	}
	torch.Fail(operation, "want an input of %s dimensions, got %v", listed(dims), x.Shape())
}

// BatchNorm1d normalises each channel over the batch (torch.nn.BatchNorm1d). Keys: weight, bias, running_mean,
// running_var [C], num_batches_tracked.
//
// In training mode it uses the batch's statistics and moves the running ones towards them, in evaluation mode it uses the
// running ones and writes nothing.
type BatchNorm1d struct{ batchNorm }

// NewBatchNorm1d makes a batch normalisation of features channels, with weight 1, bias 0, running mean 0 and running
// variance 1 (torch.nn.BatchNorm1d). It panics if Cumulative is given together with Momentum.
func NewBatchNorm1d(features int, opts ...BatchNormOptions) *BatchNorm1d {
	b := &BatchNorm1d{}
	b.init("nn.NewBatchNorm1d", features, one("nn.NewBatchNorm1d", opts))
	return b
}

// Forward takes x [N, C] or [N, C, L] and returns the same shape.
func (b *BatchNorm1d) Forward(x *torch.Tensor) *torch.Tensor {
	return b.normalize("nn.BatchNorm1d", x, 2, 3)
}

// BatchNorm2d normalises each channel over the batch (torch.nn.BatchNorm2d); see BatchNorm1d.
type BatchNorm2d struct{ batchNorm }

// NewBatchNorm2d makes a batch normalisation of features channels, with weight 1, bias 0, running mean 0 and running
// variance 1 (torch.nn.BatchNorm2d). It panics if Cumulative is given together with Momentum.
func NewBatchNorm2d(features int, opts ...BatchNormOptions) *BatchNorm2d {
	b := &BatchNorm2d{}
	b.init("nn.NewBatchNorm2d", features, one("nn.NewBatchNorm2d", opts))
	return b
}

// Forward takes x [N, C, H, W] and returns the same shape.
func (b *BatchNorm2d) Forward(x *torch.Tensor) *torch.Tensor {
	return b.normalize("nn.BatchNorm2d", x, 4)
}

// BatchNorm3d normalises each channel over the batch (torch.nn.BatchNorm3d); see BatchNorm1d.
type BatchNorm3d struct{ batchNorm }

// NewBatchNorm3d makes a batch normalisation of features channels, with weight 1, bias 0, running mean 0 and running
// variance 1 (torch.nn.BatchNorm3d). It panics if Cumulative is given together with Momentum.
func NewBatchNorm3d(features int, opts ...BatchNormOptions) *BatchNorm3d {
	b := &BatchNorm3d{}
	b.init("nn.NewBatchNorm3d", features, one("nn.NewBatchNorm3d", opts))
	return b
}

// Forward takes x [N, C, D, H, W] and returns the same shape.
func (b *BatchNorm3d) Forward(x *torch.Tensor) *torch.Tensor {
	return b.normalize("nn.BatchNorm3d", x, 5)
}
