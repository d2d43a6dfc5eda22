package dist

import (
	"runtime"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/callsite"
	"github.com/golite/golite/torch"
)

// operation is a collective with its tensors on the Go side.
type operation struct {
	g       *Group
	name    string
	call    cgotorch.Collective
	in, out []*torch.Tensor
	staged  []*torch.Tensor // in and out as the backend gets them
	after   []func()        // when it has succeeded
}

// begin makes a collective without tensors.
func (g *Group) begin(name string, kind int) *operation {
	return &operation{g: g, name: name, call: cgotorch.Collective{Kind: kind, Site: callsite.Site()}}
}

// by sets how values are combined.
func (o *operation) by(op Op) *operation {
	o.call.Op = int(op)
	return o
}

// root sets the rank that gives, or gets, what the other ranks do not.
func (o *operation) root(rank int) *operation {
	o.g.checkRoot(o.name, rank)
	o.call.Root = rank
	return o
}

// input adds tensors that are read. Gloo and shared memory need them contiguous, and their values in memory: others are
// sent as copies.
func (o *operation) input(list ...*torch.Tensor) *operation {
	for _, t := range list {
		o.in = append(o.in, o.contiguous(t, false))
	}
	return o
}

// inout adds tensors that are read and written.
func (o *operation) inout(list ...*torch.Tensor) *operation {
	for _, t := range list {
		o.in = append(o.in, o.contiguous(t, true))
	}
	return o
}

// output adds tensors that are written.
func (o *operation) output(list ...*torch.Tensor) *operation {
	for _, t := range list {
		o.out = append(o.out, o.contiguous(t, true))
	}
	return o
}

func (o *operation) contiguous(t *torch.Tensor, written bool) *torch.Tensor {
	if t == nil {
		torch.Fail("dist."+o.name, "a tensor is nil")
	}
	const odd = cgotorch.FlagConj | cgotorch.FlagNeg | cgotorch.FlagZero
	flags := torch.ABI{}.Flags("dist."+o.name, t)
	if written {
		o.checkWritable(t)
	}
	if t.Device() == torch.Meta {
		torch.Fail("dist."+o.name, "a tensor on the meta device has no values")
	}
	if flags&cgotorch.FlagContiguous != 0 && flags&odd == 0 {
		return t
	}
	if layout := t.Layout(); layout != torch.Strided {
		torch.Fail("dist."+o.name, "a tensor of layout torch.%s can't be sent; pass its ToDense", layout)
	}
	if written && flags&cgotorch.FlagZero != 0 {
		torch.Fail("dist."+o.name, "a tensor that stands for zeros and has no memory, such as the gradient of Sgn, "+
			"can't be written: pass its Clone")
	}
	var c *torch.Tensor
	torch.NoGrad(func() {
		if c = t; flags&cgotorch.FlagZero != 0 {
			c = t.Clone()
		}
		c = c.Resolve().Contiguous()
	})
	if written {
		o.after = append(o.after, func() { torch.NoGrad(func() { t.Detach().Copy_(c) }) })
	}
	return c
}

// checkWritable refuses what autograd refuses to write.
func (o *operation) checkWritable(t *torch.Tensor) {
	if t.RequiresGrad() && t.IsLeaf() && torch.GradEnabled() {
		torch.Fail("dist."+o.name,
			"it would write into a tensor that requires a gradient; pass its Detach(), or call it in torch.NoGrad")
	}
}

// run does the collective and waits for it.
func (o *operation) run() cgotorch.Outcome {
	out := o.start()
	if out.Failed != nil {
		panic(o.g.failure(o.name, o.call.Site, out.Failed))
	}
	for _, f := range o.after {
		f()
	}
	return out
}

func (o *operation) start() cgotorch.Outcome {
	c := o.g.handle()
	if o.g.ctx.Err() != nil { // no collective begins after that
		select {
		case <-o.g.cancelled:
		case <-o.g.done:
		}
	}
	o.stageTensors()
	out, err := c.Run(&o.call)
	runtime.KeepAlive(o)
	if err != nil {
		argumentError(o.name, err, append(o.in, o.out...)...)
	}
	return out
}

// async does the collective in the background.
func (o *operation) async() *Work {
	o.call.Async = true
	out := o.start()
	if out.Failed != nil {
		panic(o.g.failure(o.name, o.call.Site, out.Failed))
	}
	return newWork(o, out.Work)
}

// checkRoot refuses a rank that the group doesn't have.
func (g *Group) checkRoot(name string, rank int) {
	if rank < 0 || rank >= g.size {
		torch.Fail("dist."+name, "there is no rank %d in a group of %d", rank, g.size)
	}
}

func (g *Group) checkCount(name, what string, n int) {
	if n != g.size {
		torch.Fail("dist."+name, "want %d %s, one for each rank, got %d", g.size, what, n)
	}
}
