package shard

import (
	"github.com/golite/golite/dist"
	"github.com/golite/golite/torch"
)

var abi torch.ABI

// param is a parameter that is cut.
type param struct {
	u    *unit
	name string
	t    *torch.Tensor // the module's own
	layout
	// raw is the padded whole, whose memory is there while the unit is gathered, and view the part of it that has the
	// parameter's shape. It has a version counter of its own: gathering is no write that autograd must know of.
	raw, view *torch.Tensor
	// chunk is this rank's padded rows, and own the rows in it. With Never it is a part of raw.
	chunk, own *torch.Tensor
	rawBytes   int
	stash      *torch.Tensor // gradient of earlier backward passes, in one
	result     *torch.Tensor // gradient of this one
}

// bytes is what the whole takes.
func (p *param) bytes() int { return p.view.Numel() * p.view.DType().Size() }

// separate reports whether rows and whole have memory each for itself.
func (p *param) separate() bool {
	e := p.u.m.e
	return e.o.Reshard != Never || p.chunk.Device() != p.raw.Device()
}

// cutOff makes a parameter's rows, from rank 0's values unless ranks have the same.
func (p *param) cutOff() {
	e := p.u.m.e
	torch.NoGrad(func() {
		torch.Scope(func() {
			t := p.t.Detach()
			device, dtype := t.Device(), t.DType()
			meta := device == torch.Meta
			if meta {
				device = torch.CPU
			}
			if e.o.Device.Type != 0 {
				device = e.o.Device
			}
			if !meta {
				t = t.To(device).Contiguous()
				if !e.o.NoInitSync && !p.empty() {
					e.g.Broadcast(t, 0)
				}
			}
			wholeType := dtype
			if e.o.ParamDType != 0 && dtype.IsFloating() {
				wholeType = e.o.ParamDType
			}
			torch.NoScope(func() {
				home := torch.Options{DType: dtype, Device: device}
				if e.o.OffloadCPU {
					home.Device = torch.CPU
				}
				p.raw = torch.Options{DType: wholeType, Device: device}.Zeros(p.with(p.chunk_())...)
				if e.o.Reshard == Never && home.Device == device {
					p.chunk = p.raw.Narrow(0, e.g.Rank()*p.layout.chunk, p.layout.chunk)
				} else {
					p.chunk = home.Zeros(p.with(p.layout.chunk)...)
				}
				p.view, p.own = p.whole(p.raw), p.layout.own(p.chunk)
			})
			p.rawBytes = p.raw.StorageBytes()
			if !meta {
				if e.o.Reshard == Never {
					p.view.Copy_(t)
				}
				if p.separate() {
					p.own.Copy_(p.cut(t))
				}
			}
			shown := p.own
			if e.o.Reshard == Never || p.empty() {
				shown = p.view
			}
			if meta {
				torch.NoScope(func() { abi.Replace(p.t, shown.Detach().RequiresGrad_(p.t.RequiresGrad())) })
			} else {
				p.t.SetData(shown)
			}
			if shown == p.own {
				abi.ResizeStorage(p.raw, 0)
			}
		})
	})
	p.u.up = e.o.Reshard == Never
	p.u.shown = p.u.up
}

// chunk_ is the rows of the padded whole.
func (p *param) chunk_() int { return p.layout.chunk * p.ranks }

// setGrad replaces the gradient of the tensor, which may be the whole now.
func (p *param) setGrad(g *torch.Tensor) {
	if !p.u.shown {
		p.t.SetGrad(g)
		return
	}
	p.t.SetData(p.own)
	p.t.SetGrad(g)
	p.t.SetData(p.view)
}

// unit is parameters that are gathered, freed and reduced together.
type unit struct {
	m      *Module
	path   string
	params []*param
	up     bool // the memory of the whole is there, with its values
	shown  bool // the tensors are the whole
	stale  bool // with Never: the rows were changed
	works  []*dist.Work
	inputs []*torch.Tensor // of works, that were made for them
	depth  int             // of calls of its layers
}

// start begins to gather the unit.
func (u *unit) start() {
	e := u.m.e
	if u.works != nil || u.up && !u.stale || len(u.params) == 0 {
		return
	}
	abi.NormalMode(func() {
		torch.NoGrad(func() {
			var outs, ins []*torch.Tensor
			flush := func() {
				if len(outs) > 0 {
					u.works = append(u.works, e.g.AllGatherIntoCoalescedAsync(outs, ins))
				}
				outs, ins = nil, nil
			}
			for _, p := range u.params {
				if p.empty() {
					continue
				}
				if !u.up {
					abi.ResizeStorage(p.raw, p.rawBytes)
				}
				in := p.chunk
				if in.DType() != p.raw.DType() || in.Device() != p.raw.Device() {
					torch.NoScope(func() { in = p.chunk.To(p.raw.DType(), p.raw.Device()) })
					u.inputs = append(u.inputs, in)
				}
				if len(outs) > 0 && (outs[0].DType() != p.raw.DType() || outs[0].Device() != p.raw.Device()) {
					flush()
				}
				outs, ins = append(outs, p.raw), append(ins, in)
			}
			flush()
		})
	})
	if !u.up {
		e.hold(u.bytes())
	}
	u.up = true
}

// wait ends the gathering, and shows the whole.
func (u *unit) wait() {
	u.start()
	u.settle()
	u.stale = false
	u.show(true)
}

// settle waits for the collectives under way.
func (u *unit) settle() {
	for len(u.works) > 0 {
		u.m.e.wait(u.works[0])
		u.works = u.works[1:]
	}
	u.works = nil
	for _, t := range u.inputs {
		t.Release()
	}
	u.inputs = nil
}

// wait waits for a collective, whose failure is a panic as that of a collective that waits by itself.
func (e *Engine) wait(w *dist.Work) {
	if err := w.Wait(e.ctx); err != nil {
		panic(err)
	}
}

// show makes the tensors the whole, or this rank's rows.
func (u *unit) show(whole bool) {
	if u.shown == whole {
		return
	}
	for _, p := range u.params {
		if p.empty() {
			continue
		}
		if whole {
			p.t.SetData(p.view)
		} else {
			p.t.SetData(p.own)
		}
	}
	u.shown = whole
}

// reshard frees the whole, but with Never.
func (u *unit) reshard() {
	if !u.up || u.m.e.o.Reshard == Never {
		return
	}
	u.settle()
	u.show(false)
	for _, p := range u.params {
		if !p.empty() {
			abi.ResizeStorage(p.raw, 0)
		}
	}
	u.up = false
	u.m.e.hold(-u.bytes())
}

// bytes is what the padded whole takes.
func (u *unit) bytes() (n int) {
	for _, p := range u.params {
		n += p.rawBytes
	}
	return n
}

// hold counts bytes of whole units.
func (e *Engine) hold(n int) {
	e.gathered += n
	e.peak = max(e.peak, e.gathered)
}

// close leaves the parameters as tensors of their own.
func (u *unit) close() {
	for _, w := range u.works {
		_ = w.Wait(u.m.e.ctx) // the group has ended, or the collective does
	}
	u.works = nil
	u.settle()
	u.reshard()
	for _, p := range u.params {
		for _, t := range []*torch.Tensor{p.raw, p.view, p.chunk, p.own, p.stash, p.result} {
			if t != nil {
				t.Release()
			}
		}
	}
	u.params = nil
}
