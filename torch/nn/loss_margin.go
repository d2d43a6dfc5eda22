package nn

import (
	"github.com/golite/golite/torch"
	F "github.com/golite/golite/torch/nn/functional"
)

// MarginRankingLoss is max(0, -target·(x1-x2) + Margin) (torch.nn.MarginRankingLoss); see F.MarginRankingLoss.
type MarginRankingLoss struct {
	Base
	options F.MarginOptions
}

// NewMarginRankingLoss makes the loss; unless the options say otherwise its result is one number, F.Mean's
// (torch.nn.MarginRankingLoss).
func NewMarginRankingLoss(opts ...F.MarginOptions) *MarginRankingLoss {
	o := one("nn.NewMarginRankingLoss", opts)
	return &MarginRankingLoss{options: o}
}

// Forward takes and returns what F.MarginRankingLoss does.
func (l *MarginRankingLoss) Forward(x1, x2, target *torch.Tensor) *torch.Tensor {
	return l.withHooks3(l, x1, x2, target, func(x1, x2, target *torch.Tensor) *torch.Tensor {
		return F.MarginRankingLoss(x1, x2, target, l.options)
	})
}

// HingeEmbeddingLoss is x where the target is 1, max(0, Margin - x) where it is -1 (torch.nn.HingeEmbeddingLoss); see
// F.HingeEmbeddingLoss.
type HingeEmbeddingLoss struct {
	Base
	options F.HingeEmbeddingLossOptions
}

// NewHingeEmbeddingLoss makes the loss; unless the options say otherwise its result is one number, F.Mean's
// (torch.nn.HingeEmbeddingLoss).
func NewHingeEmbeddingLoss(opts ...F.HingeEmbeddingLossOptions) *HingeEmbeddingLoss {
	o := one("nn.NewHingeEmbeddingLoss", opts)
	return &HingeEmbeddingLoss{options: o}
}

// Forward takes and returns what F.HingeEmbeddingLoss does.
func (l *HingeEmbeddingLoss) Forward(x, target *torch.Tensor) *torch.Tensor {
	return l.withHooks2(l, x, target, func(x, target *torch.Tensor) *torch.Tensor {
		return F.HingeEmbeddingLoss(x, target, l.options)
	})
}

// MultiLabelMarginLoss is the hinge loss of several classes a sample (torch.nn.MultiLabelMarginLoss); see
// F.MultiLabelMarginLoss.
type MultiLabelMarginLoss struct {
	Base
	options F.LossOptions
}

// NewMultiLabelMarginLoss makes the loss; unless the options say otherwise its result is one number, F.Mean's
// (torch.nn.MultiLabelMarginLoss).
func NewMultiLabelMarginLoss(opts ...F.LossOptions) *MultiLabelMarginLoss {
	o := one("nn.NewMultiLabelMarginLoss", opts)
	return &MultiLabelMarginLoss{options: o}
}

// Forward takes and returns what F.MultiLabelMarginLoss does.
func (l *MultiLabelMarginLoss) Forward(x, target *torch.Tensor) *torch.Tensor {
	return l.withHooks2(l, x, target, func(x, target *torch.Tensor) *torch.Tensor {
		return F.MultiLabelMarginLoss(x, target, l.options)
	})
}

// SoftMarginLoss is log(1 + exp(-target·x)) (torch.nn.SoftMarginLoss); see F.SoftMarginLoss.
type SoftMarginLoss struct {
	Base
	options F.LossOptions
}

// NewSoftMarginLoss makes the loss; unless the options say otherwise its result is one number, F.Mean's
// (torch.nn.SoftMarginLoss).
func NewSoftMarginLoss(opts ...F.LossOptions) *SoftMarginLoss {
	o := one("nn.NewSoftMarginLoss", opts)
	return &SoftMarginLoss{options: o}
}

// Forward takes and returns what F.SoftMarginLoss does.
func (l *SoftMarginLoss) Forward(x, target *torch.Tensor) *torch.Tensor {
	return l.withHooks2(l, x, target, func(x, target *torch.Tensor) *torch.Tensor {
		return F.SoftMarginLoss(x, target, l.options)
	})
}

// MultiLabelSoftMarginLoss is the binary cross entropy of logits, a mean over the classes
// (torch.nn.MultiLabelSoftMarginLoss); see F.MultiLabelSoftMarginLoss. State dict: weight, if Options.Weight is set.
type MultiLabelSoftMarginLoss struct {
	Base
	Weight  Buffer
	options F.MultiLabelSoftMarginLossOptions
}

// NewMultiLabelSoftMarginLoss makes the loss; unless the options say otherwise its result is one number, F.Mean's
// (torch.nn.MultiLabelSoftMarginLoss).
func NewMultiLabelSoftMarginLoss(opts ...F.MultiLabelSoftMarginLossOptions) *MultiLabelSoftMarginLoss {
	o := one("nn.NewMultiLabelSoftMarginLoss", opts)
	return &MultiLabelSoftMarginLoss{options: o, Weight: NewBuffer(o.Weight)}
}

// Forward takes and returns what F.MultiLabelSoftMarginLoss does.
func (l *MultiLabelSoftMarginLoss) Forward(x, target *torch.Tensor) *torch.Tensor {
	return l.withHooks2(l, x, target, func(x, target *torch.Tensor) *torch.Tensor {
		o := l.options
		o.Weight = l.Weight.Tensor
		return F.MultiLabelSoftMarginLoss(x, target, o)
	})
}

// CosineEmbeddingLoss is 1 - cos(x1, x2) where the target is 1, max(0, cos(x1, x2) - Margin) where it is -1
// (torch.nn.CosineEmbeddingLoss); see F.CosineEmbeddingLoss.
type CosineEmbeddingLoss struct {
	Base
	options F.MarginOptions
}

// NewCosineEmbeddingLoss makes the loss; unless the options say otherwise its result is one number, F.Mean's
// (torch.nn.CosineEmbeddingLoss).
func NewCosineEmbeddingLoss(opts ...F.MarginOptions) *CosineEmbeddingLoss {
	o := one("nn.NewCosineEmbeddingLoss", opts)
	return &CosineEmbeddingLoss{options: o}
}

// Forward takes and returns what F.CosineEmbeddingLoss does.
func (l *CosineEmbeddingLoss) Forward(x1, x2, target *torch.Tensor) *torch.Tensor {
	return l.withHooks3(l, x1, x2, target, func(x1, x2, target *torch.Tensor) *torch.Tensor {
		return F.CosineEmbeddingLoss(x1, x2, target, l.options)
	})
}

// MultiMarginLoss is the hinge loss of one class a sample (torch.nn.MultiMarginLoss); see F.MultiMarginLoss. State
// dict: weight, if Options.Weight is set.
type MultiMarginLoss struct {
	Base
	Weight  Buffer
	options F.MultiMarginLossOptions
}

// NewMultiMarginLoss makes the loss; unless the options say otherwise its result is one number, F.Mean's
// (torch.nn.MultiMarginLoss).
func NewMultiMarginLoss(opts ...F.MultiMarginLossOptions) *MultiMarginLoss {
	o := one("nn.NewMultiMarginLoss", opts)
	return &MultiMarginLoss{options: o, Weight: NewBuffer(o.Weight)}
}

// Forward takes and returns what F.MultiMarginLoss does.
func (l *MultiMarginLoss) Forward(x, target *torch.Tensor) *torch.Tensor {
	return l.withHooks2(l, x, target, func(x, target *torch.Tensor) *torch.Tensor {
		o := l.options
		o.Weight = l.Weight.Tensor
		return F.MultiMarginLoss(x, target, o)
	})
}

// TripletMarginLoss is max(0, |anchor-positive| - |anchor-negative| + Margin) (torch.nn.TripletMarginLoss); see
// F.TripletMarginLoss.
type TripletMarginLoss struct {
	Base
	options F.TripletMarginLossOptions
}

// NewTripletMarginLoss makes the loss; unless the options say otherwise its result is one number, F.Mean's
// (torch.nn.TripletMarginLoss).
func NewTripletMarginLoss(opts ...F.TripletMarginLossOptions) *TripletMarginLoss {
	o := one("nn.NewTripletMarginLoss", opts)
	return &TripletMarginLoss{options: o}
}

// Forward takes and returns what F.TripletMarginLoss does.
func (l *TripletMarginLoss) Forward(anchor, positive, negative *torch.Tensor) *torch.Tensor {
	return l.withHooks3(l, anchor, positive, negative, func(anchor, positive, negative *torch.Tensor) *torch.Tensor {
		return F.TripletMarginLoss(anchor, positive, negative, l.options)
	})
}

// TripletMarginWithDistanceLoss is TripletMarginLoss with a distance of the user's own
// (torch.nn.TripletMarginWithDistanceLoss); see F.TripletMarginWithDistanceLoss.
type TripletMarginWithDistanceLoss struct {
	Base
	options F.TripletMarginWithDistanceLossOptions
}

// NewTripletMarginWithDistanceLoss makes the loss; unless the options say otherwise its result is one number, F.Mean's
// (torch.nn.TripletMarginWithDistanceLoss).
func NewTripletMarginWithDistanceLoss(opts ...F.TripletMarginWithDistanceLossOptions) *TripletMarginWithDistanceLoss {
	o := one("nn.NewTripletMarginWithDistanceLoss", opts)
	return &TripletMarginWithDistanceLoss{options: o}
}

// Forward takes and returns what F.TripletMarginWithDistanceLoss does.
func (l *TripletMarginWithDistanceLoss) Forward(anchor, positive, negative *torch.Tensor) *torch.Tensor {
	return l.withHooks3(l, anchor, positive, negative, func(anchor, positive, negative *torch.Tensor) *torch.Tensor {
		return F.TripletMarginWithDistanceLoss(anchor, positive, negative, l.options)
	})
}

// CTCLoss is the connectionist temporal classification loss (torch.nn.CTCLoss); see F.CTCLoss.
type CTCLoss struct {
	Base
	options F.CTCLossOptions
}

// NewCTCLoss makes the loss; unless the options say otherwise its result is one number, F.Mean's (torch.nn.CTCLoss).
func NewCTCLoss(opts ...F.CTCLossOptions) *CTCLoss {
	o := one("nn.NewCTCLoss", opts)
	return &CTCLoss{options: o}
}

// Forward takes and returns what F.CTCLoss does.
func (l *CTCLoss) Forward(logProbs, targets, inputLengths, targetLengths *torch.Tensor) *torch.Tensor {
	if l.hooks == nil {
		return l.forward(logProbs, targets, inputLengths, targetLengths)
	}
	in := []*torch.Tensor{logProbs, targets, inputLengths, targetLengths}
	return l.hooks.run(l, in, func(in []*torch.Tensor) []*torch.Tensor {
		return []*torch.Tensor{l.forward(in[0], in[1], in[2], in[3])}
	})[0]
}

func (l *CTCLoss) forward(logProbs, targets, inputLengths, targetLengths *torch.Tensor) *torch.Tensor {
	return F.CTCLoss(logProbs, targets, inputLengths, targetLengths, l.options)
}
