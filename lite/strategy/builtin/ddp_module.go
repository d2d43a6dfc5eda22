package builtin

import (
	"errors"
	"fmt"
	"slices"

	"go.uber.org/zap"

	"github.com/golite/golite/ddp"
	"github.com/golite/golite/dist"
	"github.com/golite/golite/lite/strategy"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// ddpModule is a module whose gradients are averaged. It records which parameters those are, and notices when they have
// changed.
type ddpModule struct {
	s       *ddpSession
	module  nn.Module
	replica *ddp.DistributedDataParallel // nil: nothing to keep equal

	trained []*torch.Tensor // the parameters that the replica was built for, in the module's order
	differs func() bool     // reports whether a parameter was frozen or unfrozen since refresh looked
	free    func()          // of differs
	layout  int             // the session's when refresh looked

	// past are parameters that were frozen after their gradients were averaged: what is left of those is equal on all
	// ranks.
	past     []*torch.Tensor
	local    bool // inside of NoSync
	unsynced bool // there was a forward pass to train by in one, whose gradients may still be each rank's own
	averaged int  // the backward passes that had averaged gradients then
	idle     bool // no parameter requires gradients: the strategy waits for none
	partial  bool // some of trained were frozen when refresh looked
	stranded bool // all parameters were frozen with gradients of NoSync, ahead of a pass to average them
	join     bool // inside of Join
}

func (m *ddpModule) String() string { return fmt.Sprintf("%T", m.module) }

// Synced: in evaluation, and without gradients, ranks may have different numbers of batches, and there is no collective.
func (m *ddpModule) Synced(p strategy.Pass) bool { return m.replica == nil || p.Grad && p.Training }

func (m *ddpModule) Forward(p strategy.Pass, f func() []*torch.Tensor) []*torch.Tensor {
	if !p.Grad || !p.Training {
		return f()
	}
	m.refresh()
	if m.local { // else nothing is written: a frozen model may serve many goroutines
		m.keepsOwn()
	}
	if m.replica == nil {
		return f()
	}
	return m.forward(f)
}

// forward is a pass whose gradients are averaged. A backward pass may be a part of f: Backward looks for it among the
// forward passes under way.
func (m *ddpModule) forward(f func() []*torch.Tensor) (out []*torch.Tensor) {
	r, depth := m.replica, len(m.s.forwards)
	r.PreForward()
	// Without a parameter to train no backward pass will come: the Reducer would take the next one, whatever it is, for it.
	if m.idle && !m.local {
		return f()
	}
	func() {
		m.s.forwards = append(m.s.forwards, r)
		defer func() { m.s.forwards = m.s.forwards[:depth] }()
		out = f()
	}()
	return r.PostForward(out...)
}

func (m *ddpModule) NoSync(f func()) {
	before := m.local
	m.local = true
	defer func() { m.local = before }()
	if m.replica != nil {
		m.replica.NoSync(f)
		return
	}
	f()
}

func (m *ddpModule) Join(f func(), o ddp.JoinOptions) {
	if torch.GradEnabled() && m.module.(interface{ Training() bool }).Training() {
		m.refresh() // on the ranks without batches as well
	}
	if m.replica == nil {
		f()
		return
	}
	m.join = true
	defer func() { m.join = false }()
	m.replica.Join(f, o)
}

// CloseModule takes the module out of the Session.
func (m *ddpModule) CloseModule() {
	m.free()
	if m.replica != nil {
		m.replica.Close()
	}
	s := m.s
	s.modules = slices.DeleteFunc(s.modules, func(x *ddpModule) bool { return x == m })
	mine := map[*torch.Tensor]bool{}
	for _, p := range nn.Parameters(m.module) {
		mine[p.Tensor] = true
		delete(s.ignored, p.Tensor)
	}
	s.optimizers = slices.DeleteFunc(s.optimizers, func(o optim.Optimizer) bool {
		return !slices.ContainsFunc(o.Tensors(), func(t *torch.Tensor) bool { return !mine[t] })
	})
	s.revision++
}

// refresh builds the strategy's part of a module anew where other parameters require gradients than it was built for. It
// comes ahead of each forward pass to train by. All ranks must have frozen and unfrozen the same parameters: ddp.New
// compares them.
//
// Where no parameter is left to train nothing changes, as no gradient comes of the pass (a discriminator that is frozen
// while the generator trains), and neither does it where some were frozen and the strategy looks for unused parameters:
// unless gradients of NoSync are left of those, which the strategy would leave as they are. Where gradients of NoSync are
// left and no parameter is left to train, Step refuses them.
func (m *ddpModule) refresh() {
	if m.local {
		if len(m.past) > 0 && m.differs() { // what was unfrozen gets a gradient of this rank's own
			m.forget(func(t *torch.Tensor) bool { return t.RequiresGrad() })
		}
		return
	}
	if m.layout == m.s.layout() && !m.differs() && !(m.partial && m.unsynced) {
		return
	}
	// A forward pass alone averages nothing of what NoSync left.
	if m.unsynced && m.replica != nil && m.replica.Reductions() > m.averaged {
		m.unsynced = false
	}
	params, want := m.list()
	m.idle = len(want) == 0
	if stranded := m.idle && m.unsynced; stranded != m.stranded {
		m.stranded = stranded
		m.s.revision++
	}
	switch {
	case m.idle, slices.Equal(want, m.trained):
	case m.replica != nil && m.s.opts.FindUnusedParameters && !m.unsynced && subset(want, m.trained) &&
		subset(m.trained, params):
	default:
		m.rebuild(want)
	}
	m.partial = !slices.Equal(want, m.trained)
	m.look(params)
}

// keepsOwn notes a forward pass in NoSync. What was frozen ahead of the first one has gradients that were averaged.
func (m *ddpModule) keepsOwn() {
	first, averaged := !m.unsynced, 0
	if m.replica != nil {
		averaged = m.replica.Reductions()
		first = first || averaged > m.averaged
	}
	if first && (m.partial || m.differs()) {
		for _, p := range m.trained {
			if !p.RequiresGrad() && !slices.Contains(m.past, p) {
				m.past = append(m.past, p)
				m.s.revision++
			}
		}
	}
	m.unsynced, m.averaged = true, averaged
}

// forget takes parameters out of past.
func (m *ddpModule) forget(which func(t *torch.Tensor) bool) {
	if n := len(m.past); n > 0 {
		if m.past = slices.DeleteFunc(m.past, which); len(m.past) < n {
			m.s.revision++
		}
	}
}

// list returns the module's parameters, without those that the strategy ignores, and of them those that require
// gradients.
func (m *ddpModule) list() (params, want []*torch.Tensor) {
	for _, p := range nn.Parameters(m.module) {
		if m.s.ignored[p.Tensor] {
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
func (m *ddpModule) look(params []*torch.Tensor) {
	m.layout = m.s.layout()
	if m.free != nil {
		m.free()
	}
	m.differs, m.free = torch.ABI{}.TrainableDiffers(params)
}

// rebuild replaces the replica by one for the parameters in want.
func (m *ddpModule) rebuild(want []*torch.Tensor) {
	if m.join {
		torch.Fail("lite.Join", "other parameters of %s require gradients than at its start, which ranks without batches "+
			"can't follow: freeze and unfreeze layers between two calls of Join", m)
	}
	before := m.trained
	m.averaged = 0
	if m.replica != nil {
		m.replica.Close()
		m.replica, m.trained = nil, nil
	}
	// Parameters that take turns need no other replica at each, where unused ones are looked for.
	var frozen []*torch.Tensor
	if m.s.opts.FindUnusedParameters && !m.unsynced {
		params, _ := m.list()
		for _, p := range before {
			if !slices.Contains(want, p) && slices.Contains(params, p) {
				frozen = append(frozen, p)
			}
		}
	}
	for _, p := range frozen {
		p.RequiresGrad_(true)
	}
	err := m.replicate()
	for _, p := range frozen {
		p.RequiresGrad_(false)
	}
	if err != nil {
		var lost *dist.RankError
		if errors.As(err, &lost) {
			panic(err)
		}
		torch.Fail("lite.Forward", "other parameters of %s require gradients than at the last forward pass: %v", m, err)
	}
	if m.unsynced && m.replica != nil && !m.s.opts.StaticGraph {
		m.replica.NoSync(func() { m.replica.PostForward() }) // gradients of its parameters are each rank's own, too
	}
	m.forget(func(t *torch.Tensor) bool { return slices.Contains(m.trained, t) })
	for _, p := range before {
		if !m.unsynced && !slices.Contains(m.past, p) && !slices.Contains(m.trained, p) {
			m.past = append(m.past, p)
		}
	}
	m.s.e.Log.Info("lite: the strategy was built anew for the parameters that require gradients",
		zap.String("model", m.String()), zap.Int("before", len(before)), zap.Int("now", len(m.trained)))
}

// replicate ties the module to its copies on the other ranks. A module without anything to train has no need to, but
// only all ranks together can find that out: one that has more to train would wait for the others.
func (m *ddpModule) replicate() error {
	var names []string
	var params []*torch.Tensor
	for name, p := range nn.NamedParameters(m.module) {
		if !m.s.ignored[p.Tensor] {
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
		for name, b := range nn.NamedBuffers(m.module) {
			if !yield(name, b.Tensor) {
				return
			}
		}
	}
	o := m.s.opts
	o.Name = m.String()
	d, err := ddp.New(m.s.ctx, m.s.e.Group, parameters, buffers, o)
	m.s.revision++
	switch {
	case errors.Is(err, ddp.ErrNothingToTrain):
		return nil
	case err != nil:
		return err
	}
	m.replica = d
	for _, p := range params {
		if p.RequiresGrad() {
			m.trained = append(m.trained, p)
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

var (
	_ strategy.NoSyncer     = (*ddpModule)(nil)
	_ strategy.Joiner       = (*ddpModule)(nil)
	_ strategy.ModuleCloser = (*ddpModule)(nil)
)
