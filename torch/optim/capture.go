package optim

import (
	"fmt"

	"github.com/golite/golite/torch"
)

// StepUnless runs step, a Step of o, so that it leaves parameters and state as they are where found, a float32 scalar on the parameters' device, is above
// 0. Nothing waits for the device. Only fused kernels can: see Capturable.
func StepUnless(o Optimizer, found *torch.Tensor, step func()) {
	b := o.base()
	b.unless = found
	defer func() { b.unless = nil }()
	step()
}

// Capturable tells why a CUDA graph can't replay the steps of an optimizer, nil if it can. What a graph replays are its kernels; what Go computes from one
// step to the next stays as it was. SGD computes nothing; Adam, AdamW and Adagrad count their steps on the device with Fused. With scaled, steps go
// through StepUnless, which all need Fused for.
func Capturable(o Optimizer, scaled bool) error {
	b := o.base()
	for i, g := range b.groups {
		switch b.rule.(type) {
		case nil:
			return fmt.Errorf("optim: %T computes part of its steps in Go", o)
		case sgd:
			if scaled && !g.Fused {
				return fmt.Errorf("optim: group %d of %s has no Fused, without which it can't leave a step out by itself", i, b.rule.name())
			}
		case adam, adagrad:
			if !g.Fused {
				return fmt.Errorf("optim: group %d of %s counts its steps in Go: give it Fused", i, b.rule.name())
			}
		default:
			return fmt.Errorf("optim: %s computes part of its steps in Go", b.rule.name())
		}
	}
	return nil
}

// Replayed tells an optimizer that a CUDA graph has replayed a step of it: its counts of steps are on the device alone.
func Replayed(o Optimizer) {
	for _, s := range o.base().states {
		s.ahead = true
	}
}

// Settings describes the settings of all groups as they are now: a CUDA graph has them baked in, and is recorded anew when they change.
func Settings(o Optimizer) string {
	text := ""
	for _, g := range o.base().groups {
		s := *g
		s.Params, s.InitialLR, s.MaxLR, s.MinLR, s.BaseMomentum, s.MaxMomentum, s.SWALR = nil, nil, nil, nil, nil, nil, nil // not the kernels'
		text += fmt.Sprintf("%+v\n", s)
	}
	return text
}
