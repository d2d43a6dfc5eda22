package optim

import (
	"fmt"
	"math"

	"github.com/golite/golite/internal/typename"
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

// OneCycleLROptions are NewOneCycleLR's optional arguments.
type OneCycleLROptions struct {
	MaxLRs          []float64 // for each group, in the place of the constructor's
	PctStart        *float64  // the part of the steps in which the rate rises; nil: 0.3
	Linear          bool      // anneal_strategy "linear" in the place of "cos"
	NoCycleMomentum bool      // leave momentum and betas alone
	BaseMomentum    *float64  // where the rate is highest; nil: 0.85
	MaxMomentum     *float64  // where the rate is lowest; nil: 0.95
	DivFactor       *float64  // the first rate is the highest divided by it; nil: 25
	FinalDivFactor  *float64  // the last rate is the first divided by it; nil: 1e4
	ThreePhase      bool      // fall as slowly as rise, and then to the last rate
}

// OneCycleLR moves the rates up and down once, over the whole training, and the momentum the other way
// (torch.optim.lr_scheduler.OneCycleLR).
type OneCycleLR struct {
	LRScheduler
	total    int
	strategy string
	phases   phases
	momentum cycledMomentum
}

// NewOneCycleLR makes a OneCycleLR with the highest rate and the number of steps in all
// (torch.optim.lr_scheduler.OneCycleLR). Step it after every step of the optimizer; it panics when stepped more often
// than that. NewOneCycleLR panics if totalSteps is below 1, PctStart is not from 0 to 1, MaxLRs has another length than
// there are groups, or the optimizer has neither momentum nor betas to cycle and NoCycleMomentum is not set.
func NewOneCycleLR(o Optimizer, maxLR float64, totalSteps int, opts ...OneCycleLROptions) *OneCycleLR {
	given := one("OneCycleLR", opts)
	if totalSteps < 1 {
		torch.Fail("optim.NewOneCycleLR", "there are %d steps in all: want 1 or more", totalSteps)
	}
	rise := orElse(given.PctStart, 0.3)
	if !(rise >= 0 && rise <= 1) {
		torch.Fail("optim.NewOneCycleLR", "PctStart is %v: want 0 to 1", rise)
	}
	s := &OneCycleLR{total: totalSteps, strategy: "cos", phases: onePhases(rise, totalSteps, given.ThreePhase)}
	if given.Linear {
		s.strategy = "linear"
	}
	highest := perGroup("OneCycleLR", "highest rates", o, given.MaxLRs, maxLR)
	for i, g := range o.ParamGroups() {
		first := highest[i] / orElse(given.DivFactor, 25)
		g.InitialLR, g.MaxLR, g.MinLR = new(first), new(highest[i]), new(first/orElse(given.FinalDivFactor, 1e4))
	}
	s.momentum.on = !given.NoCycleMomentum
	s.momentum.prepare("OneCycleLR", o, perGroup("OneCycleLR", "momenta", o, nil, orElse(given.BaseMomentum, 0.85)),
		perGroup("OneCycleLR", "momenta", o, nil, orElse(given.MaxMomentum, 0.95)))
	fields := []setting{{"total_steps", &s.total}, {"_schedule_phases", &s.phases}, {"_anneal_func_type", &s.strategy},
		{"cycle_momentum", &s.momentum.on}}
	if s.momentum.on {
		fields = append(fields, setting{"use_beta1", &s.momentum.beta})
	}
	s.start("OneCycleLR", o, s.next, fields...)
	return s
}

// phase is a part of a cycle; the names are of what the groups keep.
type phase struct {
	end                                    float64
	fromLR, toLR, fromMomentum, toMomentum string
}

type phases []phase

func onePhases(rise float64, steps int, three bool) phases {
	total := float64(steps)
	out := phases{{rise*total - 1, "initial_lr", "max_lr", "max_momentum", "base_momentum"}}
	if !three {
		return append(out, phase{total - 1, "max_lr", "min_lr", "base_momentum", "max_momentum"})
	}
	return append(out, phase{2*rise*total - 2, "max_lr", "initial_lr", "base_momentum", "max_momentum"},
		phase{total - 1, "initial_lr", "min_lr", "max_momentum", "max_momentum"})
}

func (p *phases) value() any {
	out := make([]any, len(*p))
	for i, x := range *p {
		var end any = x.end
		if i == len(*p)-1 {
			end = int(x.end)
		}
		out[i] = map[string]any{"end_step": end, "start_lr": x.fromLR, "end_lr": x.toLR, "start_momentum": x.fromMomentum,
			"end_momentum": x.toMomentum}
	}
	return out
}

func (p *phases) parse(v any) (func(), error) {
	items, ok := list(v)
	if !ok || len(items) == 0 {
		return nil, fmt.Errorf("%v is a %s, want a list of phases", v, typename.Of(v))
	}
	out := make(phases, len(items))
	for i, item := range items {
		d, ok := mapping(item)
		if !ok {
			return nil, fmt.Errorf("phase %d is a %s, want a dictionary", i, typename.Of(item))
		}
		if out[i].end, ok = number(d["end_step"]); !ok {
			return nil, fmt.Errorf("phase %d has no end_step", i)
		}
		for key, to := range map[string]*string{"start_lr": &out[i].fromLR, "end_lr": &out[i].toLR,
			"start_momentum": &out[i].fromMomentum, "end_momentum": &out[i].toMomentum} {
			if *to, ok = d[key].(string); !ok || (&ParamGroup{}).kept(*to) == nil {
				return nil, fmt.Errorf("phase %d: %s is %v", i, key, d[key])
			}
		}
	}
	return func() { *p = out }, nil
}

func (s *OneCycleLR) next() []float64 {
	if s.lastEpoch > s.total {
		torch.Fail("optim.OneCycleLR", "this is step %d, and there were to be %d in all", s.lastEpoch, s.total)
	}
	n, start := float64(s.lastEpoch), 0.0
	now := s.phases[len(s.phases)-1]
	for _, p := range s.phases {
		if n <= p.end {
			now = p
			break
		}
		if p != now {
			start = p.end
		}
	}
	part := (n - start) / (now.end - start)
	return s.each(func(_ int, g *ParamGroup) float64 {
		if s.momentum.on {
			s.momentum.set(g, s.anneal(**g.kept(now.fromMomentum), **g.kept(now.toMomentum), part))
		}
		return s.anneal(**g.kept(now.fromLR), **g.kept(now.toLR), part)
	})
}

func (s *OneCycleLR) anneal(from, to, part float64) float64 {
	if s.strategy == "linear" {
		return (to-from)*part + from
	}
	return to + (from-to)/2*(cos(math.Pi*part)+1)
}
