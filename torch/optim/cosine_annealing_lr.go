package optim

import (
	"math"

	"github.com/golite/golite/torch"
)

// CosineAnnealingLROptions are NewCosineAnnealingLR's optional arguments.
type CosineAnnealingLROptions struct {
	EtaMin float64 // the lowest rate
}

// CosineAnnealingLR lowers the rates along half a cosine, and raises them again
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
