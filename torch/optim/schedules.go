package optim

import (
	"math"
	"slices"

	"github.com/golite/golite/torch"
)

// LambdaLR sets each group's rate to its initial rate times a function of the count of steps
// (torch.optim.lr_scheduler.LambdaLR).
type LambdaLR struct{ LRScheduler }

// NewLambdaLR makes a LambdaLR with one function for all groups; it is called with 0 at once
// (torch.optim.lr_scheduler.LambdaLR). It panics if the function is nil.
func NewLambdaLR(o Optimizer, factor func(step int) float64) *LambdaLR {
	return NewLambdaLRGroups(o, slices.Repeat([]func(int) float64{factor}, len(o.ParamGroups()))...)
}

// NewLambdaLRGroups is NewLambdaLR with a function for each group (torch.optim.lr_scheduler.LambdaLR with a list). It
// panics if there are not as many functions as groups, or one is nil.
func NewLambdaLRGroups(o Optimizer, factors ...func(step int) float64) *LambdaLR {
	s := &LambdaLR{}
	checkFactors("LambdaLR", o, factors)
	s.start("LambdaLR", o, func() []float64 {
		return s.each(func(i int, _ *ParamGroup) float64 { return s.baseLRs[i] * factors[i](s.lastEpoch) })
	}, setting{"lr_lambdas", make([]any, len(factors))})
	return s
}

func checkFactors(name string, o Optimizer, factors []func(int) float64) {
	if n := len(o.ParamGroups()); len(factors) != n {
		torch.Fail("optim.New"+name, "there are %d functions, and the optimizer has %d groups", len(factors), n)
	}
	if slices.ContainsFunc(factors, func(f func(int) float64) bool { return f == nil }) {
		torch.Fail("optim.New"+name, "a function is nil")
	}
}

// MultiplicativeLR multiplies each group's rate by a function of the count of steps
// (torch.optim.lr_scheduler.MultiplicativeLR).
type MultiplicativeLR struct{ LRScheduler }

// NewMultiplicativeLR makes a MultiplicativeLR with one function for all groups; its first call is with 1
// (torch.optim.lr_scheduler.MultiplicativeLR). It panics if the function is nil.
func NewMultiplicativeLR(o Optimizer, factor func(step int) float64) *MultiplicativeLR {
	return NewMultiplicativeLRGroups(o, slices.Repeat([]func(int) float64{factor}, len(o.ParamGroups()))...)
}

// NewMultiplicativeLRGroups is NewMultiplicativeLR with a function for each group
// (torch.optim.lr_scheduler.MultiplicativeLR with a list). It panics if there are not as many functions as groups, or
// one is nil.
func NewMultiplicativeLRGroups(o Optimizer, factors ...func(step int) float64) *MultiplicativeLR {
	s := &MultiplicativeLR{}
	checkFactors("MultiplicativeLR", o, factors)
	s.start("MultiplicativeLR", o, func() []float64 {
		if s.initial {
			return s.current()
		}
		return s.each(func(i int, g *ParamGroup) float64 { return g.LR * factors[i](s.lastEpoch) })
	}, setting{"lr_lambdas", make([]any, len(factors))})
	return s
}

// StepLROptions are NewStepLR's optional arguments.
type StepLROptions struct {
	Gamma *float64 // what the rates are multiplied by; nil: 0.1
}

// StepLR multiplies the rates by gamma every so many steps (torch.optim.lr_scheduler.StepLR).
type StepLR struct {
	LRScheduler
	size  int
	gamma float64
}

// NewStepLR makes a StepLR that multiplies at every stepSize-th step (torch.optim.lr_scheduler.StepLR). It panics if
// stepSize is below 1.
func NewStepLR(o Optimizer, stepSize int, opts ...StepLROptions) *StepLR {
	if stepSize < 1 {
		torch.Fail("optim.NewStepLR", "the step size is %d: want 1 or more", stepSize)
	}
	s := &StepLR{size: stepSize, gamma: orElse(one("StepLR", opts).Gamma, 0.1)}
	s.closed = func() []float64 {
		return s.fromBase(func(base float64) float64 { return base * pow(s.gamma, float64(s.lastEpoch/s.size)) })
	}
	s.start("StepLR", o, func() []float64 {
		if s.lastEpoch == 0 || s.lastEpoch%s.size != 0 {
			return s.current()
		}
		return s.scaled(s.gamma)
	}, setting{"step_size", &s.size}, setting{"gamma", &s.gamma})
	return s
}

// ConstantLROptions are NewConstantLR's optional arguments.
type ConstantLROptions struct {
	Factor     *float64 // what the rates are multiplied by; nil: 1/3
	TotalIters *int     // for so many steps; nil: 5
}

// ConstantLR multiplies the rates by a factor for a number of steps, and then no more
// (torch.optim.lr_scheduler.ConstantLR).
type ConstantLR struct {
	LRScheduler
	factor float64
	total  int
}

// NewConstantLR makes a ConstantLR and applies the factor at once (torch.optim.lr_scheduler.ConstantLR). It panics if
// Factor is not from 0 to 1.
func NewConstantLR(o Optimizer, opts ...ConstantLROptions) *ConstantLR {
	given := one("ConstantLR", opts)
	s := &ConstantLR{factor: orElse(given.Factor, 1.0/3), total: orElse(given.TotalIters, 5)}
	if !(s.factor >= 0 && s.factor <= 1) {
		torch.Fail("optim.NewConstantLR", "the factor is %v: want 0 to 1", s.factor)
	}
	s.closed = func() []float64 {
		ended := 0.0
		if s.lastEpoch >= s.total {
			ended = 1
		}
		return s.fromBase(func(base float64) float64 { return base * (s.factor + ended*(1-s.factor)) })
	}
	s.start("ConstantLR", o, func() []float64 {
		switch s.lastEpoch {
		case 0:
			return s.scaled(s.factor)
		case s.total:
			return s.scaled(1 / s.factor)
		}
		return s.current()
	}, setting{"factor", &s.factor}, setting{"total_iters", &s.total})
	return s
}

// LinearLROptions are NewLinearLR's optional arguments.
type LinearLROptions struct {
	StartFactor *float64 // the factor to begin with; nil: 1/3
	EndFactor   *float64 // the factor in the end; nil: 1
	TotalIters  *int     // steps from one to the other; nil: 5
}

// LinearLR multiplies the rates by a factor that goes from one number to another in a number of steps
// (torch.optim.lr_scheduler.LinearLR).
type LinearLR struct {
	LRScheduler
	from, to float64
	total    int
}

// NewLinearLR makes a LinearLR and applies the first factor at once: a warm-up unless the options say otherwise
// (torch.optim.lr_scheduler.LinearLR). It panics if StartFactor is not above 0 and at most 1, or EndFactor not from 0
// to 1.
func NewLinearLR(o Optimizer, opts ...LinearLROptions) *LinearLR {
	given := one("LinearLR", opts)
	s := &LinearLR{from: orElse(given.StartFactor, 1.0/3), to: orElse(given.EndFactor, 1), total: orElse(given.TotalIters, 5)}
	if !(s.from > 0 && s.from <= 1) {
		torch.Fail("optim.NewLinearLR", "the first factor is %v: want it above 0 and at most 1", s.from)
	}
	if !(s.to >= 0 && s.to <= 1) {
		torch.Fail("optim.NewLinearLR", "the last factor is %v: want 0 to 1", s.to)
	}
	s.closed = func() []float64 {
		return s.fromBase(func(base float64) float64 {
			return base * (s.from + (s.to-s.from)*float64(min(s.total, s.lastEpoch))/float64(s.total))
		})
	}
	s.start("LinearLR", o, s.next, setting{"start_factor", &s.from}, setting{"end_factor", &s.to}, setting{"total_iters", &s.total})
	return s
}

func (s *LinearLR) next() []float64 {
	if s.lastEpoch == 0 {
		return s.scaled(s.from)
	}
	if s.initial || s.lastEpoch > s.total {
		return s.current()
	}
	return s.scaled(1 + (s.to-s.from)/(float64(s.total)*s.from+float64(s.lastEpoch-1)*(s.to-s.from)))
}

// ExponentialLR multiplies the rates by gamma at every step (torch.optim.lr_scheduler.ExponentialLR).
type ExponentialLR struct {
	LRScheduler
	gamma float64
}

// NewExponentialLR makes an ExponentialLR; any gamma is taken (torch.optim.lr_scheduler.ExponentialLR).
func NewExponentialLR(o Optimizer, gamma float64) *ExponentialLR {
	s := &ExponentialLR{gamma: gamma}
	s.closed = func() []float64 {
		return s.fromBase(func(base float64) float64 { return base * pow(s.gamma, float64(s.lastEpoch)) })
	}
	s.start("ExponentialLR", o, func() []float64 {
		if s.initial {
			return s.current()
		}
		return s.scaled(s.gamma)
	}, setting{"gamma", &s.gamma})
	return s
}

// PolynomialLROptions are NewPolynomialLR's optional arguments.
type PolynomialLROptions struct {
	TotalIters *int     // steps until the rates are 0; nil: 5
	Power      *float64 // the polynomial's, 1 being a straight line; nil: 1
}

// PolynomialLR lets the rates fall to 0 in a number of steps, along a polynomial
// (torch.optim.lr_scheduler.PolynomialLR).
type PolynomialLR struct {
	LRScheduler
	total int
	power float64
}

// NewPolynomialLR makes a PolynomialLR; after its last step the rates stay 0 (torch.optim.lr_scheduler.PolynomialLR).
func NewPolynomialLR(o Optimizer, opts ...PolynomialLROptions) *PolynomialLR {
	given := one("PolynomialLR", opts)
	s := &PolynomialLR{total: orElse(given.TotalIters, 5), power: orElse(given.Power, 1)}
	s.closed = func() []float64 {
		left := 1 - float64(min(s.total, s.lastEpoch))/float64(s.total)
		return s.fromBase(func(base float64) float64 { return base * pow(left, s.power) })
	}
	s.start("PolynomialLR", o, func() []float64 {
		if s.initial || s.lastEpoch > s.total {
			return s.current()
		}
		n, total := float64(s.lastEpoch), float64(s.total)
		return s.scaled(pow((1-n/total)/(1-(n-1)/total), s.power))
	}, setting{"total_iters", &s.total}, setting{"power", &s.power})
	return s
}

// CosineAnnealingLROptions are NewCosineAnnealingLR's optional arguments.
type CosineAnnealingLROptions struct {
	EtaMin float64 // the lowest rate
}

// CosineAnnealingLR lets the rates fall along half a cosine, and rise again
// (torch.optim.lr_scheduler.CosineAnnealingLR).
type CosineAnnealingLR struct {
	LRScheduler
	period int
	lowest float64
}

// NewCosineAnnealingLR makes a CosineAnnealingLR whose rates are lowest after tMax steps
// (torch.optim.lr_scheduler.CosineAnnealingLR). It panics if tMax is below 1.
func NewCosineAnnealingLR(o Optimizer, tMax int, opts ...CosineAnnealingLROptions) *CosineAnnealingLR {
	if tMax < 1 {
		torch.Fail("optim.NewCosineAnnealingLR", "tMax is %d: want 1 or more", tMax)
	}
	s := &CosineAnnealingLR{period: tMax, lowest: one("CosineAnnealingLR", opts).EtaMin}
	s.closed = func() []float64 {
		return s.fromBase(func(base float64) float64 {
			return s.lowest + (base-s.lowest)*(1+cos(math.Pi*float64(s.lastEpoch)/float64(s.period)))/2
		})
	}
	s.start("CosineAnnealingLR", o, s.next, setting{"T_max", &s.period}, setting{"eta_min", &s.lowest})
	return s
}

func (s *CosineAnnealingLR) next() []float64 {
	n, period := float64(s.lastEpoch), float64(s.period)
	switch {
	case s.initial:
		return s.current()
	case s.stepCount == 1 && s.lastEpoch > 0:
		return s.closed()
	case (s.lastEpoch-1-s.period)%(2*s.period) == 0:
		up := 1 - cos(math.Pi/period)
		return s.each(func(i int, g *ParamGroup) float64 { return g.LR + (s.baseLRs[i]-s.lowest)*up/2 })
	}
	ratio := (1 + cos(math.Pi*n/period)) / (1 + cos(math.Pi*(n-1)/period))
	return s.each(func(_ int, g *ParamGroup) float64 { return ratio*(g.LR-s.lowest) + s.lowest })
}
