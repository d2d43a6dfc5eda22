package nn

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	F "github.com/golite/golite/torch/nn/functional"
)

// BatchNormOptions are the optional arguments of the constructors of batch normalisation.
type BatchNormOptions struct {
	Eps        *float64 // added to the variance; default 1e-5
	Momentum   *float64 // how far the running statistics move to the batch's; default 0.1
	Cumulative bool     // the running statistics are the mean of all batches' (momentum=None)
	NoAffine   bool     // no weight and bias (affine=False)
	// no running statistics: the batch's are used in evaluation mode too (track_running_stats=False)
	NoRunningStats bool
	DType          torch.DType  // of the parameters; default: the default floating type
	Device         torch.Device // of the parameters; default: the CPU
}

// batchNorm holds the settings that batch and instance normalisation have in common.
type batchNorm struct {
	eps, momentum       float64
	cumulative          bool
	noAffine, noRunning bool
	features            int
	with                BatchNormFunc // nil: F.BatchNorm
}

// normTensors are the parameters and buffers of one normalisation.
type normTensors struct {
	weight, bias                               Parameter
	runningMean, runningVar, numBatchesTracked Buffer
}

func (b *batchNorm) init(operation string, features int, o BatchNormOptions) (t normTensors) {
	notNegative(operation, "the number of channels", features)
	if o.Cumulative && o.Momentum != nil {
		torch.Fail(operation, "Cumulative is given together with Momentum")
	}
	*b = batchNorm{eps: or(o.Eps, 1e-5), momentum: or(o.Momentum, 0.1), cumulative: o.Cumulative, noAffine: o.NoAffine,
		noRunning: o.NoRunningStats, features: features}
	f := factory{o.DType, o.Device}
	if !o.NoAffine {
		t.weight, t.bias = f.ones(features), f.zeros(features)
	}
	if !o.NoRunningStats {
		t.runningMean = f.buffer(func(o torch.Options) *torch.Tensor { return o.Zeros(features) })
		t.runningVar = f.buffer(func(o torch.Options) *torch.Tensor { return o.Ones(features) })
		t.numBatchesTracked = factory{torch.Int64, o.Device}.buffer(func(o torch.Options) *torch.Tensor { return o.Zeros() })
	}
	return t
}

// resetStats makes the running statistics what they were at first.
func (t normTensors) resetStats() {
	if t.runningMean.Tensor == nil {
		return
	}
	torch.NoGrad(func() {
		aten.Zero_(t.runningMean.Tensor)
		aten.FillScalar_(t.runningVar.Tensor, torch.Int(1))
		aten.Zero_(t.numBatchesTracked.Tensor)
	})
}

// reset makes the statistics, the weight and the bias what they were at first.
func (t normTensors) reset() {
	t.resetStats()
	torch.NoGrad(func() {
		if t.weight.Tensor != nil {
			aten.FillScalar_(t.weight.Tensor, torch.Int(1))
			aten.Zero_(t.bias.Tensor)
		}
	})
}

// BatchNormFunc is F.BatchNorm, or what takes its place.
type BatchNormFunc func(x, runningMean, runningVar *torch.Tensor, o F.BatchNormOptions) *torch.Tensor

// NormalizeWith makes the batch normalisations inside a model, or the model itself, compute with f in place of
// F.BatchNorm in training mode, and accept inputs of 2 or more dimensions; nil restores F.BatchNorm. Their tensors and
// keys stay. It returns how many there are. ddp.ConvertSyncBatchNorm uses it.
func NormalizeWith(m Module, f BatchNormFunc) (count int) {
	for _, m := range Modules(m) {
		if n, ok := m.(interface{ batches() *batchNorm }); ok && n.batches() != nil {
			n.batches().with = f
			count++
		}
	}
	return count
}

// batches is the method of batch normalisations, and of modules that embed one, that other modules lack.
func (b *batchNorm) batches() *batchNorm { return b }

// normalize is the batch normalisations' Forward.
func (b *batchNorm) normalize(operation string, training bool, t normTensors, x *torch.Tensor,
	dims ...int) *torch.Tensor {
	if b.with == nil || x.Dim() < 2 {
		wantDims(operation, x, dims...)
	}
	momentum := b.momentum
	if b.cumulative {
		momentum = 0
	}
	tracked := t.runningMean.Tensor != nil
	if training && tracked {
		aten.AddScalar_(t.numBatchesTracked.Tensor, torch.Int(1), torch.Int(1))
		if b.cumulative {
			momentum = 1 / t.numBatchesTracked.Item()
		}
	}
	o := F.BatchNormOptions{
		Weight: t.weight.Tensor, Bias: t.bias.Tensor, Training: training || !tracked, Momentum: &momentum, Eps: &b.eps,
	}
	if b.with != nil && training {
		return b.with(x, t.runningMean.Tensor, t.runningVar.Tensor, o)
	}
	return F.BatchNorm(x, t.runningMean.Tensor, t.runningVar.Tensor, o)
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
// In training mode it uses the batch's statistics and moves the running ones towards them, in evaluation mode it uses
// the running ones and writes nothing.
type BatchNorm1d struct {
	Base
	Weight            Parameter // [C]; the zero Parameter with NoAffine
	Bias              Parameter // [C]; the zero Parameter with NoAffine
	RunningMean       Buffer    // [C]; the zero Buffer with NoRunningStats
	RunningVar        Buffer    // [C]; the zero Buffer with NoRunningStats
	NumBatchesTracked Buffer    // []; the zero Buffer with NoRunningStats
	batchNorm
}

// NewBatchNorm1d makes a batch normalisation of features channels, with weight 1, bias 0, running mean 0 and running
// variance 1 (torch.nn.BatchNorm1d). It panics if Cumulative is given together with Momentum.
func NewBatchNorm1d(features int, opts ...BatchNormOptions) *BatchNorm1d {
	b := &BatchNorm1d{}
	t := b.init("nn.NewBatchNorm1d", features, one("nn.NewBatchNorm1d", opts))
	b.Weight, b.Bias = t.weight, t.bias
	b.RunningMean, b.RunningVar, b.NumBatchesTracked = t.runningMean, t.runningVar, t.numBatchesTracked
	return b
}

// ResetRunningStats makes the running statistics what they were at first (BatchNorm1d.reset_running_stats).
func (b *BatchNorm1d) ResetRunningStats() { b.tensors().resetStats() }

// ResetParameters makes the statistics, the weight and the bias what they were at first (BatchNorm1d.reset_parameters).
func (b *BatchNorm1d) ResetParameters() { b.tensors().reset() }

func (b *BatchNorm1d) tensors() normTensors {
	return normTensors{b.Weight, b.Bias, b.RunningMean, b.RunningVar, b.NumBatchesTracked}
}

// Forward takes x [N, C] or [N, C, L] and returns the same shape.
func (b *BatchNorm1d) Forward(x *torch.Tensor) *torch.Tensor {
	return b.withHooks(b, x, func(x *torch.Tensor) *torch.Tensor {
		return b.normalize("nn.BatchNorm1d", b.Training(), b.tensors(), x, 2, 3)
	})
}

// BatchNorm2d normalises each channel over the batch (torch.nn.BatchNorm2d); see BatchNorm1d.
type BatchNorm2d struct {
	Base
	Weight            Parameter // [C]; the zero Parameter with NoAffine
	Bias              Parameter // [C]; the zero Parameter with NoAffine
	RunningMean       Buffer    // [C]; the zero Buffer with NoRunningStats
	RunningVar        Buffer    // [C]; the zero Buffer with NoRunningStats
	NumBatchesTracked Buffer    // []; the zero Buffer with NoRunningStats
	batchNorm
}

// NewBatchNorm2d makes a batch normalisation of features channels, with weight 1, bias 0, running mean 0 and running
// variance 1 (torch.nn.BatchNorm2d). It panics if Cumulative is given together with Momentum.
func NewBatchNorm2d(features int, opts ...BatchNormOptions) *BatchNorm2d {
	b := &BatchNorm2d{}
	t := b.init("nn.NewBatchNorm2d", features, one("nn.NewBatchNorm2d", opts))
	b.Weight, b.Bias = t.weight, t.bias
	b.RunningMean, b.RunningVar, b.NumBatchesTracked = t.runningMean, t.runningVar, t.numBatchesTracked
	return b
}

// ResetRunningStats makes the running statistics what they were at first (BatchNorm2d.reset_running_stats).
func (b *BatchNorm2d) ResetRunningStats() { b.tensors().resetStats() }

// ResetParameters makes the statistics, the weight and the bias what they were at first (BatchNorm2d.reset_parameters).
func (b *BatchNorm2d) ResetParameters() { b.tensors().reset() }

func (b *BatchNorm2d) tensors() normTensors {
	return normTensors{b.Weight, b.Bias, b.RunningMean, b.RunningVar, b.NumBatchesTracked}
}

// Forward takes x [N, C, H, W] and returns the same shape.
func (b *BatchNorm2d) Forward(x *torch.Tensor) *torch.Tensor {
	return b.withHooks(b, x, func(x *torch.Tensor) *torch.Tensor {
		return b.normalize("nn.BatchNorm2d", b.Training(), b.tensors(), x, 4)
	})
}

// BatchNorm3d normalises each channel over the batch (torch.nn.BatchNorm3d); see BatchNorm1d.
type BatchNorm3d struct {
	Base
	Weight            Parameter // [C]; the zero Parameter with NoAffine
	Bias              Parameter // [C]; the zero Parameter with NoAffine
	RunningMean       Buffer    // [C]; the zero Buffer with NoRunningStats
	RunningVar        Buffer    // [C]; the zero Buffer with NoRunningStats
	NumBatchesTracked Buffer    // []; the zero Buffer with NoRunningStats
	batchNorm
}

// NewBatchNorm3d makes a batch normalisation of features channels, with weight 1, bias 0, running mean 0 and running
// variance 1 (torch.nn.BatchNorm3d). It panics if Cumulative is given together with Momentum.
func NewBatchNorm3d(features int, opts ...BatchNormOptions) *BatchNorm3d {
	b := &BatchNorm3d{}
	t := b.init("nn.NewBatchNorm3d", features, one("nn.NewBatchNorm3d", opts))
	b.Weight, b.Bias = t.weight, t.bias
	b.RunningMean, b.RunningVar, b.NumBatchesTracked = t.runningMean, t.runningVar, t.numBatchesTracked
	return b
}

// ResetRunningStats makes the running statistics what they were at first (BatchNorm3d.reset_running_stats).
func (b *BatchNorm3d) ResetRunningStats() { b.tensors().resetStats() }

// ResetParameters makes the statistics, the weight and the bias what they were at first (BatchNorm3d.reset_parameters).
func (b *BatchNorm3d) ResetParameters() { b.tensors().reset() }

func (b *BatchNorm3d) tensors() normTensors {
	return normTensors{b.Weight, b.Bias, b.RunningMean, b.RunningVar, b.NumBatchesTracked}
}

// Forward takes x [N, C, D, H, W] and returns the same shape.
func (b *BatchNorm3d) Forward(x *torch.Tensor) *torch.Tensor {
	return b.withHooks(b, x, func(x *torch.Tensor) *torch.Tensor {
		return b.normalize("nn.BatchNorm3d", b.Training(), b.tensors(), x, 5)
	})
}
