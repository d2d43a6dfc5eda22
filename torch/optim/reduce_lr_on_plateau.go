package optim

import (
	"fmt"
	"math"
	"slices"

	"github.com/golite/golite/torch"
)

// PlateauOptions are NewReduceLROnPlateau's optional arguments.
type PlateauOptions struct {
	Max       bool      // mode "max": the metric is to grow
	Factor    *float64  // what the rates are multiplied by; nil: 0.1
	Patience  *int      // epochs without improvement that are put up with; nil: 10
	Threshold *float64  // the least improvement that counts; nil: 1e-4
	Absolute  bool      // threshold_mode "abs": Threshold is a difference and not a ratio
	Cooldown  int       // epochs to wait after a reduction
	MinLR     float64   // the lowest rate
	MinLRs    []float64 // the same for each group
	Eps       *float64  // a smaller change of a rate isn't made; nil: 1e-8
}

// ReduceLROnPlateau reduces the rates when a metric has ceased to improve (torch.optim.lr_scheduler.ReduceLROnPlateau).
// Its Step takes the metric, so it is no Scheduler.
type ReduceLROnPlateau struct {
	opt                           *Base
	factor, threshold, eps        float64
	mode, thresholdMode           string
	patience, cooldown, lastEpoch int
	cooling, bad                  int
	best, worst                   float64
	lowest, lastLR                []float64
	sameLowest                    any
}

// NewReduceLROnPlateau makes a ReduceLROnPlateau; step it once an epoch (torch.optim.lr_scheduler.ReduceLROnPlateau).
// It panics if Factor is not below 1, or MinLRs has another length than there are groups.
func NewReduceLROnPlateau(o Optimizer, opts ...PlateauOptions) *ReduceLROnPlateau {
	given := one("ReduceLROnPlateau", opts)
	s := &ReduceLROnPlateau{opt: baseOf("optim.NewReduceLROnPlateau", o), factor: orElse(given.Factor, 0.1),
		threshold: orElse(given.Threshold, 1e-4),
		eps:       orElse(given.Eps, 1e-8), mode: "min", thresholdMode: "rel", patience: orElse(given.Patience, 10),
		cooldown: given.Cooldown, worst: math.Inf(1), lowest: perGroup("ReduceLROnPlateau", "lowest rates", o, given.MinLRs,
			given.MinLR)}
	if !(s.factor < 1) {
		torch.Fail("optim.NewReduceLROnPlateau", "the factor is %v: want it below 1", s.factor)
	}
	if given.MinLRs == nil {
		s.sameLowest = given.MinLR
	}
	if given.Max {
		s.mode, s.worst = "max", math.Inf(-1)
	}
	if given.Absolute {
		s.thresholdMode = "abs"
	}
	s.best = s.worst
	s.lastLR = s.rates()
	return s
}

// Step takes the metric of an epoch, mostly the validation loss, and reduces the rates if it is time.
func (s *ReduceLROnPlateau) Step(metric float64) {
	s.lastEpoch++
	if s.better(metric) {
		s.best, s.bad = metric, 0
	} else {
		s.bad++
	}
	if s.cooling > 0 {
		s.cooling--
		s.bad = 0
	}
	if s.bad > s.patience {
		for i, g := range s.opt.groups {
			if lr := max(g.LR*s.factor, s.lowest[i]); g.LR-lr > s.eps {
				g.LR = lr
			}
		}
		s.cooling, s.bad = s.cooldown, 0
	}
	s.lastLR = s.rates()
}

func (s *ReduceLROnPlateau) better(v float64) bool {
	switch {
	case s.mode == "min" && s.thresholdMode == "rel":
		return v < s.best*(1-s.threshold)
	case s.mode == "min":
		return v < s.best-s.threshold
	case s.thresholdMode == "rel":
		return v > s.best*(s.threshold+1)
	}
	return v > s.best+s.threshold
}

func (s *ReduceLROnPlateau) rates() []float64 {
	out := make([]float64, len(s.opt.groups))
	for i, g := range s.opt.groups {
		out[i] = g.LR
	}
	return out
}

// LastLR returns the groups' rates after the last Step.
func (s *ReduceLROnPlateau) LastLR() []float64 { return slices.Clone(s.lastLR) }

func (s *ReduceLROnPlateau) fields() []setting {
	return []setting{{"factor", &s.factor}, {"default_min_lr", s.sameLowest}, {"min_lrs", &s.lowest},
		{"patience", &s.patience},
		{"cooldown", &s.cooldown}, {"eps", &s.eps}, {"last_epoch", &s.lastEpoch}, {"_last_lr", &s.lastLR},
		{"mode_worse", &s.worst},
		{"mode", &s.mode}, {"threshold", &s.threshold}, {"threshold_mode", &s.thresholdMode}, {"best", &s.best},
		{"cooldown_counter", &s.cooling}, {"num_bad_epochs", &s.bad}}
}

// StateDict returns the state in Python's layout.
func (s *ReduceLROnPlateau) StateDict() map[string]any {
	out := map[string]any{}
	for _, f := range s.fields() {
		out[f.key] = value(f.value)
	}
	return out
}

// LoadStateDict takes a state in Python's layout; on an error nothing is changed.
func (s *ReduceLROnPlateau) LoadStateDict(d map[string]any) error {
	for key, known := range map[string][]string{"mode": {"min", "max"}, "threshold_mode": {"rel", "abs"}} {
		if v, ok := d[key].(string); ok && !slices.Contains(known, v) {
			return fmt.Errorf("optim: state of ReduceLROnPlateau: %s is %q, want one of %q", key, v, known)
		}
	}
	return loadFields("ReduceLROnPlateau", d, s.fields(), len(s.opt.groups))
}
