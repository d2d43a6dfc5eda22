package shard

import (
	"context"
	"slices"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/torch"
)

// reduction is a unit's gradients on their way.
type reduction struct {
	params    []*param
	outs, ins []*torch.Tensor
	used      *torch.Tensor // above 0: a rank has a gradient of that parameter
	works     []*dist.Work
}

// reduce takes a unit's gradients, begins to sum them, and frees its parameters.
func (e *Engine) reduce(u *unit) {
	if i := slices.Index(e.open, u); i >= 0 {
		e.open = slices.Delete(e.open, i, i+1)
	}
	r := &reduction{}
	var tensors []*torch.Tensor
	for _, p := range u.params {
		if p.t.RequiresGrad() && !p.empty() {
			r.params, tensors = append(r.params, p), append(tensors, p.t)
		}
	}
	if len(r.params) > 0 {
		torch.NoGrad(func() { torch.Scope(func() { r.begin(e, tensors) }) })
		e.reducing = append(e.reducing, r)
	}
	u.reshard()
	for len(e.reducing) > 1 {
		e.reduced()
	}
}

func (r *reduction) begin(e *Engine, tensors []*torch.Tensor) {
	grads := torch.Grads(tensors)
	used := make([]float32, len(tensors))
	for i, p := range r.params {
		g := grads[i]
		if g != nil && g.Layout() != torch.Strided {
			torch.Fail("shard", "the gradient of %s is %s: only dense ones can be summed in parts (Sparse: false of nn.Embedding)", p.name, g.Layout())
		}
		if g != nil {
			used[i] = 1
		}
		r.ins = append(r.ins, p.input(e, g))
		out := torch.Options{DType: r.ins[i].DType(), Device: r.ins[i].Device()}
		torch.NoScope(func() { r.outs = append(r.outs, out.Empty(p.with(p.layout.chunk)...)) })
	}
	torch.ClearGrads(tensors)
	// What no rank has a gradient of is to have none: the counts travel along.
	ranks := e.g.Size()
	first := torch.Options{DType: r.ins[0].DType(), Device: r.ins[0].Device()}
	counts := torch.From(used, 1, len(used)).To(first.DType, first.Device).Expand(ranks, len(used)).Contiguous().Keep()
	torch.NoScope(func() { r.used = first.Empty(len(used)) })
	ins, outs := append([]*torch.Tensor{counts}, r.ins...), append([]*torch.Tensor{r.used}, r.outs...)
	r.ins = append(r.ins, counts)
	for from := 0; from < len(ins); {
		to := from + 1
		for to < len(ins) && ins[to].DType() == ins[from].DType() && ins[to].Device() == ins[from].Device() {
			to++
		}
		r.works = append(r.works, e.g.ReduceScatterTensorCoalescedAsync(outs[from:to], ins[from:to], dist.Sum))
		from = to
	}
}

// input is what is summed of a gradient: padded, in the type of the sum, its part of the mean.
func (p *param) input(e *Engine, g *torch.Tensor) (in *torch.Tensor) {
	o := torch.Options{DType: p.raw.DType(), Device: p.raw.Device()}
	if e.o.ReduceDType != 0 && o.DType.IsFloating() {
		o.DType = e.o.ReduceDType
	}
	if g != nil && !p.padded() && g.IsContiguous() && g.DType() == o.DType {
		in = g.Keep()
	} else {
		torch.NoScope(func() { in = o.Zeros(p.with(p.chunk_())...) })
		if g == nil {
			return in
		}
		p.whole(in).Copy_(g)
	}
	if n := e.g.Size(); n > 1 {
		in.MulScalar_(1 / float64(n))
	}
	return in
}

// reduced waits for the first of the reductions under way, and keeps its results.
func (e *Engine) reduced() {
	r := e.reducing[0]
	for len(r.works) > 0 {
		e.wait(r.works[0])
		r.works = r.works[1:]
	}
	e.reducing = e.reducing[1:]
	torch.NoGrad(func() {
		torch.Scope(func() {
			used := torch.ToSlice[float32](r.used.To(torch.Float32, torch.CPU))
			for i, p := range r.params {
				if used[i] > 0 {
					p.add(r.outs[i])
				}
			}
		})
	})
	r.free()
}

// add adds this rank's rows of a mean to the parameter's result.
func (p *param) add(chunk *torch.Tensor) {
	g := p.layout.own(chunk).To(p.chunk.DType(), p.chunk.Device())
	if p.result != nil {
		p.result.Add_(g)
		return
	}
	p.result = g.Keep()
}

func (r *reduction) free() {
	for _, t := range append(append(r.ins, r.outs...), r.used) {
		t.Release()
	}
}

// drop waits without heed of the outcome.
func (r *reduction) drop(ctx context.Context) {
	for _, w := range r.works {
		_ = w.Wait(ctx)
	}
	r.free()
}
