package optim

import (
	"fmt"

	"github.com/golite/golite/torch"
)

// StepUnless runs step, a Step of o, so that it leaves parameters and state as they are where found, a float32 scalar on the parameters' device, is above
// 0. Nothing waits for the device. Only fused kernels can: see Capturable.
func StepUnless(o Optimizer, found *torch.Tensor, step func()) {
	if step == nil {
		torch.Fail("optim.StepUnless", "the function is nil")
	}
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

// Replayed tells an optimizer that a CUDA graph has replayed a step of it, or was to record one and failed: how many steps there were, the device alone
// knows.
func Replayed(o Optimizer) {
	for _, s := range o.base().states {
		s.ahead = true
	}
}

// Recording runs f, in which a CUDA graph records steps of o. Fused kernels read their learning rates from the device meanwhile, where WriteRates puts
// what the groups have, here and before each replay: a rate that changes with every step is no part of the recording.
func Recording(o Optimizer, f func()) {
	if f == nil {
		torch.Fail("optim.Recording", "the function is nil")
	}
	b := o.base()
	b.live = true
	defer func() { b.live = false }()
	f()
}

// WriteRates puts the learning rates that the groups have now to where recorded steps read them, as float32, in the current stream.
func WriteRates(o Optimizer) {
	b := o.base()
	torch.NoGrad(func() {
		for i, g := range b.groups {
			if b.rates == nil {
				b.rates, b.written = make([]*torch.Tensor, len(b.groups)), make([]float64, len(b.groups))
			}
			if on := b.groupTensors(i)[0].Device(); g.Fused && (b.rates[i] == nil || b.rates[i].Device() != on) {
				torch.Outside(func() { b.rates[i] = torch.Options{DType: torch.Float32, Device: on}.Zeros() })
				b.written[i] = 0
			}
			if g.Fused && g.LR != b.written[i] {
				b.rates[i].Fill_(g.LR)
				b.written[i] = g.LR
			}
		}
	})
}

// rate is where a group's kernels read the learning rate, nil where they are told it.
func (b *Base) rate(group int) *torch.Tensor {
	if !b.live || b.rates == nil {
		return nil
	}
	return b.rates[group]
}

// Revision counts how often the state of an optimizer was replaced, by LoadStateDict or because it moved: a CUDA graph writes to the tensors that it had.
func Revision(o Optimizer) int { return o.base().revision }

// Settings describes the settings of all groups as they are now, but for the learning rates of fused ones (see Recording): a CUDA graph has them baked
// in, and is recorded anew when they change.
func Settings(o Optimizer) string {
	text := ""
	for _, g := range o.base().groups {
		s := *g
		if s.Fused {
			s.LR = 0
		}
		s.Params, s.InitialLR, s.MaxLR, s.MinLR, s.BaseMomentum, s.MaxMomentum, s.SWALR = nil, nil, nil, nil, nil, nil, nil // not the kernels'
		text += fmt.Sprintf("%+v\n", s)
	}
	return text
}
