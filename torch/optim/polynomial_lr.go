package optim

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
