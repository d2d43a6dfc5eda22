package deepspeed

import (
	"fmt"
	"math"
	"slices"

	"github.com/golite/golite/internal/typename"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	"github.com/golite/golite/torch/optim"
)

// schedulerBlock is "scheduler".
type schedulerBlock struct {
	kind                               string
	minLR, maxLR                       []float64 // of a warm-up or a cycle; nil: the optimizer's
	minMomentum, maxMomentum           []float64
	minRatio, cosMinRatio              float64
	warmup, total, first, decaySize    int
	second, firstStairs                int
	secondGiven, secondStairs          *int // nil: as the first
	linear, cycleMomentum, staircase   bool
	decayRate, decayMomentum, stepRate float64
	stepSize                           int
}

func (c *Config) readScheduler(r *reader, v any) error {
	kind, params, err := named(v)
	if err != nil {
		return err
	}
	s := &schedulerBlock{kind: kind, minLR: []float64{0}, warmup: 1000, cosMinRatio: 0.0001, first: 2000, cycleMomentum: true,
		minMomentum: []float64{0.8}, maxMomentum: []float64{0.9}, stepRate: 1, stepSize: 2000}
	form := "log"
	table := s.keys(&form)
	if table == nil {
		return fmt.Errorf("type %s: want WarmupLR, WarmupDecayLR, WarmupCosineLR, OneCycle or LRRangeTest; "+
			"remove the block for a scheduler of package optim, such as optim.NewCosineAnnealingLR(opt, steps)", show(kind))
	}
	before := len(r.errs)
	r.object("scheduler.params", params, table)
	if len(r.errs) > before {
		return nil
	}
	switch {
	case kind == "OneCycle" && (s.minLR == nil || s.maxLR == nil):
		return fmt.Errorf("params: OneCycle needs cycle_min_lr and cycle_max_lr")
	case (kind == "WarmupDecayLR" || kind == "WarmupCosineLR") && s.total == 0:
		return fmt.Errorf("params: %s needs total_num_steps, the number of the optimizer's steps", kind)
	}
	s.linear, s.warmup = form == "linear", max(2, s.warmup)
	s.second = s.first
	if s.secondGiven != nil {
		s.second = *s.secondGiven
	}
	c.scheduler = s
	return nil
}

// keys is the table of the schedule's parameters, and sets defaults that differ between schedules; nil: there is no such
// schedule.
func (s *schedulerBlock) keys(form *string) []key {
	integerGiven := func(least int) func(*int) func(any) error {
		return func(n *int) func(any) error { return integer(n, least) }
	}
	warmup := []key{
		{name: "warmup_num_steps", do: integer(&s.warmup, 1)},
		{name: "warmup_type", do: text(form, "log", "linear")},
		{name: "last_batch_iteration", ignore: "a checkpoint has the position", unless: -1.0},
	}
	rates := []key{{name: "warmup_min_lr", do: numbers(&s.minLR)}, {name: "warmup_max_lr", do: numbers(&s.maxLR)}}
	total := key{name: "total_num_steps", do: integer(&s.total, 1)}
	switch s.kind {
	case "WarmupLR":
		return slices.Concat(warmup, rates)
	case "WarmupDecayLR":
		s.maxLR = []float64{0.001}
		return slices.Concat(warmup, rates, []key{total})
	case "WarmupCosineLR":
		return slices.Concat(warmup, []key{total, {name: "warmup_min_ratio", do: number(&s.minRatio, 0, false)},
			{name: "cos_min_ratio", do: number(&s.cosMinRatio, 0, false)}})
	case "OneCycle":
		s.minLR = nil
		return []key{
			{name: "cycle_min_lr", do: numbers(&s.minLR)}, {name: "cycle_max_lr", do: numbers(&s.maxLR)},
			{name: "decay_lr_rate", do: number(&s.decayRate, 0, false)},
			{name: "cycle_first_step_size", do: integer(&s.first, 1)},
			{name: "cycle_second_step_size", do: given(&s.secondGiven, integerGiven(0))},
			{name: "cycle_first_stair_count", do: integer(&s.firstStairs, 0)},
			{name: "cycle_second_stair_count", do: given(&s.secondStairs, integerGiven(0))},
			{name: "decay_step_size", do: integer(&s.decaySize, 0)},
			{name: "cycle_momentum", do: boolean(&s.cycleMomentum)},
			{name: "cycle_min_mom", do: numbers(&s.minMomentum)}, {name: "cycle_max_mom", do: numbers(&s.maxMomentum)},
			{name: "decay_mom_rate", do: number(&s.decayMomentum, 0, false)}, warmup[2],
		}
	case "LRRangeTest":
		s.minLR = []float64{1e-3}
		return []key{{name: "lr_range_test_min_lr", do: numbers(&s.minLR)}, {name: "lr_range_test_step_size", do: integer(&s.stepSize, 1)},
			{name: "lr_range_test_step_rate", do: number(&s.stepRate, 0, false)}, {name: "lr_range_test_staircase", do: boolean(&s.staircase)}, warmup[2]}
	}
	return nil
}

// Scheduler is a schedule of DeepSpeed's. It is stepped after each step of the optimizer that was not left out.
type Scheduler struct {
	block  *schedulerBlock
	groups []*optim.ParamGroup
	base   []float64 // the groups' rates before it
	last   int       // last_batch_iteration
	rates  []float64
	moves  bool // it sets betas as well

	minLR, maxLR, minMomentum, maxMomentum []float64 // for each group
}

// NewScheduler makes the schedule of the configuration's block for an optimizer, and sets the rates of its first step; it
// returns nil where there is no block. An error says that a list in the block does not have a value for each group.
func (c *Config) NewScheduler(o optim.Optimizer) (optim.Scheduler, error) {
	if c.scheduler == nil {
		return nil, nil
	}
	if o == nil {
		return nil, fmt.Errorf("deepspeed: %s: scheduler: there is no optimizer: add an optimizer block, or give one to NewScheduler", c.name)
	}
	b := c.scheduler
	s := &Scheduler{block: b, groups: o.ParamGroups(), last: -1}
	for _, g := range s.groups {
		s.base = append(s.base, g.LR)
	}
	s.moves = b.kind == "OneCycle" && b.cycleMomentum && s.groups[0].Betas != [2]float64{}
	for _, l := range []struct {
		name string
		from []float64
		to   *[]float64
	}{{"the smallest rates", b.minLR, &s.minLR}, {"the largest rates", b.maxLR, &s.maxLR},
		{"cycle_min_mom", b.minMomentum, &s.minMomentum}, {"cycle_max_mom", b.maxMomentum, &s.maxMomentum}} {
		switch {
		case l.from == nil:
			*l.to = s.base
		case len(l.from) == 1:
			*l.to = slices.Repeat(l.from, len(s.groups))
		case len(l.from) == len(s.groups):
			*l.to = l.from
		default:
			return nil, fmt.Errorf("deepspeed: %s: scheduler.params: %s are %d values, and the optimizer has %d parameter groups: give one, or one for each",
				c.name, l.name, len(l.from), len(s.groups))
		}
	}
	switch {
	case b.kind == "WarmupCosineLR":
		s.set(make([]float64, len(s.groups)))
	default:
		s.set(s.minLR)
	}
	if s.moves {
		for i, g := range s.groups {
			g.Betas = [2]float64{s.minMomentum[i], 0.99}
		}
	}
	return s, nil
}

// set gives the groups their rates.
func (s *Scheduler) set(rates []float64) {
	s.rates = slices.Clone(rates)
	for i, g := range s.groups {
		g.LR = rates[i]
	}
}

// Step goes on by one and sets the groups' rates, and under OneCycle their first beta.
func (s *Scheduler) Step() {
	s.last++
	b, rates := s.block, make([]float64, len(s.groups))
	switch b.kind {
	case "WarmupLR", "WarmupDecayLR":
		gamma := s.gamma()
		for i := range rates {
			rates[i] = s.minLR[i] + float64((s.maxLR[i]-s.minLR[i])*gamma)
		}
	case "WarmupCosineLR":
		ratio := s.ratio()
		for i := range rates {
			rates[i] = s.base[i] * ratio
		}
	case "OneCycle":
		s.cycle(rates)
	case "LRRangeTest":
		interval := float64(s.last+1) / float64(b.stepSize)
		if b.staircase {
			interval = math.Floor(interval)
		}
		for i := range rates {
			rates[i] = s.minLR[i] * (1 + float64(b.stepRate*interval))
		}
	}
	s.set(rates)
}

// warm is how far the warm-up has come, from 0 to 1. ok: it has not ended.
func (s *Scheduler) warm() (part float64, ok bool) {
	b := s.block
	switch {
	case s.last >= b.warmup:
		return 0, false
	case b.linear:
		return float64(s.last) / float64(b.warmup), true
	}
	return 1 / log(b.warmup) * log(s.last+1), true
}

func (s *Scheduler) gamma() float64 {
	if part, ok := s.warm(); ok {
		return part
	}
	if s.block.kind == "WarmupLR" {
		return 1
	}
	return max(0, float64(s.block.total-s.last)/float64(max(1, s.block.total-s.block.warmup)))
}

func (s *Scheduler) ratio() float64 {
	b := s.block
	if part, ok := s.warm(); ok {
		return b.minRatio + float64(part*(1-b.minRatio))
	}
	progress := min(1, float64(s.last-b.warmup+1)/float64(max(1, b.total-b.warmup)))
	ratio := (1 + cos(math.Pi*progress)) / 2
	return max(0, b.cosMinRatio+float64((1-b.cosMinRatio)*ratio))
}

// cycle is OneCycle's rates and momenta: up, down, and then the decay.
func (s *Scheduler) cycle(rates []float64) {
	b := s.block
	length := float64(b.first + b.second)
	if float64(s.last) >= length {
		part := 0.0
		if b.decaySize > 0 {
			part = (float64(s.last) - length + 1) / float64(b.decaySize)
		}
		for i := range rates {
			rates[i] = s.minLR[i]
			if b.decaySize > 0 && b.decayRate > 1e-9 {
				rates[i] = s.minLR[i] / (1 + float64(b.decayRate*part))
			}
			if s.moves {
				s.groups[i].Betas = [2]float64{s.maxMomentum[i], 0.99}
				if b.decaySize > 0 && b.decayMomentum > 1e-9 {
					s.groups[i].Betas[0] = s.maxMomentum[i] * (1 + float64(b.decayMomentum*part))
				}
			}
		}
		return
	}
	scale := s.scale(length)
	for i := range rates {
		rates[i] = s.minLR[i] + float64((s.maxLR[i]-s.minLR[i])*scale)
		if s.moves {
			s.groups[i].Betas = [2]float64{s.maxMomentum[i] - float64((s.maxMomentum[i]-s.minMomentum[i])*scale), 0.99}
		}
	}
}

// scale is the height within a cycle, from 0 to 1.
func (s *Scheduler) scale(length float64) float64 {
	b, n := s.block, float64(s.last+1)
	up := float64(b.first) / length
	x := 1 + n/length - math.Floor(1+n/length)
	scale, stairs := 0.0, b.firstStairs
	if x <= up {
		scale = x / up
	} else {
		scale = (x - 1) / (up - 1)
		if b.secondStairs != nil {
			stairs = *b.secondStairs
		}
	}
	if stairs > 0 {
		at := math.Mod(n, length)
		position := at * float64(stairs) / float64(b.first)
		if at > float64(b.first) {
			position = (length - at) * float64(stairs) / float64(b.second)
		}
		scale = math.Floor(position) / float64(stairs)
	}
	return scale
}

// LastLR returns the rates that the last Step set, one for each group.
func (s *Scheduler) LastLR() []float64 { return slices.Clone(s.rates) }

// StateDict returns the state as DeepSpeed has it: last_batch_iteration.
func (s *Scheduler) StateDict() map[string]any { return map[string]any{"last_batch_iteration": s.last} }

// LoadStateDict takes a state of DeepSpeed's; on an error nothing is changed. The optimizer's rates are the optimizer's
// state, and stay as they are.
func (s *Scheduler) LoadStateDict(state map[string]any) error {
	v, ok := state["last_batch_iteration"]
	if !ok {
		return fmt.Errorf("deepspeed: state of %s: it has no last_batch_iteration: want a state of DeepSpeed's schedulers", s.block.kind)
	}
	switch n := v.(type) {
	case int:
		s.last = n
	case int64:
		s.last = int(n)
	default:
		return fmt.Errorf("deepspeed: state of %s: last_batch_iteration is a %s: want a whole number", s.block.kind, typename.Of(v))
	}
	return nil
}

// log is C's log of a whole number, which Python computes with: Go's differs from it in the last bit now and then. libtorch's
// logarithm of complex numbers calls it.
func log(n int) (l float64) {
	torch.NoGrad(func() {
		torch.Scope(func() {
			o := torch.Options{DType: torch.Float64}
			l = aten.Real(aten.Log(aten.Complex(o.Scalar(float64(n)), o.Scalar(0)))).Item()
		})
	})
	return l
}

// cos is C's cos, which libtorch's polar calls.
func cos(x float64) (c float64) {
	torch.NoGrad(func() {
		torch.Scope(func() {
			o := torch.Options{DType: torch.Float64}
			c = aten.Real(aten.Polar(o.Scalar(1), o.Scalar(x))).Item()
		})
	})
	return c
}
