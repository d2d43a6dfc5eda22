package optim

import (
	"math"

	"github.com/golite/golite/torch"
)

// SWALROptions are NewSWALR's optional arguments.
type SWALROptions struct {
	LRs          []float64 // for each group, in the place of the constructor's
	AnnealEpochs *int      // steps on the way; nil: 10
	Linear       bool      // anneal_strategy "linear" in the place of "cos"
}

// SWALR brings the rates to one value and leaves them there, for averaging weights (torch.optim.swa_utils.SWALR).
type SWALR struct {
	LRScheduler
	strategy string
	epochs   int
}

// NewSWALR makes an SWALR that ends at the rate lr (torch.optim.swa_utils.SWALR). It panics if AnnealEpochs is
// negative, or LRs has another length than there are groups.
func NewSWALR(o Optimizer, lr float64, opts ...SWALROptions) *SWALR {
	given := one("SWALR", opts)
	s := &SWALR{strategy: "cos", epochs: orElse(given.AnnealEpochs, 10)}
	if s.epochs < 0 {
		torch.Fail("optim.NewSWALR", "AnnealEpochs is %d: want 0 or more", s.epochs)
	}
	if given.Linear {
		s.strategy = "linear"
	}
	for i, v := range perGroup("SWALR", "rates", o, given.LRs, lr) {
		o.ParamGroups()[i].SWALR = new(v)
	}
	s.start("SWALR", o, s.next, setting{"_anneal_strategy", &s.strategy}, setting{"anneal_epochs", &s.epochs})
	return s
}

func (s *SWALR) next() []float64 {
	step := s.stepCount - 1
	if s.epochs == 0 {
		step = max(1, step)
	}
	before, now := s.weight(step-1), s.weight(step)
	return s.each(func(_ int, g *ParamGroup) float64 {
		first := *g.SWALR
		if before != 1 {
			first = (g.LR - before**g.SWALR) / (1 - before)
		}
		return *g.SWALR*now + first*(1-now)
	})
}

// weight is the last rate's share after a number of steps.
func (s *SWALR) weight(step int) float64 {
	t := max(0, min(1, float64(step)/float64(max(1, s.epochs))))
	if s.strategy == "linear" {
		return t
	}
	return (1 - cos(math.Pi*t)) / 2
}
