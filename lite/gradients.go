package lite

import (
	"fmt"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

// IgnoreParameters leaves parameters to the program: the strategy neither gives all ranks the same values nor averages
// their gradients, and Step accepts gradients that it refuses of others (torch's
// DistributedDataParallel._set_params_and_buffers_to_ignore_for_model and FSDP's ignored_states). It is for parameters
// that the program averages by itself, and for those that are each rank's own. They may be a part of a model that is
// set up, or of none. All ranks call it alike, before Setup or between two steps. On one rank it has no effect.
func (l *Lite) IgnoreParameters(params ...nn.Parameter) {
	tensors := make([]*torch.Tensor, len(params))
	for i, p := range params {
		if tensors[i] = p.Tensor; p.Tensor == nil {
			torch.Fail("lite.IgnoreParameters", "parameter %d is nil", i)
		}
	}
	if l.parts.checker != nil {
		l.parts.checker.IgnoreParameters(tensors)
	}
}

// checkAveraged panics if a parameter has a gradient that no strategy averages: its copies on the ranks would
// diverge. It looks at the gradients of parameters only that no strategy has, mostly none.
func (s *stepper) checkAveraged() {
	if s.l.parts.checker == nil {
		return
	}
	if t := s.loose.gradient(s.l, s.o.Tensors()); t != nil {
		s.refuse(t)
	}
}

// loose are those of an optimizer's parameters whose gradients no strategy averages: when it had so many tensors, in
// that revision of the Session.
type loose struct {
	list              []*torch.Tensor
	tensors, revision int
}

// of returns those of tensors.
func (s *loose) of(l *Lite, tensors []*torch.Tensor) []*torch.Tensor {
	if c := l.parts.checker; s.tensors != len(tensors) || s.revision != c.Revision() {
		s.list, s.tensors, s.revision = c.NotCombined(tensors), len(tensors), c.Revision()
	}
	return s.list
}

// gradient returns one that has a gradient, nil if there is none.
func (s *loose) gradient(l *Lite, tensors []*torch.Tensor) *torch.Tensor {
	if len(s.of(l, tensors)) == 0 {
		return nil
	}
	for i, g := range torch.Grads(s.list) {
		if g != nil {
			return s.list[i]
		}
	}
	return nil
}

// watcher is a rank among several as it is called for the steps of optimizers that were not set up.
type watcher Lite

// StepOf warns once of gradients that no strategy averages. It may be meant, by an optimizer that a rank has for a loop
// of its own, and so it is not refused.
func (w *watcher) StepOf(tensors []*torch.Tensor) {
	l := (*Lite)(w)
	if l.warned || len(tensors) == 0 {
		return
	}
	s := l.others[tensors[0]]
	if s == nil {
		if s = new(loose); l.others == nil || len(l.others) == 64 { // optimizers may come and go
			l.others = map[*torch.Tensor]*loose{}
		}
		l.others[tensors[0]] = s
	}
	if t := s.gradient(l, tensors); t != nil {
		l.warned, l.others = true, nil
		l.log.Warn(fmt.Sprintf("lite: an optimizer that was not set up steps with a gradient, of a parameter %v%v, that no "+
			"strategy averages over the ranks: its copies diverge; give its module and the optimizer to lite.Setup, or call "+
			"l.IgnoreParameters if each rank is to have its own", t.DType(), t.Shape()))
	}
}

// refuse panics with the name of a parameter whose gradients are each rank's own, and with what to do about it.
func (s *stepper) refuse(t *torch.Tensor) {
	const (
		diverge = "has a gradient that no strategy averages over the ranks, so that its copies would diverge"
		ignore  = "or call l.IgnoreParameters if the program averages the gradient by itself"
	)
	for _, h := range s.l.models {
		for name, p := range nn.NamedParameters(h.module) {
			switch {
			case p.Tensor != t:
			case !t.RequiresGrad():
				torch.Fail("lite.Step", "parameter %s of %s %s: it was frozen before a forward pass outside of NoBackwardSync "+
					"averaged the gradient; freeze it after the step, or set its gradient to nil, %s", name, h, diverge, ignore)
			default:
				torch.Fail("lite.Step", "parameter %s of %s %s: no forward pass to train by has gone through lite since it "+
					"requires gradients; call the Forward of what Setup returned, in training mode, %s", name, h, diverge, ignore)
			}
		}
	}
	torch.Fail("lite.Step", "parameter %s of the optimizer %T %s: it belongs to no module that was set up; "+
		"give its module to lite.Setup or lite.SetupModule, %s", s.name(t), s.o, diverge, ignore)
}

// name tells a parameter of the optimizer by its place.
func (s *stepper) name(t *torch.Tensor) string {
	for g, group := range s.o.ParamGroups() {
		for i, p := range group.Params {
			if p.Tensor == t {
				return fmt.Sprintf("%d in group %d (%v%v)", i, g, t.DType(), t.Shape())
			}
		}
	}
	return fmt.Sprintf("%v%v", t.DType(), t.Shape())
}
