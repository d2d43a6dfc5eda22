package functional

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// MarginOptions are the optional arguments of MarginRankingLoss and CosineEmbeddingLoss.
type MarginOptions struct {
	Margin    float64   // default 0
	Reduction Reduction // of the elements' losses; default Mean
}

// MarginRankingLoss is max(0, -target·(x1-x2) + Margin): target is 1 where x1 should be greater, else -1
// (torch.nn.functional.margin_ranking_loss).
func MarginRankingLoss(x1, x2, target *torch.Tensor, opts ...MarginOptions) *torch.Tensor {
	const operation = "F.MarginRankingLoss"
	o := one(operation, opts)
	if a, b, c := x1.Dim(), x2.Dim(), target.Dim(); a != b || a != c {
		torch.Fail(operation, "want inputs of as many dimensions, got %v, %v, %v", x1.Shape(), x2.Shape(), target.Shape())
	}
	return aten.MarginRankingLoss(x1, x2, target, o.Margin, o.Reduction.code(operation))
}

// CosineEmbeddingLoss is 1 - cos(x1, x2) where target is 1, max(0, cos(x1, x2) - Margin) where it is -1: x1, x2 [N, D]
// or [D], target [N] or [] (torch.nn.functional.cosine_embedding_loss).
func CosineEmbeddingLoss(x1, x2, target *torch.Tensor, opts ...MarginOptions) *torch.Tensor {
	o := one("F.CosineEmbeddingLoss", opts)
	return aten.CosineEmbeddingLoss(x1, x2, target, o.Margin, o.Reduction.code("F.CosineEmbeddingLoss"))
}

// HingeEmbeddingLossOptions are HingeEmbeddingLoss's optional arguments.
type HingeEmbeddingLossOptions struct {
	Margin    *float64  // default 1
	Reduction Reduction // of the elements' losses; default Mean
}

// HingeEmbeddingLoss is x where target is 1, max(0, Margin - x) where it is -1
// (torch.nn.functional.hinge_embedding_loss).
func HingeEmbeddingLoss(x, target *torch.Tensor, opts ...HingeEmbeddingLossOptions) *torch.Tensor {
	o := one("F.HingeEmbeddingLoss", opts)
	return aten.HingeEmbeddingLoss(x, target, or(o.Margin, 1), o.Reduction.code("F.HingeEmbeddingLoss"))
}

// LossOptions are the optional arguments of the losses that have a reduction and nothing else.
type LossOptions struct {
	Reduction Reduction
}

// MultiLabelMarginLoss is the hinge loss of several classes a sample: x [N, C] or [C], target of x's shape with the
// classes, ended by -1 (torch.nn.functional.multilabel_margin_loss).
func MultiLabelMarginLoss(x, target *torch.Tensor, opts ...LossOptions) *torch.Tensor {
	o := one("F.MultiLabelMarginLoss", opts)
	return aten.MultilabelMarginLoss(x, target, o.Reduction.code("F.MultiLabelMarginLoss"))
}

// SoftMarginLoss is log(1 + exp(-target·x)), targets being 1 or -1 (torch.nn.functional.soft_margin_loss).
func SoftMarginLoss(x, target *torch.Tensor, opts ...LossOptions) *torch.Tensor {
	o := one("F.SoftMarginLoss", opts)
	return aten.SoftMarginLoss(x, target, o.Reduction.code("F.SoftMarginLoss"))
}

// MultiLabelSoftMarginLossOptions are MultiLabelSoftMarginLoss's optional arguments.
type MultiLabelSoftMarginLossOptions struct {
	Weight    *torch.Tensor // [C]: a factor for each class
	Reduction Reduction     // of the elements' losses; default Mean
}

// MultiLabelSoftMarginLoss is the binary cross entropy of sigmoid(x) and targets 0 or 1, a mean over the classes, the
// last dimension (torch.nn.functional.multilabel_soft_margin_loss).
func MultiLabelSoftMarginLoss(x, target *torch.Tensor, opts ...MultiLabelSoftMarginLossOptions) *torch.Tensor {
	const operation = "F.MultiLabelSoftMarginLoss"
	o := one(operation, opts)
	not := aten.RsubScalar(target, torch.Int(1), torch.Int(1))
	loss := aten.Neg(add(mul(target, LogSigmoid(x)), mul(not, LogSigmoid(aten.Neg(x)))))
	if o.Weight != nil {
		loss = mul(loss, o.Weight)
	}
	class := x.Dim() - 1
	loss = aten.DivScalar(aten.SumDimIntList(loss, []int{class}, false, 0), torch.Int(x.Size(class)))
	return o.Reduction.of(operation, loss)
}

// MultiMarginLossOptions are MultiMarginLoss's optional arguments.
type MultiMarginLossOptions struct {
	P         int           // 1 or 2; 0 means 1
	Margin    *float64      // default 1
	Weight    *torch.Tensor // [C]: a factor for each class
	Reduction Reduction     // of the elements' losses; default Mean
}

// MultiMarginLoss is the hinge loss of one class a sample: x [N, C] or [C], target [N] or []
// (torch.nn.functional.multi_margin_loss).
func MultiMarginLoss(x, target *torch.Tensor, opts ...MultiMarginLossOptions) *torch.Tensor {
	const operation = "F.MultiMarginLoss"
	o := one(operation, opts)
	if o.P == 0 {
		o.P = 1
	}
	if o.P != 1 && o.P != 2 {
		torch.Fail(operation, "P must be 1 or 2, got %d", o.P)
	}
	if o.Weight != nil && o.Weight.Dim() != 1 {
		torch.Fail(operation, "Weight must have one dimension, got %v", o.Weight.Shape())
	}
	return aten.MultiMarginLoss(x, target, torch.Int(o.P), torch.Float(or(o.Margin, 1)), o.Weight,
		o.Reduction.code(operation))
}

// TripletMarginLossOptions are TripletMarginLoss's optional arguments.
type TripletMarginLossOptions struct {
	Margin    float64   // 0 means 1, as it must be positive
	P         *float64  // the norm; default 2
	Eps       *float64  // keeps the norm from 0; default 1e-6
	Swap      bool      // use the distance of positive and negative where it is smaller
	Reduction Reduction // of the elements' losses; default Mean
}

func margin(operation string, v float64) float64 {
	if v < 0 {
		torch.Fail(operation, "Margin must be greater than 0, got %g", v)
	}
	if v == 0 {
		return 1
	}
	return v
}

// TripletMarginLoss is max(0, |anchor-positive| - |anchor-negative| + Margin)
// (torch.nn.functional.triplet_margin_loss).
func TripletMarginLoss(anchor, positive, negative *torch.Tensor, opts ...TripletMarginLossOptions) *torch.Tensor {
	const operation = "F.TripletMarginLoss"
	o := one(operation, opts)
	return aten.TripletMarginLoss(anchor, positive, negative, margin(operation, o.Margin), or(o.P, 2), or(o.Eps, 1e-6),
		o.Swap,
		o.Reduction.code(operation))
}

// TripletMarginWithDistanceLossOptions are TripletMarginWithDistanceLoss's optional arguments.
type TripletMarginWithDistanceLossOptions struct {
	Distance  func(x1, x2 *torch.Tensor) *torch.Tensor // default: PairwiseDistance
	Margin    float64                                  // 0 means 1, as it must be positive
	Swap      bool                                     // use the distance of positive and negative where it is smaller
	Reduction Reduction                                // of the elements' losses; default Mean
}

// TripletMarginWithDistanceLoss is TripletMarginLoss with a distance of the user's own
// (torch.nn.functional.triplet_margin_with_distance_loss).
func TripletMarginWithDistanceLoss(anchor, positive, negative *torch.Tensor,
	opts ...TripletMarginWithDistanceLossOptions) *torch.Tensor {
	const operation = "F.TripletMarginWithDistanceLoss"
	o := one(operation, opts)
	if a, p, n := anchor.Dim(), positive.Dim(), negative.Dim(); a != p || p != n {
		torch.Fail(operation, "want inputs of as many dimensions, got %v, %v, %v", anchor.Shape(), positive.Shape(),
			negative.Shape())
	}
	if o.Distance == nil {
		o.Distance = func(x1, x2 *torch.Tensor) *torch.Tensor { return PairwiseDistance(x1, x2) }
	}
	near, far := o.Distance(anchor, positive), o.Distance(anchor, negative)
	if o.Swap {
		far = aten.Minimum(far, o.Distance(positive, negative))
	}
	loss := aten.ClampMin(sub(plus(near, margin(operation, o.Margin)), far), torch.Int(0))
	return o.Reduction.of(operation, loss)
}

// CTCLossOptions are CTCLoss's optional arguments.
type CTCLossOptions struct {
	Blank        int       // the blank label; default 0
	ZeroInfinity bool      // infinite losses, of inputs too short for their targets, are 0, and so are their gradients
	Reduction    Reduction // of the elements' losses; default Mean
}

// CTCLoss is the connectionist temporal classification loss: logProbs [T, N, C] or [T, C], targets [N, S] or all in one
// dimension, inputLengths and targetLengths [N] of integers (torch.nn.functional.ctc_loss).
func CTCLoss(logProbs, targets, inputLengths, targetLengths *torch.Tensor, opts ...CTCLossOptions) *torch.Tensor {
	o := one("F.CTCLoss", opts)
	return aten.CtcLossTensor(logProbs, targets, inputLengths, targetLengths, o.Blank, o.Reduction.code("F.CTCLoss"),
		o.ZeroInfinity)
}
