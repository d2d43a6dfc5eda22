package deepspeed

import (
	"errors"
	"math"
)

// LossScaler is DeepSpeed's scale of float16 losses. It differs from amp.GradScaler's: the scale is halved at the
// hysteresis-th overflow, and an overflow at the smallest scale is an error. It is not safe for use by several goroutines.
type LossScaler struct {
	fp16       FP16
	scale      float64
	iteration  int
	overflowed int // the iteration of the last overflow, -1: none
	left       int // overflows until the scale is halved
}

// NewLossScaler returns the scaler of the configuration's fp16 block; without an enabled one its scale is 1 and stays it.
func (c *Config) NewLossScaler() *LossScaler {
	s := &LossScaler{fp16: c.FP16, scale: 1, overflowed: -1, left: c.FP16.Hysteresis}
	switch {
	case !c.FP16.Enabled:
		s.fp16.LossScale = 1
	case c.FP16.LossScale > 0:
		s.scale = c.FP16.LossScale
	default:
		s.scale = math.Ldexp(1, c.FP16.InitialScalePower)
	}
	return s
}

// Scale is what a loss is multiplied with before Backward, and gradients are divided by before Step.
func (s *LossScaler) Scale() float64 { return s.scale }

// Update ends a step. overflow reports whether a gradient of any rank was not finite, and the step was left out; all ranks
// give the same. An error ends training: the scale was at its minimum already.
func (s *LossScaler) Update(overflow bool) error {
	f := s.fp16
	if f.LossScale > 0 {
		return nil
	}
	if !overflow {
		if f.ConsecutiveHysteresis {
			s.left = f.Hysteresis
		}
		if stable := s.iteration - s.overflowed - 1; stable > 0 && stable%f.LossScaleWindow == 0 {
			s.left = f.Hysteresis
			s.scale *= 2
		}
		s.iteration++
		return nil
	}
	if s.left == 1 || f.Hysteresis == 1 {
		if s.scale == f.MinLossScale {
			return errors.New("deepspeed: an overflow at the smallest loss scale (fp16.min_loss_scale): the loss or its gradients are not finite; " +
				"look for the cause, or train with bf16")
		}
		s.scale = max(s.scale/2, f.MinLossScale)
	} else {
		s.left--
	}
	s.overflowed = s.iteration
	s.iteration++
	return nil
}

// StateDict returns the state by the names of DeepSpeed's attributes.
func (s *LossScaler) StateDict() map[string]any {
	return map[string]any{"cur_scale": s.scale, "cur_iter": s.iteration, "last_overflow_iter": s.overflowed, "cur_hysteresis": s.left}
}

// LoadStateDict takes what StateDict returned; on an error nothing is changed.
func (s *LossScaler) LoadStateDict(state map[string]any) error {
	next := *s
	scale, ok := state["cur_scale"].(float64)
	if !ok || !(scale > 0) || math.IsInf(scale, 0) {
		return errors.New("deepspeed: state of the loss scaler: cur_scale is no positive number")
	}
	next.scale = scale
	for name, to := range map[string]*int{"cur_iter": &next.iteration, "last_overflow_iter": &next.overflowed, "cur_hysteresis": &next.left} {
		switch n := state[name].(type) {
		case int:
			*to = n
		case int64:
			*to = int(n)
		default:
			return errors.New("deepspeed: state of the loss scaler: " + name + " is no whole number")
		}
	}
	*s = next
	return nil
}
