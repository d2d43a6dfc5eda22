package functional

import (
	"math"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// CrossEntropyOptions are CrossEntropy's optional arguments.
type CrossEntropyOptions struct {
	Weight         *torch.Tensor // [C]: a factor for each class
	IgnoreIndex    *int          // targets of this class count for nothing; default -100
	LabelSmoothing float64       // how much of the target goes to all classes alike; from 0 to 1
	Reduction      Reduction     // of the elements' losses; default Mean
}

// CrossEntropy is the cross entropy of logits x [N, C], [C] or [N, C, d1, ...] and targets: classes [N], [] or [N, d1,
// ...] of integers, or probabilities of x's shape (torch.nn.functional.cross_entropy).
func CrossEntropy(x, target *torch.Tensor, opts ...CrossEntropyOptions) *torch.Tensor {
	o := one("F.CrossEntropy", opts)
	return aten.CrossEntropyLoss(x, target, o.Weight, o.Reduction.code("F.CrossEntropy"), or(o.IgnoreIndex, -100),
		o.LabelSmoothing)
}

// NLLLossOptions are NLLLoss's optional arguments.
type NLLLossOptions struct {
	Weight      *torch.Tensor // [C]: a factor for each class
	IgnoreIndex *int          // targets of this class count for nothing; default -100
	Reduction   Reduction     // of the elements' losses; default Mean
}

// NLLLoss is the negative log likelihood of log probabilities x [N, C], [C] or [N, C, d1, ...] and classes
// (torch.nn.functional.nll_loss).
func NLLLoss(x, target *torch.Tensor, opts ...NLLLossOptions) *torch.Tensor {
	o := one("F.NLLLoss", opts)
	return aten.NllLossNd(x, target, o.Weight, o.Reduction.code("F.NLLLoss"), or(o.IgnoreIndex, -100))
}

// WeightedLossOptions are the optional arguments of MSELoss and L1Loss.
type WeightedLossOptions struct {
	Weight    *torch.Tensor // of x's shape: a factor for each element; the mean is then the weighted one
	Reduction Reduction     // of the elements' losses; default Mean
}

// MSELoss is the squared difference (torch.nn.functional.mse_loss). x and target are broadcast; give them one shape.
func MSELoss(x, target *torch.Tensor, opts ...WeightedLossOptions) *torch.Tensor {
	const operation = "F.MSELoss"
	o := one(operation, opts)
	both := aten.BroadcastTensors([]*torch.Tensor{x, target})
	if o.Weight == nil {
		return aten.MseLoss(both[0], both[1], o.Reduction.code(operation))
	}
	return o.weigh(operation, x, pow(sub(both[0], both[1]), 2))
}

// L1Loss is the absolute difference (torch.nn.functional.l1_loss). x and target are broadcast; give them one shape.
func L1Loss(x, target *torch.Tensor, opts ...WeightedLossOptions) *torch.Tensor {
	const operation = "F.L1Loss"
	o := one(operation, opts)
	both := aten.BroadcastTensors([]*torch.Tensor{x, target})
	if o.Weight == nil {
		return aten.L1Loss(both[0], both[1], o.Reduction.code(operation))
	}
	return o.weigh(operation, x, aten.Abs(sub(both[0], both[1])))
}

func (o WeightedLossOptions) weigh(operation string, x, loss *torch.Tensor) *torch.Tensor {
	sameShape(operation, "Weight", o.Weight, x)
	loss = mul(loss, o.Weight)
	if o.Reduction == Mean {
		return div(aten.Sum(loss, 0), aten.Sum(o.Weight, 0))
	}
	return o.Reduction.of(operation, loss)
}

func sameShape(operation, what string, t, x *torch.Tensor) {
	if !equalShape(t, x) {
		torch.Fail(operation, "%s must have the shape of the input, %v, got %v", what, x.Shape(), t.Shape())
	}
}

// SmoothL1LossOptions are SmoothL1Loss's optional arguments.
type SmoothL1LossOptions struct {
	Beta      *float64  // differences smaller than this are squared; default 1
	Reduction Reduction // of the elements' losses; default Mean
}

// SmoothL1Loss is the squared difference, divided by 2·Beta, where that is smaller than Beta, else the absolute one
// less Beta/2 (torch.nn.functional.smooth_l1_loss).
func SmoothL1Loss(x, target *torch.Tensor, opts ...SmoothL1LossOptions) *torch.Tensor {
	o := one("F.SmoothL1Loss", opts)
	both := aten.BroadcastTensors([]*torch.Tensor{x, target})
	beta, reduction := or(o.Beta, 1), o.Reduction.code("F.SmoothL1Loss")
	if beta == 0 {
		return aten.L1Loss(both[0], both[1], reduction)
	}
	return aten.SmoothL1Loss(both[0], both[1], reduction, beta)
}

// HuberLossOptions are HuberLoss's optional arguments.
type HuberLossOptions struct {
	Delta     *float64      // differences smaller than this are squared; default 1
	Weight    *torch.Tensor // of x's shape: a factor for each element
	Reduction Reduction     // of the elements' losses; default Mean
}

// HuberLoss is half the squared difference where that is smaller than Delta, else Delta·(|difference| - Delta/2)
// (torch.nn.functional.huber_loss).
func HuberLoss(x, target *torch.Tensor, opts ...HuberLossOptions) *torch.Tensor {
	const operation = "F.HuberLoss"
	o := one(operation, opts)
	both := aten.BroadcastTensors([]*torch.Tensor{x, target})
	if o.Weight == nil {
		return aten.HuberLoss(both[0], both[1], o.Reduction.code(operation), or(o.Delta, 1))
	}
	sameShape(operation, "Weight", o.Weight, x)
	return o.Reduction.of(operation, mul(aten.HuberLoss(both[0], both[1], None.code(operation), or(o.Delta, 1)), o.Weight))
}

// BCEOptions are BCE's optional arguments.
type BCEOptions struct {
	Weight    *torch.Tensor // a factor for each element, broadcast to the target's shape
	Reduction Reduction     // of the elements' losses; default Mean
}

// BCE is the binary cross entropy of probabilities x and targets of the same shape
// (torch.nn.functional.binary_cross_entropy).
func BCE(x, target *torch.Tensor, opts ...BCEOptions) *torch.Tensor {
	const operation = "F.BCE"
	o := one(operation, opts)
	sameShape(operation, "the target", target, x)
	if o.Weight != nil {
		o.Weight = aten.BroadcastTensors([]*torch.Tensor{o.Weight, target})[0]
	}
	return aten.BinaryCrossEntropy(x, target, o.Weight, o.Reduction.code(operation))
}

// BCEWithLogitsOptions are BCEWithLogits's optional arguments.
type BCEWithLogitsOptions struct {
	Weight    *torch.Tensor // a factor for each element, broadcast
	PosWeight *torch.Tensor // a factor for the positive targets, broadcast
	Reduction Reduction     // of the elements' losses; default Mean
}

// BCEWithLogits is the binary cross entropy of sigmoid(x) and targets of the same shape, computed without loss of
// accuracy (torch.nn.functional.binary_cross_entropy_with_logits).
func BCEWithLogits(x, target *torch.Tensor, opts ...BCEWithLogitsOptions) *torch.Tensor {
	const operation = "F.BCEWithLogits"
	o := one(operation, opts)
	sameShape(operation, "the target", target, x)
	return aten.BinaryCrossEntropyWithLogits(x, target, o.Weight, o.PosWeight, o.Reduction.code(operation))
}

// PoissonNLLLossOptions are PoissonNLLLoss's optional arguments.
type PoissonNLLLossOptions struct {
	NoLogInput bool      // x is the rate itself, not its logarithm (log_input=False)
	Full       bool      // add Stirling's approximation of the constant term
	Eps        *float64  // keeps log(x) from 0 with NoLogInput; default 1e-8
	Reduction  Reduction // of the elements' losses; default Mean
}

// PoissonNLLLoss is the negative log likelihood of a Poisson distribution (torch.nn.functional.poisson_nll_loss).
func PoissonNLLLoss(x, target *torch.Tensor, opts ...PoissonNLLLossOptions) *torch.Tensor {
	o := one("F.PoissonNLLLoss", opts)
	return aten.PoissonNllLoss(x, target, !o.NoLogInput, o.Full, or(o.Eps, 1e-8), o.Reduction.code("F.PoissonNLLLoss"))
}

// GaussianNLLLossOptions are GaussianNLLLoss's optional arguments.
type GaussianNLLLossOptions struct {
	Full      bool      // add the constant term
	Eps       *float64  // the least variance; default 1e-6
	Reduction Reduction // of the elements' losses; default Mean
}

// GaussianNLLLoss is the negative log likelihood of normal distributions with means x and variances of x's shape, of
// the same with a last dimension of 1, or of one for each row (torch.nn.functional.gaussian_nll_loss).
func GaussianNLLLoss(x, target, variance *torch.Tensor, opts ...GaussianNLLLossOptions) *torch.Tensor {
	const operation = "F.GaussianNLLLoss"
	o := one(operation, opts)
	if aten.Any(aten.LtScalar(variance, torch.Int(0))).Number().Bool() {
		torch.Fail(operation, "the variance has negative elements")
	}
	variance = aten.Clone(matchVariance(operation, x, variance), 0)
	least := torch.Number(or(o.Eps, 1e-6))
	torch.NoGrad(func() { aten.Clamp_(variance, &least, nil) })
	loss := times(add(aten.Log(variance), div(pow(sub(x, target), 2), variance)), 0.5)
	if o.Full {
		loss = aten.AddScalar_(loss, torch.Float(0.5*math.Log(2*math.Pi)), torch.Int(1))
	}
	return o.Reduction.of(operation, loss)
}

func matchVariance(operation string, x, variance *torch.Tensor) *torch.Tensor {
	want, have := x.Shape(), variance.Shape()
	if equalShape(x, variance) {
		return variance
	}
	if len(have) == len(want)-1 && equalShape(aten.SelectInt(x, -1, 0), variance) {
		return aten.Unsqueeze(variance, -1)
	}
	ones := 0
	for i := range min(len(have), len(want)) {
		if have[i] != want[i] {
			ones += have[i]
		}
	}
	if len(have) != len(want) || ones != 1 {
		torch.Fail(operation, "the variance's shape must be %v, or that with one dimension of 1, got %v", want, have)
	}
	return variance
}

// KLDivOptions are KLDiv's optional arguments.
type KLDivOptions struct {
	LogTarget bool      // the target holds logarithms too
	Reduction Reduction // of the elements' losses; default Mean
}

// KLDiv is the divergence of the target's probabilities from x's, of which x holds the logarithms. Reduction BatchMean
// is the mathematical mean; Mean divides by the number of elements (torch.nn.functional.kl_div).
func KLDiv(x, target *torch.Tensor, opts ...KLDivOptions) *torch.Tensor {
	o := one("F.KLDiv", opts)
	if o.Reduction != BatchMean {
		return aten.KlDiv(x, target, o.Reduction.code("F.KLDiv"), o.LogTarget)
	}
	sum := aten.KlDiv(x, target, Sum.code("F.KLDiv"), o.LogTarget)
	if x.Dim() == 0 {
		return sum
	}
	return aten.DivScalar(sum, torch.Int(x.Size(0)))
}
