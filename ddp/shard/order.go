package shard

import (
	"cmp"
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

// enter begins a backward pass, or another forward pass's part in it.
func (e *Engine) enter(p *pass) {
	e.begin()
	if torch.GradEnabled() && e.o.Reshard != Never {
		torch.Fail("shard", "gradients of gradients (CreateGraph) need whole parameters: use a strategy that keeps them, such as "+
			"\"ddp\" or \"deepspeed_stage_2\"")
	}
	if !p.active {
		p.active = true
		for _, s := range p.segments {
			s.visited = false
		}
		p.rooted = false
		if !slices.Contains(e.pending, p) {
			e.pending = append(e.pending, p)
		}
	}
	if !p.rooted {
		p.rooted = true
		p.m.root.wait()
	}
}

// visit is called when the gradient of a segment's output is there.
func (e *Engine) visit(s *segment) {
	e.enter(s.pass)
	if s.visited {
		if !s.u.shown {
			s.u.wait()
		}
		e.now = s.u
		return
	}
	for _, later := range e.unvisited(s.at) {
		e.visitOne(later)
	}
	e.visitOne(s)
}

// unvisited are the segments after a position that this backward pass has not come to, the last one first.
func (e *Engine) unvisited(after int) (list []*segment) {
	for _, p := range e.pending {
		if !p.active {
			continue
		}
		for _, s := range p.segments {
			if s.at > after && s.hooked && !s.visited {
				list = append(list, s)
			}
		}
	}
	slices.SortFunc(list, func(a, b *segment) int { return cmp.Compare(b.at, a.at) })
	return list
}

func (e *Engine) visitOne(s *segment) {
	s.visited = true
	for _, u := range slices.Clone(e.open) {
		if u != s.u && e.first(u) > s.at {
			e.reduce(u)
		}
	}
	if before := e.now; before != nil && before != s.u && e.o.Reshard == AfterForward && !slices.Contains(e.roots(), before) {
		before.reshard()
	}
	s.u.start()
	if e.o.Reshard == AfterForward {
		n := 0
		for i := len(s.pass.segments) - 1; i >= 0 && n < e.o.Ahead; i-- {
			if b := s.pass.segments[i]; b.at < s.at && b.hooked && !b.visited && b.u != s.u {
				b.u.start()
				n++
			}
		}
	}
	s.u.wait()
	e.now = s.u
	if !slices.Contains(e.open, s.u) {
		e.open = append(e.open, s.u)
	}
}

// first is the position of a unit's first segment in the passes that a backward pass may still go through.
func (e *Engine) first(u *unit) int {
	at := e.position
	for _, p := range e.pending {
		for _, s := range p.segments {
			if s.u == u && s.hooked {
				at = min(at, s.at)
			}
		}
	}
	return at
}

func (e *Engine) roots() (list []*unit) {
	for _, m := range e.modules {
		list = append(list, m.root)
	}
	return list
}

// Backward runs a backward pass: run calls the loss's Backward, or what takes its place. It may be called inside of a forward
// pass.
func (e *Engine) Backward(loss *torch.Tensor, run func(loss *torch.Tensor)) {
	if loss.RequiresGrad() && !loss.IsLeaf() { // ahead of all others: the root's parameters may have no hook before their gradients
		defer loss.RegisterHook(func(*torch.Tensor) *torch.Tensor {
			e.begin()
			for _, m := range e.modules {
				if m.pass != nil {
					e.enter(m.pass)
				}
			}
			return nil
		})()
	}
	ended := false
	defer func() {
		if !ended {
			e.giveUp()
		}
	}()
	run(loss)
	ended = true
}

// begin begins a backward pass: the gradients that there are, of rows, make place for whole ones.
func (e *Engine) begin() {
	if e.backward {
		return
	}
	e.backward = true
	abi.AfterBackward(e.finish)
	torch.NoGrad(func() {
		for _, m := range e.modules {
			tensors := m.tensors()
			found := false
			for i, g := range torch.Grads(tensors) {
				if g != nil && !m.params[i].empty() {
					m.params[i].stash, found = g.Keep(), true
				}
			}
			if found {
				for _, p := range m.params {
					if p.stash != nil {
						p.t.SetGrad(nil)
					}
				}
			}
		}
	})
}

// finish ends a backward pass.
func (e *Engine) finish() {
	ended := false
	defer func() {
		if !ended {
			e.giveUp()
		}
	}()
	for _, s := range e.unvisited(-1) {
		e.visitOne(s)
	}
	slices.SortStableFunc(e.open, func(a, b *unit) int { return cmp.Compare(e.first(b), e.first(a)) })
	for _, u := range slices.Clone(e.open) {
		e.reduce(u)
	}
	var inside []*unit // roots of modules whose forward pass is under way
	for _, m := range e.modules {
		for _, p := range e.pending {
			if p.active && p.m == m {
				e.reduce(m.root)
				break
			}
		}
		if m.pass != nil {
			inside = append(inside, m.root)
		}
	}
	for len(e.reducing) > 0 {
		e.reduced()
	}
	for _, m := range e.modules {
		for _, u := range append([]*unit{m.root}, m.units...) {
			if slices.Contains(inside, u) {
				u.wait()
			} else {
				u.reshard()
			}
		}
		if m.pass == nil {
			m.current = nil
		}
		m.restore()
	}
	e.forget()
	ended = true
}

// restore gives the tensors their gradients, of rows.
func (m *Module) restore() {
	torch.NoGrad(func() {
		for _, p := range m.params {
			g := p.result
			switch {
			case g == nil:
				g = p.stash
			case p.stash != nil:
				g.Add_(p.stash)
				p.stash.Release()
			}
			p.result, p.stash = nil, nil
			if g != nil {
				p.setGrad(g)
				g.Release()
			}
		}
	})
}

// forget drops what a backward pass was about.
func (e *Engine) forget() {
	for _, p := range e.pending {
		p.active = false
	}
	for _, m := range e.modules {
		if m.pass != nil {
			m.pass.active = false
		}
	}
	e.pending, e.open, e.backward, e.recompute, e.now = nil, nil, false, nil, nil
}

// giveUp ends a forward or backward pass that has panicked: parameters are rows again, with the gradients of before.
func (e *Engine) giveUp() {
	for _, r := range e.reducing {
		r.drop(e.ctx)
	}
	e.reducing = nil
	for _, m := range e.modules {
		for _, u := range append([]*unit{m.root}, m.units...) {
			for _, w := range u.works {
				_ = w.Wait(e.ctx)
			}
			u.works = nil
			u.settle()
			u.reshard()
			u.depth = 0
		}
		m.current = nil
		var clear []*torch.Tensor
		for _, p := range m.params {
			if e.backward && !p.empty() {
				clear = append(clear, p.t)
			}
			if p.result != nil {
				p.result.Release()
				p.result = nil
			}
		}
		torch.ClearGrads(clear)
		m.restore()
	}
	e.forget()
}
