package optim

import "github.com/golite/golite/torch"

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
