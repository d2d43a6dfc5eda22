package optim

import (
	"fmt"

	"github.com/golite/golite/torch"
)

// StepUnless runs step, a Step of o, so that it leaves parameters and state as they are where found, a float32 scalar
// on the parameters' device, is above 0. It does not wait for the device. It needs fused kernels: see Capturable.
func StepUnless(o Optimizer, found *torch.Tensor, step func()) {
	if step == nil {
		torch.Fail("optim.StepUnless", "the function is nil")
	}
	b := baseOf("optim.StepUnless", o)
	b.foundInf = found
	defer func() { b.foundInf = nil }()
	step()
}

// Capturable returns why a CUDA graph cannot replay the steps of an optimizer, nil if it can: Rule.Capturable of each
// group. A rule that counts steps in a slot can with Fused alone, where the count is on the device. With scaled,
// steps go through StepUnless, which all need Fused for.
func Capturable(o Optimizer, scaled bool) error {
	b := baseOf("optim.Capturable", o)
	for i, g := range b.groups {
		err := b.rule.Capturable(g)
		switch {
		case err != nil:
			return fmt.Errorf("optim: group %d of %s %w", i, b.rule.Name(), err)
		case b.counts() && !g.Fused:
			return fmt.Errorf("optim: group %d of %s counts its steps in Go", i, b.rule.Name())
		case scaled && !g.Fused:
			return fmt.Errorf("optim: group %d of %s has no Fused, without which it can't skip a step by itself", i,
				b.rule.Name())
		}
	}
	return nil
}

// Replayed marks that a CUDA graph has replayed a step of an optimizer, or was to record one and failed: the count of
// steps on the device is authoritative from then on.
func Replayed(o Optimizer) {
	for _, s := range baseOf("optim.Replayed", o).states {
		s.stepsOnDevice = true
	}
}

// Recording runs f, in which a CUDA graph records steps of o. Fused kernels read their learning rates from the device
// meanwhile, where WriteRates puts those of the groups, before the recording and before each replay: a rate that
// changes with every step is no part of the recording.
func Recording(o Optimizer, f func()) {
	if f == nil {
		torch.Fail("optim.Recording", "the function is nil")
	}
	b := baseOf("optim.Recording", o)
	b.ratesOnDevice = true
	defer func() { b.ratesOnDevice = false }()
	f()
}

// WriteRates puts the learning rates that the groups have now to where recorded steps read them, as float32, in the
// current stream.
func WriteRates(o Optimizer) {
	b := baseOf("optim.WriteRates", o)
	torch.NoGrad(func() {
		for i, g := range b.groups {
			if b.rates == nil {
				b.rates, b.written = make([]*torch.Tensor, len(b.groups)), make([]float64, len(b.groups))
			}
			if on := b.groupTensors(i)[0].Device(); g.Fused && (b.rates[i] == nil || b.rates[i].Device() != on) {
				torch.NoScope(func() { b.rates[i] = torch.Options{DType: torch.Float32, Device: on}.Zeros() })
				b.written[i] = 0
			}
			if g.Fused && g.LR != b.written[i] {
				b.rates[i].Fill_(g.LR)
				b.written[i] = g.LR
			}
		}
	})
}

// rate is where a group's kernels read the learning rate, nil where it is an argument.
func (b *Base) rate(group int) *torch.Tensor {
	if !b.ratesOnDevice || b.rates == nil {
		return nil
	}
	return b.rates[group]
}

// Revision counts how often the state of an optimizer was replaced, by LoadStateDict or because it moved: a CUDA graph
// writes to the tensors that it had.
func Revision(o Optimizer) int { return baseOf("optim.Revision", o).revision }

// Settings describes the settings of all groups as they are now, but for the learning rates of fused ones (see
// Recording). They are constants of a CUDA graph, which is recorded anew when they change.
func Settings(o Optimizer) string {
	text := ""
	for _, g := range baseOf("optim.Settings", o).groups {
		s := *g
		if s.Fused {
			s.LR = 0
		}
		s.Params, s.InitialLR, s.MaxLR, s.MinLR = nil, nil, nil, nil // no kernel reads these
		s.BaseMomentum, s.MaxMomentum, s.SWALR = nil, nil, nil
		text += fmt.Sprintf("%+v\n", s)
	}
	return text
}
