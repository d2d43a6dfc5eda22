package shard

import (
	"cmp"
	"slices"

	"github.com/golite/golite/torch"
)

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
