package optim

import (
	"github.com/golite/golite/torch"
)

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
	s := &LinearLR{from: orElse(given.StartFactor, 1.0/3), to: orElse(given.EndFactor, 1), total: orElse(given.TotalIters,
		5)}
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
	s.start("LinearLR", o, s.next, setting{"start_factor", &s.from}, setting{"end_factor", &s.to},
		setting{"total_iters", &s.total})
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
