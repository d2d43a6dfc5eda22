package optim

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
