package optim

import (
	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

// Group is parameters with settings of their own, for AddParamGroup and the constructors whose names end in Groups: one
// of the dictionaries that PyTorch's optimizers take (torch.optim.Optimizer's params). A nil pointer means the
// optimizer's setting.
type Group struct {
	Params      []nn.Parameter // leaves, of no other group
	LR          *float64       // learning rate
	WeightDecay *float64       // L2 penalty, or decay of the weights themselves where the optimizer decouples it
	Momentum    *float64       // SGD's and RMSprop's
	Betas       *[2]float64    // Adam's and its kin's
	Eps         *float64       // what is added to the denominator

	// Extra is further settings by PyTorch's names: any of the optimizer's, such as "nesterov" of SGD, or the
	// "ns_steps" of a Rule of one's own. A name that the optimizer does not have, or a value of another type, panics.
	Extra map[string]any
}

// ParamGroup is a group of parameters and the settings that hold for it now (torch.optim.Optimizer.param_groups).
// Schedulers change LR, and some Momentum or Betas; changing any of them by hand takes effect at the next step. An
// optimizer uses those that it has.
type ParamGroup struct {
	Params    []nn.Parameter // in the order in which they were given
	LR        float64        // the learning rate of the next step
	InitialLR *float64       // the rate that schedulers start from, once there is one

	Momentum, Dampening float64    // SGD's; RMSprop has a momentum as well
	Betas               [2]float64 // Adam's and its kin's
	Eps, WeightDecay    float64    // of all that have them
	Alpha, Rho          float64    // RMSprop's and ASGD's alpha, Adadelta's rho
	LRDecay, InitialAcc float64    // Adagrad's
	Lambd, T0           float64    // ASGD's
	MomentumDecay       float64    // NAdam's
	Etas, StepSizes     [2]float64 // Rprop's

	// The options of the same names.
	Nesterov, Maximize, AMSGrad, Centered, Decoupled, Fused bool

	// What CyclicLR, OneCycleLR and SWALR keep in the group, as in Python; nil until they do.
	MaxLR, MinLR, BaseMomentum, MaxMomentum, SWALR *float64

	// Extra is the settings of a Rule that have no field here, by name; a value keeps the type of its default.
	Extra map[string]any
}

// one returns the only element of a trailing options parameter, or the zero value.
func one[T any](name string, opts []T) T { return options.Must("optim.New"+name, opts, torch.Fail) }

// orElse returns *p, or d if p is nil.
func orElse[T any](p *T, d T) T {
	if p == nil {
		return d
	}
	return *p
}

func single(params []nn.Parameter) []Group { return []Group{{Params: params}} }

func atLeastZero(name, what string, v float64) {
	if !(v >= 0) {
		torch.Fail("optim.New"+name, "the %s is %v: want 0 or more", what, v)
	}
}
