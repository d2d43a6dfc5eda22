package lite

import (
	"errors"
	"fmt"
	"slices"

	"go.uber.org/zap"

	"github.com/golite/golite/ddp"
	"github.com/golite/golite/dist"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

// averaged records which parameters of a module the strategy averages the gradients of, and how to notice that they
// have changed. On one rank it stays empty.
type averaged struct {
	trained []*torch.Tensor // the parameters that the replica was built for, in the module's order
	differs func() bool     // reports whether a parameter was frozen or unfrozen since refresh looked
	free    func()          // of differs
	layout  int             // Lite.layout when refresh looked

	// past are parameters that were frozen after their gradients were averaged: what is left of those is equal on all
	// ranks.
	past     []*torch.Tensor
	local    bool // inside of NoBackwardSync
	unsynced bool // the last forward pass to train by was: its gradients may still be each rank's own
	idle     bool // no parameter requires gradients: the strategy waits for none
	join     bool // inside of Join
}

// layout changes when an optimizer is set up or has got another group, and when parameters are ignored: a model's
// parameters are then listed again.
func (l *Lite) layout() int {
	n := len(l.ignored)
	for _, s := range l.steppers {
		n += len(s.o.Tensors())
	}
	return n
}

// refresh builds the strategy's part of a model anew where other parameters require gradients than it was built for. It
// comes ahead of each forward pass to train by, on several ranks. All ranks must have frozen and unfrozen the same
// parameters: ddp.New compares them.
//
// Where no parameter is left to train nothing changes, as no gradient comes of the pass (a discriminator that is frozen
// while the generator trains), and neither does it where some were frozen and the strategy looks for unused parameters:
// unless gradients of NoBackwardSync are left of those, which the strategy would leave as they are.
func (h *handle) refresh() {
	a := &h.averaged
	if a.local {
		if len(a.past) > 0 && a.differs() { // what was unfrozen gets a gradient of this rank's own
			h.forget(func(t *torch.Tensor) bool { return t.RequiresGrad() })
		}
		return
	}
	if a.layout == h.l.layout() && !a.differs() {
		return
	}
	params, want := h.list()
	a.idle = len(want) == 0
	switch {
	case a.idle, slices.Equal(want, a.trained):
	case h.replica != nil && h.l.peers.opts.FindUnusedParameters && !a.unsynced && subset(want, a.trained) &&
		subset(a.trained, params):
	default:
		h.rebuild(want)
	}
	h.look(params)
}

// forget takes parameters out of past.
func (h *handle) forget(which func(t *torch.Tensor) bool) {
	if n := len(h.averaged.past); n > 0 {
		if h.averaged.past = slices.DeleteFunc(h.averaged.past, which); len(h.averaged.past) < n {
			h.l.revision++
		}
	}
}

// list returns the module's parameters, without those that the strategy ignores, and of them those that require
// gradients.
func (h *handle) list() (params, want []*torch.Tensor) {
	for _, p := range nn.Parameters(h.module) {
		if h.l.ignored[p.Tensor] {
			continue
		}
		params = append(params, p.Tensor)
		if p.RequiresGrad() {
			want = append(want, p.Tensor)
		}
	}
	return params, want
}

// look notes what refresh compares with.
func (h *handle) look(params []*torch.Tensor) {
	h.averaged.layout = h.l.layout()
	if h.averaged.free != nil {
		h.averaged.free()
	}
	h.averaged.differs, h.averaged.free = torch.ABI{}.TrainableDiffers(params)
}

// rebuild replaces the replica by one for the parameters in want.
func (h *handle) rebuild(want []*torch.Tensor) {
	a, peers := &h.averaged, h.l.peers
	if a.join {
		torch.Fail("lite.Join", "other parameters of %s require gradients than at its start, which ranks without batches "+
			"can't follow: freeze and unfreeze layers between two calls of Join", h)
	}
	before := a.trained
	if h.replica != nil {
		h.replica.Close()
		h.replica, a.trained = nil, nil
	}
	// Parameters that take turns need no other replica at each, where unused ones are looked for.
	var frozen []*torch.Tensor
	if peers.opts.FindUnusedParameters && !a.unsynced {
		params, _ := h.list()
		for _, p := range before {
			if !slices.Contains(want, p) && slices.Contains(params, p) {
				frozen = append(frozen, p)
			}
		}
	}
	for _, p := range frozen {
		p.RequiresGrad_(true)
	}
	err := h.replicate()
	for _, p := range frozen {
		p.RequiresGrad_(false)
	}
	if err != nil {
		var lost *dist.RankError
		if errors.As(err, &lost) {
			panic(err)
		}
		torch.Fail("lite.Forward", "other parameters of %s require gradients than at the last forward pass: %v", h, err)
	}
	if a.unsynced && h.replica != nil && !peers.opts.StaticGraph {
		h.replica.NoSync(func() { h.replica.PostForward() }) // gradients of its parameters are each rank's own, too
	}
	h.forget(func(t *torch.Tensor) bool { return slices.Contains(a.trained, t) })
	for _, p := range before {
		if !a.unsynced && !slices.Contains(a.past, p) && !slices.Contains(a.trained, p) {
			a.past = append(a.past, p)
		}
	}
	h.l.log.Info("lite: the strategy was built anew for the parameters that require gradients",
		zap.String("model", h.String()), zap.Int("before", len(before)), zap.Int("now", len(a.trained)))
}

// replicate ties the module to its copies on the other ranks. A module without anything to train has no need to, but
// only all ranks together can find that out: one that has more to train would wait for the others.
func (h *handle) replicate() error {
	var names []string
	var params []*torch.Tensor
	for name, p := range nn.NamedParameters(h.module) {
		if !h.l.ignored[p.Tensor] {
			names, params = append(names, name), append(params, p.Tensor)
		}
	}
	parameters := func(yield func(string, *torch.Tensor) bool) {
		for i, p := range params {
			if !yield(names[i], p) {
				return
			}
		}
	}
	buffers := func(yield func(string, *torch.Tensor) bool) {
		for name, b := range nn.NamedBuffers(h.module) {
			if !yield(name, b.Tensor) {
				return
			}
		}
	}
	o := h.l.peers.opts
	o.Name = h.String()
	d, err := ddp.New(h.l.ctx, h.l.peers.g, parameters, buffers, o)
	h.l.revision++
	switch {
	case errors.Is(err, ddp.ErrNothingToTrain):
		return nil
	case err != nil:
		return err
	}
	h.replica = d
	for _, p := range params {
		if p.RequiresGrad() {
			h.averaged.trained = append(h.averaged.trained, p)
		}
	}
	return nil
}

func subset(some, all []*torch.Tensor) bool {
	in := make(map[*torch.Tensor]bool, len(all))
	for _, t := range all {
		in[t] = true
	}
	return !slices.ContainsFunc(some, func(t *torch.Tensor) bool { return !in[t] })
}

// IgnoreParameters leaves parameters to the program: the strategy neither gives all ranks the same values nor averages
// their gradients, and Step accepts gradients that it refuses of others (torch's
// DistributedDataParallel._set_params_and_buffers_to_ignore_for_model and FSDP's ignored_states). It is for parameters
// that the program averages by itself, and for those that are each rank's own. They may be a part of a model that is
// set up, or of none. All ranks call it alike, before Setup or between two steps. On one rank it has no effect.
func (l *Lite) IgnoreParameters(params ...nn.Parameter) {
	for i, p := range params {
		if p.Tensor == nil {
			torch.Fail("lite.IgnoreParameters", "parameter %d is nil", i)
		}
		if l.ignored == nil {
			l.ignored = map[*torch.Tensor]bool{}
		}
		l.ignored[p.Tensor] = true
	}
	l.revision++
}

// notAveraged returns those of an optimizer's parameters whose gradients no strategy averages.
func (l *Lite) notAveraged(tensors []*torch.Tensor) (list []*torch.Tensor) {
	in := map[*torch.Tensor]bool{}
	for _, h := range l.models {
		for _, t := range h.averaged.trained {
			in[t] = true
		}
		for _, t := range h.averaged.past {
			in[t] = in[t] || !t.RequiresGrad()
		}
	}
	for _, t := range tensors {
		if !in[t] && !l.ignored[t] {
			list = append(list, t)
		}
	}
	return list
}

// checkAveraged panics if a parameter has a gradient that no strategy averages: its copies on the ranks would
// diverge. It looks at the gradients of parameters only that no strategy has, mostly none.
func (s *stepper) checkAveraged() {
	if s.l.peers == nil || s.l.place.world == 1 {
		return
	}
	if t := s.loose.gradient(s.l, s.o.Tensors()); t != nil {
		s.refuse(t)
	}
}

// loose are those of an optimizer's parameters whose gradients no strategy averages: when it had so many tensors, in
// that revision of the Lite.
type loose struct {
	list              []*torch.Tensor
	tensors, revision int
}

// gradient returns one that has a gradient, nil if there is none.
func (s *loose) gradient(l *Lite, tensors []*torch.Tensor) *torch.Tensor {
	if s.tensors != len(tensors) || s.revision != l.revision {
		s.list, s.tensors, s.revision = l.notAveraged(tensors), len(tensors), l.revision
	}
	if len(s.list) == 0 {
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
		l.warned = true
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
