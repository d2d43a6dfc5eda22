package ddp

import (
	"github.com/golite/golite/dist"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
)

// SyncBatchNorm is batch normalisation over the batches of all ranks together, for inputs [N, C, ...] on any device
// (torch.nn.SyncBatchNorm, which takes them on GPUs alone). Keys are those of nn.BatchNorm2d: weight, bias,
// running_mean, running_var [C], num_batches_tracked.
//
// The ranks' N may differ, and be 0. Statistics of float16 and bfloat16 are formed in float32. Gradients flow through
// the statistics of all ranks: every rank runs backward. In evaluation mode, and with one rank, it is nn.BatchNorm2d
// and makes no collective.
type SyncBatchNorm struct{ *nn.BatchNorm1d }

// NewSyncBatchNorm makes a batch normalisation of features channels over a group's ranks.
func NewSyncBatchNorm(g *dist.Group, features int, opts ...nn.BatchNormOptions) *SyncBatchNorm {
	b := &SyncBatchNorm{nn.NewBatchNorm1d(features, opts...)}
	ConvertSyncBatchNorm(b, g)
	return b
}

// ConvertSyncBatchNorm makes all nn.BatchNorm1d, 2d and 3d inside a model, or the model itself, normalise as
// SyncBatchNorm does, over a group's ranks, and returns how many there are
// (torch.nn.SyncBatchNorm.convert_sync_batchnorm). The modules keep their types, tensors and keys.
func ConvertSyncBatchNorm(m nn.Module, g *dist.Group) int {
	return nn.NormalizeWith(m, func(x, runningMean, runningVar *torch.Tensor, o F.BatchNormOptions) *torch.Tensor {
		return batchNorm(g, x, runningMean, runningVar, o)
	})
}

// syncNorm is one normalisation.
type syncNorm struct {
	g              *dist.Group
	eps, momentum  float64
	total          float64       // values per channel over all ranks
	mean, variance *torch.Tensor // the running ones, or nil
	channels       []int         // the shape in which a channel's number broadcasts over the input
	others         []int         // the input's other dimensions
	stat           torch.DType   // of statistics
}

// batchNorm is F.BatchNorm over all ranks, in training.
func batchNorm(g *dist.Group, x, runningMean, runningVar *torch.Tensor, o F.BatchNormOptions) *torch.Tensor {
	if g.Size() == 1 {
		return F.BatchNorm(x, runningMean, runningVar, o)
	}
	n := &syncNorm{g: g, eps: *o.Eps, momentum: *o.Momentum, mean: runningMean, variance: runningVar, stat: torch.Float32}
	if x.DType() == torch.Float64 {
		n.stat = torch.Float64
	}
	for _, t := range []*torch.Tensor{o.Weight, runningMean} {
		if t != nil && t.Numel() != x.Size(1) {
			torch.Fail("ddp.SyncBatchNorm", "want %d channels, got an input %v", t.Numel(), x.Shape())
		}
	}
	for i := range x.Dim() {
		n.channels = append(n.channels, 1)
		if i != 1 {
			n.others = append(n.others, i)
		}
	}
	n.channels[1] = -1
	in := []*torch.Tensor{x}
	if o.Weight != nil {
		in = append(in, o.Weight, o.Bias)
	}
	f := &torch.Function{Name: "ddp.SyncBatchNorm", Forward: n.forward, Backward: n.backward}
	return f.Apply(in...)[0]
}

func (n *syncNorm) forward(c *torch.FunctionCtx, in []*torch.Tensor) []*torch.Tensor {
	x := in[0].To(n.stat)
	mean, variance := n.statistics(x)
	n.move(mean, variance)
	scale := variance.AddScalar(n.eps).Rsqrt()
	c.Save(append([]*torch.Tensor{in[0], mean, scale}, in[1:]...)...)
	y := x.Sub(n.wide(mean)).Mul(n.wide(scale))
	if len(in) > 1 {
		y = y.Mul(n.wide(in[1])).Add(n.wide(in[2]))
	}
	return []*torch.Tensor{y.To(in[0].DType())}
}

// wide gives a channel's number the input's dimensions.
func (n *syncNorm) wide(t *torch.Tensor) *torch.Tensor { return t.To(n.stat).View(n.channels...) }

// statistics returns the mean and the variance of each channel over all ranks. A rank's own are exchanged with the
// number of values behind them, in one message, and combined in float64.
func (n *syncNorm) statistics(x *torch.Tensor) (mean, variance *torch.Tensor) {
	features, count := x.Size(1), 0
	if features > 0 {
		count = x.Numel() / features
	}
	mean = x.Sum(n.others...).DivScalar(float64(max(count, 1)))
	apart := x.Sub(n.wide(mean))
	squares := apart.Mul(apart).Sum(n.others...)
	wide := torch.Options{DType: torch.Float64, Device: x.Device()}
	mine := torch.Cat([]*torch.Tensor{mean.To(torch.Float64), squares.To(torch.Float64), wide.Full(float64(count), 1)}, 0)
	all := torch.Stack(n.g.AllGather(mine), 0) // [ranks, 2C + 1]
	means, counts := all.Narrow(1, 0, features), all.Narrow(1, 2*features, 1)
	n.total = counts.Sum().Item()
	if n.total < 2 {
		torch.Fail("ddp.SyncBatchNorm", "want more than one value per channel over all ranks in training, got %v", n.total)
	}
	mean = means.Mul(counts).Sum(0).DivScalar(n.total)
	between := means.Sub(mean)
	variance = all.Narrow(1, features, features).Add(between.Mul(between).Mul(counts)).Sum(0).DivScalar(n.total)
	return mean.To(n.stat), variance.To(n.stat)
}

// move moves the running statistics towards the batch's.
func (n *syncNorm) move(mean, variance *torch.Tensor) {
	if n.mean == nil {
		return
	}
	n.mean.MulScalar_(1 - n.momentum).Add_(mean.MulScalar(n.momentum).To(n.mean.DType()))
	n.variance.MulScalar_(1 - n.momentum).Add_(variance.MulScalar(n.momentum * n.total / (n.total - 1)).To(
		n.variance.DType()))
}

// backward sums up, over all ranks, what reaches the statistics, in one message.
func (n *syncNorm) backward(c *torch.FunctionCtx, grads []*torch.Tensor) []*torch.Tensor {
	saved := c.Saved()
	x, mean, scale := saved[0], saved[1], saved[2]
	g := grads[0].To(n.stat)
	apart := x.To(n.stat).Sub(n.wide(mean))
	sum := g.Sum(n.others...)
	lean := g.Mul(apart).Sum(n.others...)
	out := make([]*torch.Tensor, len(saved)-2)
	if len(out) > 1 {
		weight := saved[3]
		out[1], out[2] = lean.Mul(scale).To(weight.DType()), sum.To(weight.DType())
	}
	if !c.NeedsInputGrad(0) {
		return out
	}
	both := n.g.AllReduce(torch.Cat([]*torch.Tensor{sum, lean}, 0), dist.Sum).DivScalar(n.total)
	sum, lean = both.Narrow(0, 0, sum.Numel()), both.Narrow(0, sum.Numel(), lean.Numel())
	dx := g.Sub(n.wide(sum)).Sub(apart.Mul(n.wide(lean.Mul(scale).Mul(scale))))
	if len(out) > 1 {
		scale = scale.Mul(saved[3].To(n.stat))
	}
	out[0] = dx.Mul(n.wide(scale)).To(x.DType())
	return out
}
