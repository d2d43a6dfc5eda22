package shard

import (
	"slices"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

// order is the order of collectives, which must be one on all ranks. Forward passes make it: the calls of layers are
// counted, and those of one unit that follow each other are a segment. A backward pass goes through segments backwards.
// Autograd runs the operation that was recorded last of those that can run: when the gradient of a segment's output is
// there, all that was recorded later is done. So a unit whose first segment is later has all the gradients that it gets.
// A segment that this rank's loss does not depend on is visited all the same, when an earlier one is.
type order struct {
	position  int          // of the next segment
	pending   []*pass      // forward passes that a backward pass may come of
	backward  bool         // one is under way
	open      []*unit      // whose gradients are computed in it
	reducing  []*reduction // under way, at most two
	recompute *unit        // that torch.Checkpoint has called in it
	now       *unit        // whose segment it is in
}

// pass is a forward pass of a module.
type pass struct {
	m        *Module
	grad     bool
	segments []*segment
	active   bool // in this backward pass
	rooted   bool // the root was visited in it
}

// segment is calls of layers of one unit.
type segment struct {
	pass    *pass
	u       *unit
	at      int
	hooked  bool // an output has a gradient
	visited bool // in this backward pass
}

// hook has the layers of a unit call it.
func (m *Module) hook(block nn.Module, u *unit) {
	own := map[*torch.Tensor]bool{}
	for _, p := range u.params {
		own[p.t] = true
	}
	for _, layer := range nn.Modules(block) {
		if !slices.ContainsFunc(nn.Parameters(layer), func(p nn.Parameter) bool { return own[p.Tensor] }) {
			continue
		}
		m.remove = append(m.remove,
			nn.RegisterForwardPreHook(layer, func(_ nn.Module, in []*torch.Tensor) []*torch.Tensor {
				u.enter()
				return u.converted(in)
			}, nn.HookOptions{Prepend: true}),
			nn.RegisterForwardHook(layer, func(_ nn.Module, _, out []*torch.Tensor) []*torch.Tensor {
				u.leave(out)
				return nil
			}))
	}
}

// hookRoot has layers whose parameters are the root's convert their inputs.
func (m *Module) hookRoot() {
	if m.e.o.ParamDType == 0 {
		return
	}
	own := map[*torch.Tensor]bool{}
	for _, p := range m.root.params {
		own[p.t] = true
	}
	for _, layer := range nn.Modules(m.m) {
		if isLayer(layer) && slices.ContainsFunc(nn.Parameters(layer), func(p nn.Parameter) bool { return own[p.Tensor] }) {
			m.remove = append(m.remove, nn.RegisterForwardPreHook(layer, func(_ nn.Module, in []*torch.Tensor) []*torch.Tensor {
				return m.root.converted(in)
			}, nn.HookOptions{Prepend: true}))
		}
	}
}

func (m *Module) unhook() {
	for _, remove := range m.remove {
		remove()
	}
	m.remove = nil
}

// Forward surrounds a forward pass: f calls the module's methods and returns the tensors that it made. Parameters of no
// block are whole in it. A pass of the same module in f is a part of this one.
func (m *Module) Forward(f func() []*torch.Tensor) (out []*torch.Tensor) {
	e := m.e
	if m.pass != nil {
		return f()
	}
	ended := false
	p := &pass{m: m, grad: torch.GradEnabled()}
	m.begin(p)
	defer func() {
		m.pass = nil
		if !ended {
			e.giveUp()
		}
	}()
	out = f()
	m.end(p, out)
	ended = true
	return out
}

func (m *Module) begin(p *pass) {
	e := m.e
	if e.backward { // the last one has panicked
		e.giveUp()
	}
	m.pass, m.cursor = p, 0
	for _, u := range m.units {
		u.depth = 0
	}
	m.root.start()
	if p.grad && e.o.BroadcastBuffers && m.m.(interface{ Training() bool }).Training() {
		m.buffers(true)
	}
	m.root.wait()
}

func (m *Module) end(p *pass, out []*torch.Tensor) {
	e := m.e
	m.last = m.last[:0]
	for _, s := range p.segments {
		m.last = append(m.last, s.u)
	}
	recorded := false
	for _, s := range p.segments {
		recorded = recorded || s.hooked
	}
	if p.grad {
		for _, t := range out {
			if t != nil && t.RequiresGrad() && !t.IsLeaf() {
				recorded = true
				t.RegisterHook(func(*torch.Tensor) *torch.Tensor {
					e.enter(p)
					return nil
				})
			}
		}
	}
	for _, u := range m.units {
		if !recorded || e.o.Reshard == AfterForward && u != m.current {
			u.reshard()
		}
	}
	if !recorded {
		m.root.reshard()
		m.current = nil
		return
	}
	e.pending = append(e.pending, p)
}

// enter is called ahead of each call of a layer of the unit.
func (u *unit) enter() {
	m := u.m
	e := m.e
	if e.backward { // torch.Checkpoint runs a part of the forward pass anew
		if e.recompute != nil && e.recompute != u && e.recompute != e.now && e.o.Reshard == AfterForward {
			e.recompute.reshard()
		}
		e.recompute = u
		u.wait()
		return
	}
	if m.pass == nil {
		torch.Fail("shard", "a layer of %s in %T was called outside of a forward pass of the module: call the Forward of what lite.Setup "+
			"returned, or Module.Forward, not the module's own", u.path, m.m)
	}
	if u.depth++; u.depth > 1 {
		return
	}
	if s := m.pass.segments; len(s) == 0 || s[len(s)-1].u != u {
		m.pass.segments = append(s, &segment{pass: m.pass, u: u, at: e.position})
		e.position++
		if before := m.current; before != nil && before != u && (e.o.Reshard == AfterForward || !m.pass.grad) {
			before.reshard()
		}
		m.current = u
		u.start()
		m.ahead()
		u.wait()
		return
	}
	if !u.shown {
		u.wait() // a backward pass in the forward pass has freed it
	}
}

// converted gives a layer's inputs the type of its parameters.
func (u *unit) converted(in []*torch.Tensor) []*torch.Tensor {
	d := u.m.e.o.ParamDType
	if d == 0 {
		return nil
	}
	out := make([]*torch.Tensor, len(in))
	for i, t := range in {
		if out[i] = t; t != nil && t.DType().IsFloating() {
			out[i] = t.To(d)
		}
	}
	return out
}

// ahead begins to gather the units that came next in the last forward pass.
func (m *Module) ahead() {
	if m.cursor < 0 || m.cursor >= len(m.last) || m.last[m.cursor] != m.current {
		m.cursor = -1
		return
	}
	m.cursor++
	for i := range min(m.e.o.Ahead, len(m.last)-m.cursor) {
		m.last[m.cursor+i].start()
	}
}

// leave is called after each call of a layer of the unit.
func (u *unit) leave(out []*torch.Tensor) {
	m := u.m
	if m.e.backward || m.pass == nil {
		return
	}
	if u.depth--; u.depth > 0 || !m.pass.grad || len(m.pass.segments) == 0 {
		return
	}
	s := m.pass.segments[len(m.pass.segments)-1]
	for _, t := range out {
		if t == nil || !t.RequiresGrad() || t.IsLeaf() {
			continue
		}
		s.hooked = true
		t.RegisterHook(func(*torch.Tensor) *torch.Tensor {
			m.e.visit(s)
			return nil
		})
	}
}
