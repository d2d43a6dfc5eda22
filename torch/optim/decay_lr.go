package optim

import (
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/golite/golite/internal/typename"
	"github.com/golite/golite/torch"
)

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

// MultiStepLROptions are NewMultiStepLR's optional arguments.
type MultiStepLROptions struct {
	Gamma *float64 // what the rates are multiplied by; nil: 0.1
}

// MultiStepLR multiplies the rates by gamma at given steps (torch.optim.lr_scheduler.MultiStepLR).
type MultiStepLR struct {
	LRScheduler
	at    milestones
	gamma float64
}

// NewMultiStepLR makes a MultiStepLR that multiplies at the steps of at (torch.optim.lr_scheduler.MultiStepLR). A step
// that is there twice counts twice.
func NewMultiStepLR(o Optimizer, at []int, opts ...MultiStepLROptions) *MultiStepLR {
	s := &MultiStepLR{at: milestones{}, gamma: orElse(one("MultiStepLR", opts).Gamma, 0.1)}
	for _, m := range at {
		s.at[m]++
	}
	s.closed = func() []float64 {
		passed := 0
		for m, n := range s.at {
			if m <= s.lastEpoch {
				passed += n
			}
		}
		return s.fromBase(func(base float64) float64 { return base * pow(s.gamma, float64(passed)) })
	}
	s.start("MultiStepLR", o, func() []float64 {
		if s.at[s.lastEpoch] == 0 {
			return s.current()
		}
		return s.scaled(pow(s.gamma, float64(s.at[s.lastEpoch])))
	}, setting{"milestones", &s.at}, setting{"gamma", &s.gamma})
	return s
}

// milestones counts how often each is there; in Python it is a Counter.
type milestones map[int]int

func (m *milestones) value() any {
	out := map[int]any{}
	for k, n := range *m {
		out[k] = n
	}
	return out
}

func (m *milestones) parse(v any) (func(), error) {
	found := milestones{}
	add := func(k, n any) error {
		at, ok := number(k)
		count, okay := number(n)
		if !ok || !okay {
			return fmt.Errorf("%v: %v, want numbers", k, n)
		}
		found[int(at)] = int(count)
		return nil
	}
	var pairs iter.Seq2[any, any]
	switch d := v.(type) {
	case map[int]any:
		pairs = func(yield func(any, any) bool) {
			for _, k := range slices.Sorted(maps.Keys(d)) {
				if !yield(k, d[k]) {
					return
				}
			}
		}
	case interface{ All() iter.Seq2[any, any] }:
		pairs = d.All()
	default:
		return nil, fmt.Errorf("%v is a %s, want a dictionary", v, typename.Of(v))
	}
	for k, n := range pairs {
		if err := add(k, n); err != nil {
			return nil, err
		}
	}
	return func() { *m = found }, nil
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

// PolynomialLR lowers the rates to 0 in a number of steps, along a polynomial (torch.optim.lr_scheduler.PolynomialLR).
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
