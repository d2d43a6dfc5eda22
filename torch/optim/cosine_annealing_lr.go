package optim

import (
	"fmt"
	"math"

	"github.com/golite/golite/internal/typename"
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

// WarmRestartsOptions are NewCosineAnnealingWarmRestarts' optional arguments.
type WarmRestartsOptions struct {
	TMult  int     // by what each cycle is longer than the one before; 0: 1
	EtaMin float64 // the lowest rate
}

// CosineAnnealingWarmRestarts lowers the rates along half a cosine, and restarts
// (torch.optim.lr_scheduler.CosineAnnealingWarmRestarts).
type CosineAnnealingWarmRestarts struct {
	LRScheduler
	first, mult  int
	length       int     // of the present cycle
	done, lowest float64 // done: steps of the present cycle, in fractions with StepTo
}

// NewCosineAnnealingWarmRestarts makes a CosineAnnealingWarmRestarts whose first cycle has t0 steps
// (torch.optim.lr_scheduler.CosineAnnealingWarmRestarts). It panics if t0 is below 1 or TMult negative.
func NewCosineAnnealingWarmRestarts(o Optimizer, t0 int, opts ...WarmRestartsOptions) *CosineAnnealingWarmRestarts {
	given := one("CosineAnnealingWarmRestarts", opts)
	if t0 < 1 || given.TMult < 0 {
		torch.Fail("optim.NewCosineAnnealingWarmRestarts", "t0 is %d and TMult %d: want 1 or more", t0, given.TMult)
	}
	s := &CosineAnnealingWarmRestarts{first: t0, mult: max(1, given.TMult), length: t0, done: -1, lowest: given.EtaMin}
	s.advance = s.stepOne
	s.start("CosineAnnealingWarmRestarts", o, func() []float64 {
		return s.fromBase(func(base float64) float64 {
			return s.lowest + (base-s.lowest)*(1+cos(math.Pi*s.done/float64(s.length)))/2
		})
	}, setting{"T_0", &s.first}, setting{"T_i", &s.length}, setting{"T_mult", &s.mult}, setting{"eta_min", &s.lowest},
		setting{"T_cur", &whole{&s.done}})
	return s
}

func (s *CosineAnnealingWarmRestarts) stepOne() {
	if s.lastEpoch < 0 {
		s.StepTo(0)
		return
	}
	s.done++
	if s.done >= float64(s.length) {
		s.done = math.Mod(s.done, float64(s.length))
		s.length *= s.mult
	}
	s.lastEpoch++
	s.set(s.rates())
}

// StepTo goes to an epoch, which may have a fraction: epoch + batch/batches (scheduler.step(epoch)). It panics if that
// is negative.
func (s *CosineAnnealingWarmRestarts) StepTo(epoch float64) {
	if !(epoch >= 0) {
		torch.Fail("optim.CosineAnnealingWarmRestarts", "the epoch is %v: want 0 or more", epoch)
	}
	first, mult := float64(s.first), float64(s.mult)
	switch {
	case epoch < first:
		s.length, s.done = s.first, epoch
	case s.mult == 1:
		s.done = math.Mod(epoch, first)
	default:
		cycles := int(math.Log(epoch/first*(mult-1)+1) / math.Log(mult))
		times := 1
		for range cycles {
			times *= s.mult
		}
		s.done = epoch - float64(s.first*(times-1))/float64(s.mult-1)
		s.length = s.first * times
	}
	s.lastEpoch = int(math.Floor(epoch))
	s.set(s.rates())
}

// whole is a number that is an int in state dicts when it is whole, as Python's steps are.
type whole struct{ v *float64 }

func (w *whole) value() any {
	if *w.v == math.Trunc(*w.v) {
		return int(*w.v)
	}
	return *w.v
}

func (w *whole) parse(v any) (func(), error) {
	f, ok := number(v)
	if !ok {
		return nil, fmt.Errorf("%v is a %s, want a number", v, typename.Of(v))
	}
	return func() { *w.v = f }, nil
}
