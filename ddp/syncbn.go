package ddp

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

// SyncBatchNormOptions are the optional arguments of NewSyncBatchNorm; the zero value is PyTorch's default.
type SyncBatchNormOptions struct {
	Eps      *float64 // added to the variance; default 1e-5
	Momentum *float64 // how far the running statistics move to the batch's; default 0.1
	NoAffine bool     // no weight and bias
	DType    torch.DType
	Device   torch.Device
}

// SyncBatchNorm is batch normalisation over the batches of all ranks together (torch.nn.SyncBatchNorm), on any device.
// Keys are those of nn.BatchNorm2d: weight, bias, running_mean, running_var [C], num_batches_tracked. In evaluation mode
// it makes no collective.
type SyncBatchNorm struct {
	nn.Base
	Weight            nn.Parameter
	Bias              nn.Parameter
	RunningMean       nn.Buffer
	RunningVar        nn.Buffer
	NumBatchesTracked nn.Buffer

	g             *Group
	eps, momentum float64
}

// NewSyncBatchNorm makes a batch normalisation of features channels over a group's ranks.
func NewSyncBatchNorm(g *Group, features int, opts ...SyncBatchNormOptions) *SyncBatchNorm {
	o, err := optional("ddp.NewSyncBatchNorm", opts)
	if err != nil || features < 0 {
		torch.Fail("ddp.NewSyncBatchNorm", "want a number of channels and at most one options value, got %d and %d", features, len(opts))
	}
	b := &SyncBatchNorm{g: g, eps: 1e-5, momentum: 0.1}
	if o.Eps != nil {
		b.eps = *o.Eps
	}
	if o.Momentum != nil {
		b.momentum = *o.Momentum
	}
	f := torch.Options{DType: o.DType, Device: o.Device}
	if !o.NoAffine {
		b.Weight, b.Bias = nn.NewParameter(f.Ones(features)), nn.NewParameter(f.Zeros(features))
	}
	b.RunningMean, b.RunningVar = nn.NewBuffer(f.Zeros(features)), nn.NewBuffer(f.Ones(features))
	b.NumBatchesTracked = nn.NewBuffer(torch.Options{DType: torch.Int64, Device: o.Device}.Zeros())
	return b
}

// Forward takes x [N, C, ...]; the ranks' N may differ, and be 0. Gradients flow through the statistics of all ranks.
func (b *SyncBatchNorm) Forward(x *torch.Tensor) *torch.Tensor {
	if x.Dim() < 2 {
		torch.Fail("ddp.SyncBatchNorm", "want an input of 2 dimensions or more, got %v", x.Shape())
	}
	channels := make([]int, x.Dim()) // the shape in which a channel's number meets x
	var others []int
	for i := range channels {
		channels[i] = 1
		if i != 1 {
			others = append(others, i)
		}
	}
	channels[1] = -1
	mean, variance := b.RunningMean.Tensor, b.RunningVar.Tensor
	if b.Training() {
		mean, variance = b.statistics(x, channels, others)
	}
	y := x.Sub(mean.View(channels...)).Mul(variance.AddScalar(b.eps).Rsqrt().View(channels...))
	if b.Weight.Tensor != nil {
		y = y.Mul(b.Weight.View(channels...)).Add(b.Bias.View(channels...))
	}
	return y
}

// statistics returns the mean and the variance of each channel over all ranks, and moves the running ones.
func (b *SyncBatchNorm) statistics(x *torch.Tensor, channels, others []int) (mean, variance *torch.Tensor) {
	n := 0
	if c := x.Size(1); c > 0 {
		n = x.Numel() / c
	}
	count := torch.Full(float64(n), 1)
	total := b.g.AllReduce(count, Sum).Item()
	if total < 2 {
		torch.Fail("ddp.SyncBatchNorm", "want more than one value per channel over all ranks in training, got %v", total)
	}
	mean = b.g.AllReduceGrad(x.Sum(others...), Sum).DivScalar(total)
	centred := x.Sub(mean.View(channels...))
	variance = b.g.AllReduceGrad(centred.Mul(centred).Sum(others...), Sum).DivScalar(total)
	torch.NoGrad(func() {
		b.NumBatchesTracked.AddScalar_(1)
		b.RunningMean.MulScalar_(1 - b.momentum).Add_(mean.Detach().MulScalar(b.momentum))
		b.RunningVar.MulScalar_(1 - b.momentum).Add_(variance.Detach().MulScalar(b.momentum * total / (total - 1)))
	})
	return mean, variance
}
