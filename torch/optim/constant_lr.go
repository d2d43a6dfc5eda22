package optim

import "github.com/golite/golite/torch"

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
