package ddp

import (
	"runtime"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/torch"
)

// operation is a collective with its tensors on the Go side.
type operation struct {
	g       *Group
	name    string
	call    cgotorch.Collective
	in, out []*torch.Tensor
	after   []func() // when it has succeeded
}

// begin names a collective. inPlace tensors are written by it, out ones hold its results.
func (g *Group) begin(name string, kind int) *operation {
	return &operation{g: g, name: name, call: cgotorch.Collective{Kind: kind, Site: callSite()}}
}

// give adds tensors that are read. Gloo and shared memory want them contiguous: others travel as copies.
func (o *operation) give(list ...*torch.Tensor) *operation {
	for _, t := range list {
		o.in = append(o.in, o.dense(t, false))
	}
	return o
}

// change adds tensors that are read and written.
func (o *operation) change(list ...*torch.Tensor) *operation {
	for _, t := range list {
		o.in = append(o.in, o.dense(t, true))
	}
	return o
}

// fill adds tensors that are written.
func (o *operation) fill(list ...*torch.Tensor) *operation {
	for _, t := range list {
		o.out = append(o.out, o.dense(t, true))
	}
	return o
}

func (o *operation) dense(t *torch.Tensor, written bool) *torch.Tensor {
	if t == nil {
		torch.Fail("ddp."+o.name, "a tensor is nil")
	}
	if written && t.RequiresGrad() && t.IsLeaf() && torch.GradEnabled() {
		torch.Fail("ddp."+o.name, "it would write into a tensor that requires a gradient; pass its Detach(), or call it in torch.NoGrad")
	}
	if t.IsContiguous() {
		return t
	}
	var c *torch.Tensor
	torch.NoGrad(func() { c = t.Contiguous() })
	if written {
		o.after = append(o.after, func() { torch.NoGrad(func() { t.Detach().Copy_(c) }) })
	}
	return c
}

func handles(list []*torch.Tensor) []cgotorch.Handle {
	h := make([]cgotorch.Handle, len(list))
	for i, t := range list {
		h[i] = torch.ABI{}.Handle(t)
	}
	return h
}

// run does the collective and waits for it.
func (o *operation) run() cgotorch.Outcome {
	out := o.start()
	if out.Failed != "" {
		panic(o.g.failure(o.name, o.call.Site, out.Failed))
	}
	for _, f := range o.after {
		f()
	}
	return out
}

func (o *operation) start() cgotorch.Outcome {
	o.call.In, o.call.Out = handles(o.in), handles(o.out)
	out, err := o.g.c.Run(&o.call)
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
	if out.Failed != "" {
		panic(o.g.failure(o.name, o.call.Site, out.Failed))
	}
	return newWork(o, out.Work)
}

// checkRoot refuses a rank that isn't there.
func (g *Group) checkRoot(name string, rank int) {
	if rank < 0 || rank >= g.size {
		torch.Fail("ddp."+name, "there is no rank %d in a group of %d", rank, g.size)
	}
}

func (g *Group) checkCount(name, what string, n int) {
	if n != g.size {
		torch.Fail("ddp."+name, "want %d %s, one for each rank, got %d", g.size, what, n)
	}
}

// AllReduce combines a tensor of equal shape over all ranks, in place, and returns it (torch.distributed.all_reduce). All
// ranks get the same bits: floating-point sums are formed in an order that depends on the number of ranks and not on
// who comes first.
func (g *Group) AllReduce(t *torch.Tensor, op Op) *torch.Tensor {
	g.allReduce(t, op).run()
	return t
}

// AllReduceAsync is AllReduce in the background.
func (g *Group) AllReduceAsync(t *torch.Tensor, op Op) *Work { return g.allReduce(t, op).async() }

func (g *Group) allReduce(t *torch.Tensor, op Op) *operation {
	o := g.begin("AllReduce", cgotorch.AllReduce).change(t)
	o.call.Op = int(op)
	return o
}

// Broadcast gives every rank's tensor the values of rank src's, in place, and returns it (torch.distributed.broadcast).
func (g *Group) Broadcast(t *torch.Tensor, src int) *torch.Tensor {
	g.broadcast(t, src).run()
	return t
}

// BroadcastAsync is Broadcast in the background.
func (g *Group) BroadcastAsync(t *torch.Tensor, src int) *Work { return g.broadcast(t, src).async() }

func (g *Group) broadcast(t *torch.Tensor, src int) *operation {
	g.checkRoot("Broadcast", src)
	o := g.begin("Broadcast", cgotorch.Broadcast).change(t)
	o.call.Root = src
	return o
}

// Reduce combines a tensor over all ranks into rank dst's, in place; the others' tensors stay as they are
// (torch.distributed.reduce).
func (g *Group) Reduce(t *torch.Tensor, dst int, op Op) *torch.Tensor {
	g.checkRoot("Reduce", dst)
	o := g.begin("Reduce", cgotorch.Reduce)
	if g.rank == dst {
		o.change(t)
	} else {
		o.give(t)
	}
	o.call.Op, o.call.Root = int(op), dst
	o.run()
	return t
}

// AllGather returns the tensors of all ranks, in their order; they have equal shapes (torch.distributed.all_gather). No
// gradients pass: AllGatherGrad carries them.
func (g *Group) AllGather(t *torch.Tensor) []*torch.Tensor {
	list := make([]*torch.Tensor, g.size)
	for i := range list {
		list[i] = torch.Options{DType: t.DType(), Device: t.Device()}.Empty(t.Shape()...)
	}
	g.begin("AllGather", cgotorch.AllGather).give(t).fill(list...).run()
	return list
}

// AllGatherInto writes the tensors of all ranks into out, one after the other along its first dimension, and returns it
// (torch.distributed.all_gather_into_tensor). out has size times as many elements as t.
func (g *Group) AllGatherInto(out, t *torch.Tensor) *torch.Tensor {
	g.allGatherInto(out, t).run()
	return out
}

// AllGatherIntoAsync is AllGatherInto in the background.
func (g *Group) AllGatherIntoAsync(out, t *torch.Tensor) *Work {
	return g.allGatherInto(out, t).async()
}

func (g *Group) allGatherInto(out, t *torch.Tensor) *operation {
	return g.begin("AllGatherInto", cgotorch.AllGatherInto).give(t).fill(out)
}

// ReduceScatter combines the lists of all ranks item by item, and gives rank i the i-th item in out
// (torch.distributed.reduce_scatter).
func (g *Group) ReduceScatter(out *torch.Tensor, list []*torch.Tensor, op Op) *torch.Tensor {
	g.checkCount("ReduceScatter", "tensors", len(list))
	o := g.begin("ReduceScatter", cgotorch.ReduceScatter).give(list...).fill(out)
	o.call.Op = int(op)
	o.run()
	return out
}

// ReduceScatterTensor combines tensors over all ranks and gives rank i the i-th of size equal parts of the result in out
// (torch.distributed.reduce_scatter_tensor).
func (g *Group) ReduceScatterTensor(out, t *torch.Tensor, op Op) *torch.Tensor {
	g.reduceScatterTensor(out, t, op).run()
	return out
}

// ReduceScatterTensorAsync is ReduceScatterTensor in the background.
func (g *Group) ReduceScatterTensorAsync(out, t *torch.Tensor, op Op) *Work {
	return g.reduceScatterTensor(out, t, op).async()
}

func (g *Group) reduceScatterTensor(out, t *torch.Tensor, op Op) *operation {
	o := g.begin("ReduceScatterTensor", cgotorch.ReduceScatterTensor).give(t).fill(out)
	o.call.Op = int(op)
	return o
}

// Gather returns the tensors of all ranks on rank dst, in their order, and nil on the others (torch.distributed.gather).
func (g *Group) Gather(t *torch.Tensor, dst int) []*torch.Tensor {
	g.checkRoot("Gather", dst)
	o := g.begin("Gather", cgotorch.Gather).give(t)
	o.call.Root = dst
	var list []*torch.Tensor
	if g.rank == dst {
		list = make([]*torch.Tensor, g.size)
		for i := range list {
			list[i] = torch.Options{DType: t.DType(), Device: t.Device()}.Empty(t.Shape()...)
		}
		o.fill(list...)
	}
	o.run()
	return list
}

// Scatter gives rank i the i-th of rank src's tensors, in out (torch.distributed.scatter). The list is rank src's alone.
func (g *Group) Scatter(out *torch.Tensor, list []*torch.Tensor, src int) *torch.Tensor {
	g.checkRoot("Scatter", src)
	o := g.begin("Scatter", cgotorch.Scatter).fill(out)
	if g.rank == src {
		g.checkCount("Scatter", "tensors", len(list))
		o.give(list...)
	}
	o.call.Root = src
	o.run()
	return out
}

// AllToAll sends the i-th tensor of in to rank i, and fills the i-th of out with what rank i sends
// (torch.distributed.all_to_all). Shapes may differ from pair to pair, as long as both sides agree.
func (g *Group) AllToAll(out, in []*torch.Tensor) {
	g.checkCount("AllToAll", "tensors to send", len(in))
	g.checkCount("AllToAll", "tensors to fill", len(out))
	g.begin("AllToAll", cgotorch.AllToAll).give(in...).fill(out...).run()
}

// AllToAllSingle sends parts of in, cut along its first dimension, to the ranks, and fills out with the parts that they
// send (torch.distributed.all_to_all_single). Without lengths the parts are equal; else inLengths and outLengths give
// the rows of each.
func (g *Group) AllToAllSingle(out, in *torch.Tensor, inLengths, outLengths []int) *torch.Tensor {
	o := g.begin("AllToAllSingle", cgotorch.AllToAllSingle).give(in).fill(out)
	o.call.InLengths, o.call.OutLengths = inLengths, outLengths
	o.run()
	return out
}

// Send sends a tensor to a rank, which calls Recv with the same tag (torch.distributed.send). It may return before that.
func (g *Group) Send(t *torch.Tensor, dst, tag int) { g.SendAsync(t, dst, tag).finish() }

// SendAsync is Send in the background: the tensor must not be written before the work is done.
func (g *Group) SendAsync(t *torch.Tensor, dst, tag int) *Work {
	g.checkRoot("Send", dst)
	o := g.begin("Send", cgotorch.Send).give(t)
	o.call.Root, o.call.Tag = dst, tag
	return o.async()
}

// AnyRank lets Recv take what any rank sends.
const AnyRank = -1

// Recv fills a tensor with what a rank sends with the same tag, and returns the rank (torch.distributed.recv).
func (g *Group) Recv(t *torch.Tensor, src, tag int) (from int) {
	return g.RecvAsync(t, src, tag).finish()
}

// RecvAsync is Recv in the background.
func (g *Group) RecvAsync(t *torch.Tensor, src, tag int) *Work {
	if src != AnyRank {
		g.checkRoot("Recv", src)
	}
	o := g.begin("Recv", cgotorch.Recv).change(t)
	o.call.Root, o.call.Tag = src, tag
	return o.async()
}

// Barrier waits until all ranks have called it (torch.distributed.barrier).
func (g *Group) Barrier() { g.begin("Barrier", cgotorch.Barrier).run() }
