package lite

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// stepper is where an optimizer's Step passes through scaler and callbacks.
type stepper struct {
	l       *Lite
	o       optim.Optimizer
	n       int64
	checked bool // its models' forward passes go through lite
	loose   loose
	release func() // undoes Setup
}

// Step runs a step, unless the scaler finds an overflow.
func (s *stepper) Step(step func()) (ran bool) {
	_, closure := s.o.(*optim.LBFGS)
	if !closure { // else the forward pass is part of the step
		s.check()
		s.checkAveraged()
	}
	if !s.l.recording {
		s.made()
	}
	if around := s.l.parts.step; around != nil {
		ran = around.Step(s.o, func() bool { return s.update(step) })
	} else {
		ran = s.update(step)
	}
	if closure {
		s.check()
		s.checkAveraged()
	}
	if s.l.stepped != nil {
		s.l.stepped(s)
	}
	return ran
}

// Loss returns the mean over the ranks of the loss that a closure computed. Why: LBFGS decides by the loss how far it goes and
// when it ends. By losses of their own, ranks with equal gradients would go different ways, and one that evaluates the
// closure once more waits for the others.
func (s *stepper) Loss(loss float64) float64 {
	tensors := s.o.Tensors()
	if s.l.parts.checker == nil || len(s.loose.of(s.l, tensors)) == len(tensors) { // each rank's own
		return loss
	}
	return Sum(s.l, loss) / float64(s.l.rank.WorldSize)
}

// update runs the step, unless the scaler finds an overflow.
func (s *stepper) update(step func()) (ran bool) {
	scaler := s.l.precision.Scaler()
	switch {
	case scaler != nil && s.l.recording:
		scaler.StepOnDevice(s.o, func(found *torch.Tensor) { optim.StepUnless(s.o, found, step) })
	case scaler != nil:
		return scaler.Step(s.o, step)
	default:
		step()
	}
	return true
}

// Stepped calls back, also after a step that was left out, as Fabric does. A step that is being recorded hasn't run yet.
func (s *stepper) Stepped() {
	if s.l.recording {
		return
	}
	if s.l.syncStep != nil {
		s.l.syncStep()
	}
	s.l.Call("OnAfterOptimizerStep", s.o)
}

// ZeroGrad lets the scaler forget the gradients that are gone.
func (s *stepper) ZeroGrad() {
	if scaler := s.l.precision.Scaler(); scaler != nil {
		scaler.Forget(s.o)
	}
}

// made counts a step.
func (s *stepper) made() {
	if s.n++; s.l.steps != nil && s.n > s.l.steps.Load() {
		s.l.steps.Store(s.n)
	}
}

// check panics if there are gradients that can't have been made by way of lite: precision and ranks would have had no part in
// them, and nothing else would tell. It looks until it has seen one forward pass that was, as what can be told from outside is
// whether there was any: a loss of the parameters alone, a penalty say, needs none of its own.
func (s *stepper) check() {
	if s.checked || !hasGradients(s.o) {
		return
	}
	owners := s.owners()
	for _, h := range owners {
		if h.direct() || h.trained.Load() || h.free() && s.l.cast.Load() {
			s.checked = true
			return
		}
	}
	if len(owners) == 0 {
		s.checked = true
		return
	}
	h := owners[0]
	if !h.free() && !training(h.module) {
		torch.Fail("lite.Step", "%s has gradients that were not averaged over the ranks, as it is in evaluation mode: call Train on it, and Eval on the layers of it that are to stay as they are", h)
	}
	torch.Fail("lite.Step", "%s has gradients, but no forward pass of it went through lite, so that precision %s and the other ranks had no part in them: "+
		"call the Forward of what Setup returned, not the module's own, and use lite.Bind for its other methods", h, s.l.precision.Name())
}

func hasGradients(o optim.Optimizer) bool {
	for _, g := range torch.Grads(o.Tensors()) {
		if g != nil {
			return true
		}
	}
	return false
}

// owners are the models whose parameters the optimizer has.
func (s *stepper) owners() (list []*handle) {
	mine := map[*torch.Tensor]bool{}
	for _, t := range s.o.Tensors() {
		mine[t] = true
	}
	for _, h := range s.l.models {
		for _, p := range nn.Parameters(h.module) {
			if mine[p.Tensor] {
				list = append(list, h)
				break
			}
		}
	}
	return list
}
