package nn

import (
	"maps"

	"github.com/golite/golite/torch"
	F "github.com/golite/golite/torch/nn/functional"
)

func init() { maps.Copy(builders, lossBuilders) }

func marginArgs(a *arguments) F.MarginOptions {
	return F.MarginOptions{Margin: a.float(-1, "margin", 0), Reduction: a.reduction()}
}

// lossBuilders are the twins of the losses.
var lossBuilders = map[string]func(*arguments) Module{
	"L1Loss":  func(a *arguments) Module { return NewL1Loss(F.WeightedLossOptions{Reduction: a.reduction()}) },
	"MSELoss": func(a *arguments) Module { return NewMSELoss(F.WeightedLossOptions{Reduction: a.reduction()}) },
	"SmoothL1Loss": func(a *arguments) Module {
		return NewSmoothL1Loss(F.SmoothL1LossOptions{Beta: a.floatPtr(-1, "beta"), Reduction: a.reduction()})
	},
	"HuberLoss": func(a *arguments) Module {
		return NewHuberLoss(F.HuberLossOptions{Delta: a.floatPtr(-1, "delta"), Reduction: a.reduction()})
	},
	"CrossEntropyLoss": func(a *arguments) Module {
		return NewCrossEntropyLoss(F.CrossEntropyOptions{Weight: a.tensor("weight"),
			IgnoreIndex:    a.integerPtr(-1, "ignore_index"),
			LabelSmoothing: a.float(-1, "label_smoothing", 0), Reduction: a.reduction()})
	},
	"NLLLoss": func(a *arguments) Module {
		return NewNLLLoss(F.NLLLossOptions{Weight: a.tensor("weight"), IgnoreIndex: a.integerPtr(-1, "ignore_index"),
			Reduction: a.reduction()})
	},
	"PoissonNLLLoss": func(a *arguments) Module {
		return NewPoissonNLLLoss(F.PoissonNLLLossOptions{NoLogInput: !a.flag("log_input", true), Full: a.flag("full", false),
			Reduction: a.reduction()})
	},
	"GaussianNLLLoss": func(a *arguments) Module {
		return NewGaussianNLLLoss(F.GaussianNLLLossOptions{Full: a.flag("full", false), Eps: a.floatPtr(-1, "eps"),
			Reduction: a.reduction()})
	},
	"KLDivLoss": func(a *arguments) Module {
		return NewKLDivLoss(F.KLDivOptions{LogTarget: a.flag("log_target", false), Reduction: a.reduction()})
	},
	"BCELoss": func(a *arguments) Module {
		return NewBCELoss(F.BCEOptions{Weight: a.tensor("weight"), Reduction: a.reduction()})
	},
	"BCEWithLogitsLoss": func(a *arguments) Module {
		return NewBCEWithLogitsLoss(F.BCEWithLogitsOptions{Weight: a.tensor("weight"), PosWeight: a.tensor("pos_weight"),
			Reduction: a.reduction()})
	},
	"MarginRankingLoss":   func(a *arguments) Module { return NewMarginRankingLoss(marginArgs(a)) },
	"CosineEmbeddingLoss": func(a *arguments) Module { return NewCosineEmbeddingLoss(marginArgs(a)) },
	"HingeEmbeddingLoss": func(a *arguments) Module {
		return NewHingeEmbeddingLoss(F.HingeEmbeddingLossOptions{Margin: a.floatPtr(-1, "margin"), Reduction: a.reduction()})
	},
	"MultiLabelMarginLoss": func(a *arguments) Module {
		return NewMultiLabelMarginLoss(
			F.LossOptions{Reduction: a.reduction()})
	},
	"SoftMarginLoss": func(a *arguments) Module {
		return NewSoftMarginLoss(F.LossOptions{Reduction: a.reduction()})
	},
	"MultiLabelSoftMarginLoss": func(a *arguments) Module {
		return NewMultiLabelSoftMarginLoss(F.MultiLabelSoftMarginLossOptions{Weight: a.tensor("weight"),
			Reduction: a.reduction()})
	},
	"MultiMarginLoss": func(a *arguments) Module {
		return NewMultiMarginLoss(F.MultiMarginLossOptions{P: a.integer(-1, "p", 0), Margin: a.floatPtr(-1, "margin"),
			Weight: a.tensor("weight"), Reduction: a.reduction()})
	},
	"TripletMarginLoss": func(a *arguments) Module {
		return NewTripletMarginLoss(F.TripletMarginLossOptions{Margin: a.float(-1, "margin", 0), P: a.floatPtr(-1, "p"),
			Swap: a.flag("swap", false), Reduction: a.reduction()})
	},
	"TripletMarginWithDistanceLoss": func(a *arguments) Module {
		return NewTripletMarginWithDistanceLoss(F.TripletMarginWithDistanceLossOptions{Margin: a.float(-1, "margin", 0),
			Swap: a.flag("swap", false), Reduction: a.reduction()})
	},
	"CTCLoss": func(a *arguments) Module {
		return NewCTCLoss(F.CTCLossOptions{Blank: a.integer(-1, "blank", 0), ZeroInfinity: a.flag("zero_infinity", false),
			Reduction: a.reduction()})
	},
	"AdaptiveLogSoftmaxWithLoss": func(a *arguments) Module {
		return NewAdaptiveLogSoftmaxWithLoss(a.integer(0, "", 0), a.integer(1, "", 0), a.ints(-1, "cutoffs"),
			AdaptiveLogSoftmaxOptions{DivValue: a.float(-1, "div_value", 0), HeadBias: a.flag("head_bias", false)})
	},
}

// unpoolCaller gives the three kinds of MaxUnpool one Forward of two tensors.
type unpoolCaller struct {
	Base
	one   *MaxUnpool1d `torch:"one,optional"`
	two   *MaxUnpool2d `torch:"two,optional"`
	three *MaxUnpool3d `torch:"three,optional"`
}

func (u *unpoolCaller) Forward(x, indices *torch.Tensor) *torch.Tensor {
	switch {
	case u.one != nil:
		return u.one.Forward(x, indices)
	case u.two != nil:
		return u.two.Forward(x, indices)
	}
	return u.three.Forward(x, indices)
}
