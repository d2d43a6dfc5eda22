package nn

import (
	"github.com/golite/golite/torch"
	F "github.com/golite/golite/torch/nn/functional"
)

// L1Loss is the absolute difference (torch.nn.L1Loss); see F.L1Loss. State dict: weight, if Options.Weight is set.
type L1Loss struct {
	Base
	Weight  Buffer
	options F.WeightedLossOptions
}

// NewL1Loss makes the loss; unless the options say otherwise its result is one number, F.Mean's (torch.nn.L1Loss).
func NewL1Loss(opts ...F.WeightedLossOptions) *L1Loss {
	o := one("nn.NewL1Loss", opts)
	return &L1Loss{options: o, Weight: NewBuffer(o.Weight)}
}

// Forward takes and returns what F.L1Loss does.
func (l *L1Loss) Forward(x, target *torch.Tensor) *torch.Tensor {
	return l.withHooks2(l, x, target, func(x, target *torch.Tensor) *torch.Tensor {
		o := l.options
		o.Weight = l.Weight.Tensor
		return F.L1Loss(x, target, o)
	})
}

// MSELoss is the squared difference (torch.nn.MSELoss); see F.MSELoss. State dict: weight, if Options.Weight is set.
type MSELoss struct {
	Base
	Weight  Buffer
	options F.WeightedLossOptions
}

// NewMSELoss makes the loss; unless the options say otherwise its result is one number, F.Mean's (torch.nn.MSELoss).
func NewMSELoss(opts ...F.WeightedLossOptions) *MSELoss {
	o := one("nn.NewMSELoss", opts)
	return &MSELoss{options: o, Weight: NewBuffer(o.Weight)}
}

// Forward takes and returns what F.MSELoss does.
func (l *MSELoss) Forward(x, target *torch.Tensor) *torch.Tensor {
	return l.withHooks2(l, x, target, func(x, target *torch.Tensor) *torch.Tensor {
		o := l.options
		o.Weight = l.Weight.Tensor
		return F.MSELoss(x, target, o)
	})
}

// SmoothL1Loss is the squared difference where it is small, else the absolute one (torch.nn.SmoothL1Loss); see
// F.SmoothL1Loss.
type SmoothL1Loss struct {
	Base
	options F.SmoothL1LossOptions
}

// NewSmoothL1Loss makes the loss; unless the options say otherwise its result is one number, F.Mean's
// (torch.nn.SmoothL1Loss).
func NewSmoothL1Loss(opts ...F.SmoothL1LossOptions) *SmoothL1Loss {
	o := one("nn.NewSmoothL1Loss", opts)
	return &SmoothL1Loss{options: o}
}

// Forward takes and returns what F.SmoothL1Loss does.
func (l *SmoothL1Loss) Forward(x, target *torch.Tensor) *torch.Tensor {
	return l.withHooks2(l, x, target, func(x, target *torch.Tensor) *torch.Tensor {
		return F.SmoothL1Loss(x, target, l.options)
	})
}

// HuberLoss is half the squared difference where it is small, else Delta times the absolute one (torch.nn.HuberLoss);
// see F.HuberLoss. State dict: weight, if Options.Weight is set.
type HuberLoss struct {
	Base
	Weight  Buffer
	options F.HuberLossOptions
}

// NewHuberLoss makes the loss; unless the options say otherwise its result is one number, F.Mean's
// (torch.nn.HuberLoss).
func NewHuberLoss(opts ...F.HuberLossOptions) *HuberLoss {
	o := one("nn.NewHuberLoss", opts)
	return &HuberLoss{options: o, Weight: NewBuffer(o.Weight)}
}

// Forward takes and returns what F.HuberLoss does.
func (l *HuberLoss) Forward(x, target *torch.Tensor) *torch.Tensor {
	return l.withHooks2(l, x, target, func(x, target *torch.Tensor) *torch.Tensor {
		o := l.options
		o.Weight = l.Weight.Tensor
		return F.HuberLoss(x, target, o)
	})
}

// CrossEntropyLoss is the cross entropy of logits [N, C, ...] and classes or probabilities (torch.nn.CrossEntropyLoss);
// see F.CrossEntropy. State dict: weight, if Options.Weight is set.
type CrossEntropyLoss struct {
	Base
	Weight  Buffer
	options F.CrossEntropyOptions
}

// NewCrossEntropyLoss makes the loss; unless the options say otherwise its result is one number, F.Mean's
// (torch.nn.CrossEntropyLoss).
func NewCrossEntropyLoss(opts ...F.CrossEntropyOptions) *CrossEntropyLoss {
	o := one("nn.NewCrossEntropyLoss", opts)
	return &CrossEntropyLoss{options: o, Weight: NewBuffer(o.Weight)}
}

// Forward takes and returns what F.CrossEntropy does.
func (l *CrossEntropyLoss) Forward(x, target *torch.Tensor) *torch.Tensor {
	return l.withHooks2(l, x, target, func(x, target *torch.Tensor) *torch.Tensor {
		o := l.options
		o.Weight = l.Weight.Tensor
		return F.CrossEntropy(x, target, o)
	})
}

// NLLLoss is the negative log likelihood of log probabilities [N, C, ...] and classes (torch.nn.NLLLoss); see
// F.NLLLoss. State dict: weight, if Options.Weight is set.
type NLLLoss struct {
	Base
	Weight  Buffer
	options F.NLLLossOptions
}

// NewNLLLoss makes the loss; unless the options say otherwise its result is one number, F.Mean's (torch.nn.NLLLoss).
func NewNLLLoss(opts ...F.NLLLossOptions) *NLLLoss {
	o := one("nn.NewNLLLoss", opts)
	return &NLLLoss{options: o, Weight: NewBuffer(o.Weight)}
}

// Forward takes and returns what F.NLLLoss does.
func (l *NLLLoss) Forward(x, target *torch.Tensor) *torch.Tensor {
	return l.withHooks2(l, x, target, func(x, target *torch.Tensor) *torch.Tensor {
		o := l.options
		o.Weight = l.Weight.Tensor
		return F.NLLLoss(x, target, o)
	})
}

// PoissonNLLLoss is the negative log likelihood of a Poisson distribution (torch.nn.PoissonNLLLoss); see
// F.PoissonNLLLoss.
type PoissonNLLLoss struct {
	Base
	options F.PoissonNLLLossOptions
}

// NewPoissonNLLLoss makes the loss; unless the options say otherwise its result is one number, F.Mean's
// (torch.nn.PoissonNLLLoss).
func NewPoissonNLLLoss(opts ...F.PoissonNLLLossOptions) *PoissonNLLLoss {
	o := one("nn.NewPoissonNLLLoss", opts)
	return &PoissonNLLLoss{options: o}
}

// Forward takes and returns what F.PoissonNLLLoss does.
func (l *PoissonNLLLoss) Forward(x, target *torch.Tensor) *torch.Tensor {
	return l.withHooks2(l, x, target, func(x, target *torch.Tensor) *torch.Tensor {
		return F.PoissonNLLLoss(x, target, l.options)
	})
}

// GaussianNLLLoss is the negative log likelihood of normal distributions (torch.nn.GaussianNLLLoss); see
// F.GaussianNLLLoss.
type GaussianNLLLoss struct {
	Base
	options F.GaussianNLLLossOptions
}

// NewGaussianNLLLoss makes the loss; unless the options say otherwise its result is one number, F.Mean's
// (torch.nn.GaussianNLLLoss).
func NewGaussianNLLLoss(opts ...F.GaussianNLLLossOptions) *GaussianNLLLoss {
	o := one("nn.NewGaussianNLLLoss", opts)
	return &GaussianNLLLoss{options: o}
}

// Forward takes and returns what F.GaussianNLLLoss does.
func (l *GaussianNLLLoss) Forward(x, target, variance *torch.Tensor) *torch.Tensor {
	return l.withHooks3(l, x, target, variance, func(x, target, variance *torch.Tensor) *torch.Tensor {
		return F.GaussianNLLLoss(x, target, variance, l.options)
	})
}

// KLDivLoss is the divergence of the target's probabilities from those whose logarithms it is given
// (torch.nn.KLDivLoss); see F.KLDiv.
type KLDivLoss struct {
	Base
	options F.KLDivOptions
}

// NewKLDivLoss makes the loss; unless the options say otherwise its result is one number, F.Mean's
// (torch.nn.KLDivLoss).
func NewKLDivLoss(opts ...F.KLDivOptions) *KLDivLoss {
	o := one("nn.NewKLDivLoss", opts)
	return &KLDivLoss{options: o}
}

// Forward takes and returns what F.KLDiv does.
func (l *KLDivLoss) Forward(x, target *torch.Tensor) *torch.Tensor {
	return l.withHooks2(l, x, target, func(x, target *torch.Tensor) *torch.Tensor {
		return F.KLDiv(x, target, l.options)
	})
}

// BCELoss is the binary cross entropy of probabilities (torch.nn.BCELoss); see F.BCE. State dict: weight, if
// Options.Weight is set.
type BCELoss struct {
	Base
	Weight  Buffer
	options F.BCEOptions
}

// NewBCELoss makes the loss; unless the options say otherwise its result is one number, F.Mean's (torch.nn.BCELoss).
func NewBCELoss(opts ...F.BCEOptions) *BCELoss {
	o := one("nn.NewBCELoss", opts)
	return &BCELoss{options: o, Weight: NewBuffer(o.Weight)}
}

// Forward takes and returns what F.BCE does.
func (l *BCELoss) Forward(x, target *torch.Tensor) *torch.Tensor {
	return l.withHooks2(l, x, target, func(x, target *torch.Tensor) *torch.Tensor {
		o := l.options
		o.Weight = l.Weight.Tensor
		return F.BCE(x, target, o)
	})
}

// BCEWithLogitsLoss is the binary cross entropy of logits (torch.nn.BCEWithLogitsLoss); see F.BCEWithLogits. Keys,
// where the options have one: weight, pos_weight.
type BCEWithLogitsLoss struct {
	Base
	Weight    Buffer
	PosWeight Buffer
	options   F.BCEWithLogitsOptions
}

// NewBCEWithLogitsLoss makes the loss; unless the options say otherwise its result is one number, F.Mean's
// (torch.nn.BCEWithLogitsLoss).
func NewBCEWithLogitsLoss(opts ...F.BCEWithLogitsOptions) *BCEWithLogitsLoss {
	o := one("nn.NewBCEWithLogitsLoss", opts)
	return &BCEWithLogitsLoss{options: o, Weight: NewBuffer(o.Weight), PosWeight: NewBuffer(o.PosWeight)}
}

// Forward takes and returns what F.BCEWithLogits does.
func (l *BCEWithLogitsLoss) Forward(x, target *torch.Tensor) *torch.Tensor {
	return l.withHooks2(l, x, target, func(x, target *torch.Tensor) *torch.Tensor {
		o := l.options
		o.Weight = l.Weight.Tensor
		o.PosWeight = l.PosWeight.Tensor
		return F.BCEWithLogits(x, target, o)
	})
}
