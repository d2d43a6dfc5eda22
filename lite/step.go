package lite

import (
	"fmt"
	"math"
	"slices"

	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// Backward computes gradients, in place of loss.Backward(): it scales the loss where the precision has a scaler, and
// the ranks' gradients are averaged on the way, also where a method of the model calls it inside of its forward pass.
func (l *Lite) Backward(loss *torch.Tensor, opts ...torch.BackwardOptions) {
	if s := l.precision.Scaler(); s != nil {
		loss = s.Scale(loss)
	}
	if b := l.parts.backward; b != nil {
		b.Backward(loss, func(loss *torch.Tensor) { l.backward(loss, opts) })
		return
	}
	l.backward(loss, opts)
}

func (l *Lite) backward(loss *torch.Tensor, opts []torch.BackwardOptions) {
	if l.rank.WorldSize > 1 {
		l.group.TranslateErrors(func() { loss.Backward(opts...) })
		return
	}
	loss.Backward(opts...)
}

// NoBackwardSync runs f, forward and backward passes of m, and with on keeps their gradients on this rank: for all but
// the last step of an accumulation, or for gradients that are by-products. Without on, or on one rank, it just runs f.
func (l *Lite) NoBackwardSync(m Handle, on bool, f func()) {
	h := handleOf(m, "NoBackwardSync")
	if f == nil {
		torch.Fail("lite.NoBackwardSync", "the function is nil")
	}
	if on && h.noSync != nil {
		h.noSync.NoSync(f)
		return
	}
	f()
}

// ClipOptions are ClipGradNorm's optional arguments.
type ClipOptions struct {
	// NormType is the norm's order, math.Inf(1) for the largest element; 0: 2.
	NormType float64
	// ErrorIfNonFinite panics where the norm is infinite or NaN. It waits for the device.
	ErrorIfNonFinite bool
	// ModuleOrder adds the parameters' norms up in the order of the model's parameters, as
	// torch.nn.utils.clip_grad_norm_(model.parameters(), max) does. Those of the optimizer that the model has not come
	// last.
	ModuleOrder bool
}

// ClipGradNorm scales the gradients of the optimizer's parameters so that their common norm is at most max
// (torch.nn.utils.clip_grad_norm_), after undoing the scaler's factor, and returns the norm that they had, as a tensor:
// nothing waits for it.
//
// The parameters' norms are added up in the order of the optimizer's groups, as by Fabric.clip_gradients. Where those
// are not in the order of the model, weights that decay before those that don't, say, the last bits differ from
// clip_grad_norm_'s: ClipOptions.ModuleOrder.
func (l *Lite) ClipGradNorm(m Handle, o optim.Optimizer, max float64, opts ...ClipOptions) *torch.Tensor {
	c := options.Must("lite.ClipGradNorm", opts, torch.Fail)
	if c.NormType == 0 {
		c.NormType = 2
	}
	if math.IsNaN(max) || max < 0 {
		torch.Fail("lite.ClipGradNorm", "the largest norm is %v: want 0 or more", max)
	}
	h := handleOf(m, "ClipGradNorm")
	l.unscale(o)
	params := parametersOf(o)
	if c.ModuleOrder {
		params = inOrderOf(nn.Parameters(h.module), params)
	}
	if s := l.parts.norm; s != nil {
		norm := s.GradNorm(params, c.NormType)
		if c.ErrorIfNonFinite && !isFinite(norm.Item()) {
			torch.Fail("lite.ClipGradNorm", "the norm of the gradients is %v", norm.Item())
		}
		nn.ClipGradsWithNorm_(params, max, norm)
		return norm
	}
	return nn.ClipGradNorm_(params, max, nn.ClipGradOptions{NormType: &c.NormType, ErrorIfNonfinite: c.ErrorIfNonFinite})
}

// ClipGradValue cuts each gradient of the optimizer's parameters off at ±value (torch.nn.utils.clip_grad_value_), after
// undoing the scaler's factor.
func (l *Lite) ClipGradValue(m Handle, o optim.Optimizer, value float64) {
	if math.IsNaN(value) || value < 0 {
		torch.Fail("lite.ClipGradValue", "the largest value is %v: want 0 or more", value)
	}
	handleOf(m, "ClipGradValue")
	l.unscale(o)
	nn.ClipGradValue_(parametersOf(o), value)
}

// Unscale undoes the scaler's factor in the gradients of an optimizer that was set up, for programs that read or change
// them before Step (GradScaler.unscale_). ClipGradNorm and ClipGradValue do it by themselves. Without a scaler it does
// nothing.
func (l *Lite) Unscale(o optim.Optimizer) { l.unscale(o) }

func isFinite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

func (l *Lite) unscale(o optim.Optimizer) {
	if s := l.precision.Scaler(); s != nil {
		s.Unscale(o)
	}
}

// inOrderOf returns list with those first that are in order, in that order.
func inOrderOf(order, list []nn.Parameter) []nn.Parameter {
	place := make(map[*torch.Tensor]int, len(order))
	for i, p := range order {
		place[p.Tensor] = i
	}
	slices.SortStableFunc(list, func(a, b nn.Parameter) int {
		at := func(p nn.Parameter) int {
			if i, ok := place[p.Tensor]; ok {
				return i
			}
			return len(order)
		}
		return at(a) - at(b)
	})
	return list
}

func parametersOf(o optim.Optimizer) []nn.Parameter {
	var params []nn.Parameter
	for _, g := range o.ParamGroups() {
		params = append(params, g.Params...)
	}
	return params
}

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
