package optim

import (
	"math"

	"github.com/golite/golite/torch"
)

// cycledMomentum moves a momentum, or Adam's first beta, against the rates.
type cycledMomentum struct {
	on, beta bool
}

// prepare sets what the groups keep: the momentum to begin with is the largest.
func (c *cycledMomentum) prepare(name string, o Optimizer, lowest, highest []float64) {
	if !c.on {
		return
	}
	b := baseOf("optim.New"+name, o)
	c.beta = b.hasSetting("betas")
	if !c.beta && !b.hasSetting("momentum") {
		torch.Fail("optim.New"+name, "%s has neither momentum nor betas to cycle: set NoCycleMomentum", b.rule.Name())
	}
	for i, g := range b.groups {
		c.set(g, highest[i])
		g.MaxMomentum, g.BaseMomentum = new(highest[i]), new(lowest[i])
	}
}

func (c *cycledMomentum) set(g *ParamGroup, v float64) {
	if c.beta {
		g.Betas[0] = v
	} else {
		g.Momentum = v
	}
}

// CyclicLROptions are NewCyclicLR's optional arguments; steps are calls of Step.
type CyclicLROptions struct {
	BaseLRs, MaxLRs []float64               // for each group, in the place of the constructor's
	StepSizeUp      int                     // steps from the lowest rate to the highest; 0: 2000
	StepSizeDown    int                     // and back; 0: as StepSizeUp
	Mode            string                  // "triangular" (""), "triangular2" or "exp_range"
	Gamma           *float64                // exp_range's; nil: 1
	Scale           func(x float64) float64 // scale_fn, in the place of Mode's
	// scale_mode "iterations": x is the count of steps and not of cycles; for Scale
	ScaleByIterations bool
	NoCycleMomentum   bool     // leave momentum and betas alone
	BaseMomentum      *float64 // where the rate is highest; nil: 0.8
	MaxMomentum       *float64 // where the rate is lowest; nil: 0.9
}

// CyclicLR moves the rates up and down between two bounds, and the momentum the other way
// (torch.optim.lr_scheduler.CyclicLR).
type CyclicLR struct {
	LRScheduler
	options           CyclicLROptions
	gamma             float64
	mode, scaleMode   string
	total, ratio      float64
	highest           []float64
	lowestM, highestM []float64
	momentum          cycledMomentum
}

// NewCyclicLR makes a CyclicLR between two rates and sets the lower one (torch.optim.lr_scheduler.CyclicLR). Step it
// after every step of the optimizer. It panics if the mode is unknown, a step size is negative, a list has another
// length than there are groups, or the optimizer has neither momentum nor betas to cycle and NoCycleMomentum is not
// set.
func NewCyclicLR(o Optimizer, baseLR, maxLR float64, opts ...CyclicLROptions) *CyclicLR {
	s := &CyclicLR{options: one("CyclicLR", opts)}
	s.mode, s.scaleMode = s.options.Mode, "cycle"
	if s.mode == "" {
		s.mode = "triangular"
	}
	if s.options.Scale == nil && s.mode != "triangular" && s.mode != "triangular2" && s.mode != "exp_range" {
		torch.Fail("optim.NewCyclicLR", "the mode is %q: want triangular, triangular2 or exp_range", s.mode)
	}
	if s.options.Scale == nil && s.mode == "exp_range" || s.options.Scale != nil && s.options.ScaleByIterations {
		s.scaleMode = "iterations"
	}
	lowest := perGroup("CyclicLR", "base rates", o, s.options.BaseLRs, baseLR)
	s.highest = perGroup("CyclicLR", "highest rates", o, s.options.MaxLRs, maxLR)
	s.gamma = orElse(s.options.Gamma, 1)
	s.sizes()
	s.lowestM = perGroup("CyclicLR", "momenta", o, nil, orElse(s.options.BaseMomentum, 0.8))
	s.highestM = perGroup("CyclicLR", "momenta", o, nil, orElse(s.options.MaxMomentum, 0.9))
	s.momentum.on = !s.options.NoCycleMomentum
	for i, g := range o.ParamGroups() {
		g.LR = lowest[i]
	}
	s.momentum.prepare("CyclicLR", o, s.lowestM, s.highestM)
	s.start("CyclicLR", o, s.next, s.settings()...)
	s.baseLRs = lowest
	return s
}

func (s *CyclicLR) sizes() {
	up := s.options.StepSizeUp
	if up == 0 {
		up = 2000
	}
	down := s.options.StepSizeDown
	if down == 0 {
		down = up
	}
	if up < 0 || down < 0 {
		torch.Fail("optim.NewCyclicLR", "the step sizes are %d and %d: want 1 or more", up, down)
	}
	s.total = float64(up) + float64(down)
	s.ratio = float64(up) / s.total
}

func (s *CyclicLR) settings() []setting {
	out := []setting{{"max_lrs", &s.highest}, {"total_size", &s.total}, {"step_ratio", &s.ratio}, {"mode", &s.mode},
		{"gamma", &s.gamma},
		{"scale_mode", &s.scaleMode}, {"cycle_momentum", &s.momentum.on}}
	if s.momentum.on {
		out = append(out, setting{"use_beta1", &s.momentum.beta}, setting{"base_momentums", &s.lowestM},
			setting{"max_momentums", &s.highestM})
	}
	return append(out, setting{"_scale_fn_custom", nil})
}

func (s *CyclicLR) next() []float64 {
	n := float64(s.lastEpoch)
	cycle := math.Floor(1 + n/s.total)
	x := 1 + n/s.total - cycle
	part := (x - 1) / (s.ratio - 1)
	if x <= s.ratio {
		part = x / s.ratio
	}
	at := cycle
	if s.scaleMode == "iterations" {
		at = n
	}
	scale := s.scale(at)
	if s.momentum.on {
		for i, g := range s.opt.groups {
			s.momentum.set(g, s.highestM[i]-(s.highestM[i]-s.lowestM[i])*part*scale)
		}
	}
	return s.each(func(i int, _ *ParamGroup) float64 { return s.baseLRs[i] + (s.highest[i]-s.baseLRs[i])*part*scale })
}

func (s *CyclicLR) scale(x float64) float64 {
	switch {
	case s.options.Scale != nil:
		return s.options.Scale(x)
	case s.mode == "triangular2":
		return 1 / pow(2, x-1)
	case s.mode == "exp_range":
		return pow(s.gamma, x)
	}
	return 1
}
