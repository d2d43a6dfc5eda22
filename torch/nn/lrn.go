package nn

import (
	"math"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	F "github.com/golite/golite/torch/nn/functional"
)

// LocalResponseNormOptions are the optional arguments of NewLocalResponseNorm and NewCrossMapLRN2d.
type LocalResponseNormOptions = F.LocalResponseNormOptions

// LocalResponseNorm normalises across neighbouring channels (torch.nn.LocalResponseNorm).
type LocalResponseNorm struct {
	Base
	size    int
	options LocalResponseNormOptions
}

// NewLocalResponseNorm normalises across size channels, 1 or more (torch.nn.LocalResponseNorm).
func NewLocalResponseNorm(size int, opts ...LocalResponseNormOptions) *LocalResponseNorm {
	positive("nn.NewLocalResponseNorm", "the number of channels", size)
	return &LocalResponseNorm{size: size, options: one("nn.NewLocalResponseNorm", opts)}
}

// Forward takes x [N, C, ...] and returns the same shape.
func (l *LocalResponseNorm) Forward(x *torch.Tensor) *torch.Tensor {
	return l.withHooks(l, x, func(x *torch.Tensor) *torch.Tensor { return F.LocalResponseNorm(x, l.size, l.options) })
}

// CrossMapLRN2d normalises across neighbouring channels of images, with sums that run along (torch.nn.CrossMapLRN2d).
type CrossMapLRN2d struct {
	Base
	size           int
	alpha, beta, k float64
}

// NewCrossMapLRN2d normalises across size channels, 1 or more (torch.nn.CrossMapLRN2d).
func NewCrossMapLRN2d(size int, opts ...LocalResponseNormOptions) *CrossMapLRN2d {
	positive("nn.NewCrossMapLRN2d", "the number of channels", size)
	o := one("nn.NewCrossMapLRN2d", opts)
	return &CrossMapLRN2d{size: size, alpha: or(o.Alpha, 1e-4), beta: or(o.Beta, 0.75), k: or(o.K, 1)}
}

// Forward takes x [N, C, H, W] and returns the same shape.
func (l *CrossMapLRN2d) Forward(x *torch.Tensor) *torch.Tensor {
	return l.withHooks(l, x, func(x *torch.Tensor) *torch.Tensor {
		wantDims("nn.CrossMapLRN2d", x, 4)
		f := &torch.Function{
			Name: "nn.CrossMapLRN2d",
			Forward: func(c *torch.FunctionCtx, in []*torch.Tensor) []*torch.Tensor {
				scale := l.scale(in[0])
				out := aten.MulTensor_(aten.PowTensorScalar(scale, torch.Float(-l.beta)), in[0])
				c.Save(in[0], out, scale)
				return []*torch.Tensor{out}
			},
			Backward: func(c *torch.FunctionCtx, grads []*torch.Tensor) []*torch.Tensor {
				saved := c.Saved()
				return []*torch.Tensor{l.backward(saved[0], saved[1], saved[2], grads[0])}
			},
		}
		return f.Apply(x)[0]
	})
}

// scale is k + alpha/size times the sum of squares of the channels around each one.
func (l *CrossMapLRN2d) scale(x *torch.Tensor) *torch.Tensor {
	channels := x.Size(1)
	square := aten.PowTensorScalar(x, torch.Int(2))
	scale := aten.ZerosLike(x, 0, 0, torch.Device{}, nil, 0)
	at := func(t *torch.Tensor, c int) *torch.Tensor { return aten.SelectInt(t, 1, c) }
	before := int(float64(l.size-1)/2 + 1)
	for c := range min(before, channels) {
		aten.AddTensor_(at(scale, 0), at(square, c), torch.Int(1))
	}
	for c := 1; c < channels; c++ {
		now := aten.Copy_(at(scale, c), at(scale, c-1), false)
		if c < channels-before+1 {
			aten.AddTensor_(now, at(square, c+before-1), torch.Int(1))
		}
		if c > before {
			aten.AddTensor_(now, at(square, c-before), torch.Int(-1))
		}
	}
	aten.MulScalar_(scale, torch.Float(l.alpha/float64(l.size)))
	return aten.AddScalar_(scale, torch.Number(l.k), torch.Int(1))
}

func (l *CrossMapLRN2d) backward(x, out, scale, grad *torch.Tensor) *torch.Tensor {
	shape := x.Shape()
	o := torch.Options{DType: x.DType(), Device: x.Device()}
	ratio := o.Zeros(shape[1]+l.size-1, shape[2], shape[3])
	first := int(float64(l.size) - float64(l.size-1)/2)
	middle := aten.Narrow(ratio, 0, first, shape[1])
	factor := torch.Float(-2 * l.alpha * l.beta / float64(l.size))
	result := aten.MulTensor_(aten.PowTensorScalar(scale, torch.Float(-l.beta)), grad)
	for n := range shape[0] {
		aten.Copy_(middle, aten.MulTensor(row0(grad, n), row0(out, n)), false)
		aten.DivTensor_(middle, row0(scale, n))
		sum := aten.SumDimIntList(aten.Narrow(ratio, 0, 0, l.size-1), []int{0}, false, 0)
		for c := range shape[1] {
			aten.AddTensor_(sum, row0(ratio, c+l.size-1), torch.Int(1))
			aten.Addcmul_(row0(row0(result, n), c), row0(row0(x, n), c), sum, factor)
			aten.AddTensor_(sum, row0(ratio, c), torch.Int(-1))
		}
	}
	return result
}

func row0(t *torch.Tensor, i int) *torch.Tensor { return aten.SelectInt(t, 0, i) }

// AdaptiveLogSoftmaxOptions are the optional arguments of NewAdaptiveLogSoftmaxWithLoss.
type AdaptiveLogSoftmaxOptions struct {
	DivValue float64      // each cluster's features are those of the one before, divided by this; 0 means 4
	HeadBias bool         // a bias in the head
	DType    torch.DType  // of the parameters; default: the default floating type
	Device   torch.Device // of the parameters; default: the CPU
}

// AdaptiveLogSoftmaxWithLoss is a softmax over many classes, of which the rare ones are in clusters with fewer features
// (torch.nn.AdaptiveLogSoftmaxWithLoss). Keys: head.weight, head.bias, tail.0.0.weight, tail.0.1.weight, ….
type AdaptiveLogSoftmaxWithLoss struct {
	Base
	Head    *Linear
	Tail    []*Sequential
	cutoffs []int // the first class of each cluster, and the number of classes
}

// NewAdaptiveLogSoftmaxWithLoss makes the layer for in features and classes, which must be ordered by how frequent they
// are (torch.nn.AdaptiveLogSoftmaxWithLoss). cutoffs are the first classes of the clusters. It panics if there are
// none, or they don't rise from 1 to below classes.
func NewAdaptiveLogSoftmaxWithLoss(in, classes int, cutoffs []int,
	opts ...AdaptiveLogSoftmaxOptions) *AdaptiveLogSoftmaxWithLoss {
	const operation = "nn.NewAdaptiveLogSoftmaxWithLoss"
	o := one(operation, opts)
	before := 0
	for _, c := range cutoffs {
		if c <= before || c > classes-1 {
			torch.Fail(operation, "cutoffs must rise from 1 to at most %d, got %v", classes-1, cutoffs)
		}
		before = c
	}
	if len(cutoffs) == 0 {
		torch.Fail(operation, "there are no cutoffs")
	}
	if o.DivValue == 0 {
		o.DivValue = 4
	}
	linear := LinearOptions{NoBias: true, DType: o.DType, Device: o.Device}
	head := linear
	head.NoBias = !o.HeadBias
	a := &AdaptiveLogSoftmaxWithLoss{cutoffs: append(append([]int{}, cutoffs...), classes)}
	a.Head = NewLinear(in, cutoffs[0]+len(cutoffs), head)
	for i := range cutoffs {
		hidden := int(math.Floor(float64(in) / math.Pow(o.DivValue, float64(i+1))))
		a.Tail = append(a.Tail, NewSequential(NewLinear(in, hidden, linear), NewLinear(hidden, a.cutoffs[i+1]-a.cutoffs[i],
			linear)))
	}
	return a
}

// Forward takes x [N, in] and classes [N], or [in] and []; it returns the log probability of each target and their
// mean, negated: the loss.
func (a *AdaptiveLogSoftmaxWithLoss) Forward(x, target *torch.Tensor) (output, loss *torch.Tensor) {
	if a.hooks == nil {
		return a.forward(x, target)
	}
	out := a.hooks.run(a, []*torch.Tensor{x, target}, func(in []*torch.Tensor) []*torch.Tensor {
		output, loss := a.forward(in[0], in[1])
		return []*torch.Tensor{output, loss}
	})
	return out[0], out[1]
}

func (a *AdaptiveLogSoftmaxWithLoss) forward(x, target *torch.Tensor) (output, loss *torch.Tensor) {
	const operation = "nn.AdaptiveLogSoftmaxWithLoss"
	wantDims(operation, target, 0, 1)
	wantDims(operation, x, target.Dim()+1)
	batched := target.Dim() == 1
	if !batched {
		x, target = aten.Unsqueeze(x, 0), aten.Unsqueeze(target, 0)
	}
	n := target.Size(0)
	if x.Size(0) != n {
		torch.Fail(operation, "want as many targets as samples, got %v and %v", x.Shape(), target.Shape())
	}
	output = torch.Options{DType: x.DType(), Device: x.Device()}.Zeros(n)
	places := torch.Options{DType: torch.Int64, Device: x.Device()}.Zeros(n)
	used, low := 0, 0
	for i, high := range a.cutoffs {
		used += a.cluster(i, low, high, x, target, output, places)
		low = high
	}
	if used != n {
		torch.Fail(operation, "targets must be classes from 0 to %d, got some from %d to %d", low-1,
			torch.Item[int](aten.Min(target)), torch.Item[int](aten.Max(target)))
	}
	head := F.LogSoftmax(a.Head.Forward(x), 1)
	output = aten.AddTensor_(output, aten.Squeeze(aten.Gather(head, 1, aten.Unsqueeze(places, 1), false)), torch.Int(1))
	loss = aten.Mean(aten.Neg(output), 0)
	if !batched {
		output = aten.SqueezeDim(output, 0)
	}
	return output, loss
}

// cluster adds the log probabilities of a cluster's targets, and says how many there are.
func (a *AdaptiveLogSoftmaxWithLoss) cluster(i, low, high int, x, target, output, places *torch.Tensor) int {
	mask := aten.LogicalAnd(aten.GeScalar(target, torch.Int(low)), aten.LtScalar(target, torch.Int(high)))
	rows := aten.Squeeze(aten.Nonzero(mask))
	n := rows.Numel()
	if n == 0 {
		return 0
	}
	chosen := aten.IndexTensor(target, []*torch.Tensor{mask})
	if i == 0 {
		aten.IndexCopy_(places, 0, rows, chosen)
		return n
	}
	relative := aten.SubScalar(chosen, torch.Int(low), torch.Int(1))
	scores := a.Tail[i-1].Forward(aten.IndexSelect(x, 0, rows))
	aten.IndexFillIntScalar_(places, 0, rows, torch.Int(a.cutoffs[0]+i-1))
	local := aten.Gather(F.LogSoftmax(scores, 1), 1, aten.Unsqueeze(relative, 1), false)
	aten.IndexCopy_(output, 0, rows, aten.SqueezeDim(local, 1))
	return n
}

// LogProb takes x [N, in] and returns the log probabilities of all classes [N, classes]
// (AdaptiveLogSoftmaxWithLoss.log_prob).
func (a *AdaptiveLogSoftmaxWithLoss) LogProb(x *torch.Tensor) *torch.Tensor {
	head := F.LogSoftmax(a.Head.Forward(x), 1)
	short := a.cutoffs[0]
	parts := []*torch.Tensor{aten.Narrow(head, 1, 0, short)}
	for i, tail := range a.Tail {
		scores := F.LogSoftmax(tail.Forward(x), 1)
		parts = append(parts, aten.AddTensor(scores, aten.Narrow(head, 1, short+i, 1), torch.Int(1)))
	}
	return aten.Cat(parts, 1)
}

// Predict takes x [N, in] and returns the most probable class of each [N] (AdaptiveLogSoftmaxWithLoss.predict).
func (a *AdaptiveLogSoftmaxWithLoss) Predict(x *torch.Tensor) *torch.Tensor {
	return aten.Argmax(a.LogProb(x), new(1), false)
}
