package optim

import (
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/golite/golite/internal/typename"
)

// MultiStepLROptions are NewMultiStepLR's optional arguments.
type MultiStepLROptions struct {
	Gamma *float64 // what the rates are multiplied by; nil: 0.1
}

// MultiStepLR multiplies the rates by gamma at given steps (torch.optim.lr_scheduler.MultiStepLR).
type MultiStepLR struct {
	LRScheduler
	at    milestones
	gamma float64
}

// NewMultiStepLR makes a MultiStepLR that multiplies at the steps of at (torch.optim.lr_scheduler.MultiStepLR). A step
// that is there twice counts twice.
func NewMultiStepLR(o Optimizer, at []int, opts ...MultiStepLROptions) *MultiStepLR {
	s := &MultiStepLR{at: milestones{}, gamma: orElse(one("MultiStepLR", opts).Gamma, 0.1)}
	for _, m := range at {
		s.at[m]++
	}
	s.closed = func() []float64 {
		passed := 0
		for m, n := range s.at {
			if m <= s.lastEpoch {
				passed += n
			}
		}
		return s.fromBase(func(base float64) float64 { return base * pow(s.gamma, float64(passed)) })
	}
	s.start("MultiStepLR", o, func() []float64 {
		if s.at[s.lastEpoch] == 0 {
			return s.current()
		}
		return s.scaled(pow(s.gamma, float64(s.at[s.lastEpoch])))
	}, setting{"milestones", &s.at}, setting{"gamma", &s.gamma})
	return s
}

// milestones counts how often each is there; in Python it is a Counter.
type milestones map[int]int

func (m *milestones) value() any {
	out := map[int]any{}
	for k, n := range *m {
		out[k] = n
	}
	return out
}

func (m *milestones) parse(v any) (func(), error) {
	found := milestones{}
	add := func(k, n any) error {
		at, ok := number(k)
		count, okay := number(n)
		if !ok || !okay {
			return fmt.Errorf("%v: %v, want numbers", k, n)
		}
		found[int(at)] = int(count)
		return nil
	}
	var pairs iter.Seq2[any, any]
	switch d := v.(type) {
	case map[int]any:
		pairs = func(yield func(any, any) bool) {
			for _, k := range slices.Sorted(maps.Keys(d)) {
				if !yield(k, d[k]) {
					return
				}
			}
		}
	case interface{ All() iter.Seq2[any, any] }:
		pairs = d.All()
	default:
		return nil, fmt.Errorf("%v is a %s, want a dictionary", v, typename.Of(v))
	}
	for k, n := range pairs {
		if err := add(k, n); err != nil {
			return nil, err
		}
	}
	return func() { *m = found }, nil
}
