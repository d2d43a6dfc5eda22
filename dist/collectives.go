package dist

import (
	"fmt"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/torch"
)

// AllReduce combines a tensor of equal shape over all ranks, in place, and returns it (torch.distributed.all_reduce).
// All ranks get the same bits: floating-point sums are formed in an order that depends on the number of ranks and not
// on the order of arrival.
func (g *Group) AllReduce(t *torch.Tensor, op Op) *torch.Tensor {
	g.allReduce(t, op).run()
	return t
}

// AllReduceAsync is AllReduce in the background.
func (g *Group) AllReduceAsync(t *torch.Tensor, op Op) *Work { return g.allReduce(t, op).async() }

func (g *Group) allReduce(t *torch.Tensor, op Op) *operation {
	return g.begin("AllReduce", cgotorch.AllReduce).inout(t).by(op)
}

// Broadcast gives every rank's tensor the values of rank src's, in place, and returns it (torch.distributed.broadcast).
func (g *Group) Broadcast(t *torch.Tensor, src int) *torch.Tensor {
	g.broadcast(t, src).run()
	return t
}

// BroadcastAsync is Broadcast in the background.
func (g *Group) BroadcastAsync(t *torch.Tensor, src int) *Work { return g.broadcast(t, src).async() }

func (g *Group) broadcast(t *torch.Tensor, src int) *operation {
	o := g.begin("Broadcast", cgotorch.Broadcast).root(src)
	if g.rank != src {
		return o.inout(t)
	}
	o.input(t) // it stays as it is
	o.checkWritable(t)
	return o
}

// Reduce combines a tensor over all ranks into rank dst's, in place; the others' tensors stay as they are
// (torch.distributed.reduce).
func (g *Group) Reduce(t *torch.Tensor, dst int, op Op) *torch.Tensor {
	g.reduce(t, dst, op).run()
	return t
}

// ReduceAsync is Reduce in the background.
func (g *Group) ReduceAsync(t *torch.Tensor, dst int, op Op) *Work {
	return g.reduce(t, dst, op).async()
}

func (g *Group) reduce(t *torch.Tensor, dst int, op Op) *operation {
	o := g.begin("Reduce", cgotorch.Reduce).root(dst).by(op)
	if g.rank == dst {
		return o.inout(t)
	}
	return o.input(t)
}

// AllGather returns the tensors of all ranks, in their order; they have equal shapes (torch.distributed.all_gather). No
// gradients pass: AllGatherGrad carries them.
func (g *Group) AllGather(t *torch.Tensor) []*torch.Tensor {
	o := g.allGather(t)
	o.run()
	return o.out
}

// AllGatherAsync is AllGather in the background: the list's tensors have their values when the work is done.
func (g *Group) AllGatherAsync(t *torch.Tensor) ([]*torch.Tensor, *Work) {
	o := g.allGather(t)
	return o.out, o.async()
}

func (g *Group) allGather(t *torch.Tensor) *operation {
	o := g.begin("AllGather", cgotorch.AllGather).input(t)
	return o.output(g.places(t)...)
}

// places makes a tensor like t for each rank.
func (g *Group) places(t *torch.Tensor) []*torch.Tensor {
	list := make([]*torch.Tensor, g.size)
	for i := range list {
		list[i] = torch.Options{DType: t.DType(), Device: t.Device()}.Empty(t.Shape()...)
	}
	return list
}

// AllGatherInto writes the tensors of all ranks into out, one after the other, and returns it
// (torch.distributed.all_gather_into_tensor). out has size times as many elements as t: the tensors joined along
// dimension 0 ([size*n, ...]) or stacked ([size, n, ...]).
func (g *Group) AllGatherInto(out, t *torch.Tensor) *torch.Tensor {
	g.allGatherInto(out, t).run()
	return out
}

// AllGatherIntoAsync is AllGatherInto in the background.
func (g *Group) AllGatherIntoAsync(out, t *torch.Tensor) *Work {
	return g.allGatherInto(out, t).async()
}

func (g *Group) allGatherInto(out, t *torch.Tensor) *operation {
	g.checkParts("AllGatherInto", "out", "the tensor", out, t)
	o := g.begin("AllGatherInto", cgotorch.AllGatherInto).input(t).output(out)
	o.out[0], o.in[0] = g.joined(o.out[0], o.in[0])
	return o
}

// ReduceScatter combines the lists of all ranks item by item, and gives rank i the i-th item in out
// (torch.distributed.reduce_scatter).
func (g *Group) ReduceScatter(out *torch.Tensor, list []*torch.Tensor, op Op) *torch.Tensor {
	g.reduceScatter(out, list, op).run()
	return out
}

// ReduceScatterAsync is ReduceScatter in the background.
func (g *Group) ReduceScatterAsync(out *torch.Tensor, list []*torch.Tensor, op Op) *Work {
	return g.reduceScatter(out, list, op).async()
}

func (g *Group) reduceScatter(out *torch.Tensor, list []*torch.Tensor, op Op) *operation {
	g.checkCount("ReduceScatter", "tensors", len(list))
	likeOut("ReduceScatter", out, list)
	return g.begin("ReduceScatter", cgotorch.ReduceScatter).input(list...).output(out).by(op)
}

// ReduceScatterTensor combines tensors over all ranks and gives rank i the i-th of size equal parts of the result in
// out (torch.distributed.reduce_scatter_tensor). t has size times as many elements as out: the parts joined along
// dimension 0 ([size*n, ...]) or stacked ([size, n, ...]).
func (g *Group) ReduceScatterTensor(out, t *torch.Tensor, op Op) *torch.Tensor {
	g.reduceScatterTensor(out, t, op).run()
	return out
}

// ReduceScatterTensorAsync is ReduceScatterTensor in the background.
func (g *Group) ReduceScatterTensorAsync(out, t *torch.Tensor, op Op) *Work {
	return g.reduceScatterTensor(out, t, op).async()
}

func (g *Group) reduceScatterTensor(out, t *torch.Tensor, op Op) *operation {
	g.checkParts("ReduceScatterTensor", "the tensor", "out", t, out)
	o := g.begin("ReduceScatterTensor", cgotorch.ReduceScatterTensor).input(t).output(out)
	o.in[0], o.out[0] = g.joined(o.in[0], o.out[0])
	return o.by(op)
}

// AllReduceCoalesced is AllReduce for each tensor of a list, as one operation (torch.distributed.all_reduce_coalesced).
// The tensors have one dtype and are on one device. The bits are those of AllReduce.
func (g *Group) AllReduceCoalesced(list []*torch.Tensor, op Op) {
	if len(list) > 0 {
		g.allReduceCoalesced(list, op).run()
	}
}

// AllReduceCoalescedAsync is AllReduceCoalesced in the background. The list must not be empty.
func (g *Group) AllReduceCoalescedAsync(list []*torch.Tensor, op Op) *Work {
	return g.allReduceCoalesced(list, op).async()
}

func (g *Group) allReduceCoalesced(list []*torch.Tensor, op Op) *operation {
	checkList("AllReduceCoalesced", list)
	return g.begin("AllReduceCoalesced", cgotorch.AllReduceCoalesced).inout(list...).by(op)
}

// AllGatherIntoCoalesced is AllGatherInto for each tensor of a list, as one operation: the i-th of out gets the ranks'
// i-th tensors (torch.distributed's all_gather_into_tensor_coalesced). The tensors have one dtype and are on one
// device.
func (g *Group) AllGatherIntoCoalesced(out, list []*torch.Tensor) {
	if len(out)+len(list) > 0 {
		g.allGatherIntoCoalesced(out, list).run()
	}
}

// AllGatherIntoCoalescedAsync is AllGatherIntoCoalesced in the background. The list must not be empty.
func (g *Group) AllGatherIntoCoalescedAsync(out, list []*torch.Tensor) *Work {
	return g.allGatherIntoCoalesced(out, list).async()
}

func (g *Group) allGatherIntoCoalesced(out, list []*torch.Tensor) *operation {
	const name = "AllGatherIntoCoalesced"
	checkPairs(name, out, list)
	for i := range list {
		g.checkParts(name, fmt.Sprintf("tensor %d of out", i), "the tensor", out[i], list[i])
	}
	o := g.begin(name, cgotorch.AllGatherIntoCoalesced).input(list...).output(out...)
	for i := range list {
		o.out[i], o.in[i] = g.joined(o.out[i], o.in[i])
	}
	return o
}

// ReduceScatterTensorCoalesced is ReduceScatterTensor for each tensor of a list, as one operation: the i-th of out gets
// this rank's part of the ranks' i-th tensors (torch.distributed's reduce_scatter_tensor_coalesced). The tensors have
// one dtype and are on one device. The bits are those of ReduceScatterTensor.
func (g *Group) ReduceScatterTensorCoalesced(out, list []*torch.Tensor, op Op) {
	if len(out)+len(list) > 0 {
		g.reduceScatterTensorCoalesced(out, list, op).run()
	}
}

// ReduceScatterTensorCoalescedAsync is ReduceScatterTensorCoalesced in the background. The list must not be empty.
func (g *Group) ReduceScatterTensorCoalescedAsync(out, list []*torch.Tensor, op Op) *Work {
	return g.reduceScatterTensorCoalesced(out, list, op).async()
}

func (g *Group) reduceScatterTensorCoalesced(out, list []*torch.Tensor, op Op) *operation {
	const name = "ReduceScatterTensorCoalesced"
	checkPairs(name, out, list)
	for i := range list {
		g.checkParts(name, fmt.Sprintf("tensor %d of the list", i), "out", list[i], out[i])
	}
	o := g.begin(name, cgotorch.ReduceScatterTensorCoalesced).input(list...).output(out...)
	for i := range list {
		o.in[i], o.out[i] = g.joined(o.in[i], o.out[i])
	}
	return o.by(op)
}

// Gather returns the tensors of all ranks on rank dst, in their order, and nil on the others
// (torch.distributed.gather).
func (g *Group) Gather(t *torch.Tensor, dst int) []*torch.Tensor {
	o := g.gather(t, dst)
	o.run()
	return o.out
}

// GatherAsync is Gather in the background: the list's tensors have their values when the work is done.
func (g *Group) GatherAsync(t *torch.Tensor, dst int) ([]*torch.Tensor, *Work) {
	o := g.gather(t, dst)
	return o.out, o.async()
}

func (g *Group) gather(t *torch.Tensor, dst int) *operation {
	o := g.begin("Gather", cgotorch.Gather).root(dst).input(t)
	if g.rank == dst {
		o.output(g.places(t)...)
	}
	return o
}

// Scatter gives rank i the i-th of rank src's tensors, in out (torch.distributed.scatter). The list is rank src's
// alone.
func (g *Group) Scatter(out *torch.Tensor, list []*torch.Tensor, src int) *torch.Tensor {
	g.scatter(out, list, src).run()
	return out
}

// ScatterAsync is Scatter in the background.
func (g *Group) ScatterAsync(out *torch.Tensor, list []*torch.Tensor, src int) *Work {
	return g.scatter(out, list, src).async()
}

func (g *Group) scatter(out *torch.Tensor, list []*torch.Tensor, src int) *operation {
	o := g.begin("Scatter", cgotorch.Scatter).root(src).output(out)
	if g.rank == src {
		g.checkCount("Scatter", "tensors", len(list))
		likeOut("Scatter", out, list)
		o.input(list...)
	}
	return o
}

// AllToAll sends the i-th tensor of in to rank i, and fills the i-th of out with what rank i sends
// (torch.distributed.all_to_all). Shapes may differ from pair to pair, as long as both sides agree.
func (g *Group) AllToAll(out, in []*torch.Tensor) { g.allToAll(out, in).run() }

// AllToAllAsync is AllToAll in the background.
func (g *Group) AllToAllAsync(out, in []*torch.Tensor) *Work { return g.allToAll(out, in).async() }

func (g *Group) allToAll(out, in []*torch.Tensor) *operation {
	g.checkCount("AllToAll", "tensors to send", len(in))
	g.checkCount("AllToAll", "tensors to fill", len(out))
	alike("AllToAll", append(out[:len(out):len(out)], in...)...)
	return g.begin("AllToAll", cgotorch.AllToAll).input(in...).output(out...)
}

// AllToAllSingle sends parts of in, cut along its first dimension, to the ranks, and fills out with the parts that they
// send (torch.distributed.all_to_all_single). Without lengths the parts are equal; else inLengths and outLengths give
// the rows of each.
func (g *Group) AllToAllSingle(out, in *torch.Tensor, inLengths, outLengths []int) *torch.Tensor {
	g.allToAllSingle(out, in, inLengths, outLengths).run()
	return out
}

// AllToAllSingleAsync is AllToAllSingle in the background.
func (g *Group) AllToAllSingleAsync(out, in *torch.Tensor, inLengths, outLengths []int) *Work {
	return g.allToAllSingle(out, in, inLengths, outLengths).async()
}

func (g *Group) allToAllSingle(out, in *torch.Tensor, inLengths, outLengths []int) *operation {
	g.checkSplits("AllToAllSingle", out, in, outLengths, inLengths)
	o := g.begin("AllToAllSingle", cgotorch.AllToAllSingle).input(in).output(out)
	o.call.InLengths, o.call.OutLengths = inLengths, outLengths
	return o
}

// Send sends a tensor to a rank, which calls Recv with the same tag (torch.distributed.send). It may return before
// that.
func (g *Group) Send(t *torch.Tensor, dst, tag int) { g.SendAsync(t, dst, tag).finish() }

// SendAsync is Send in the background: the tensor must not be written before the work is done.
func (g *Group) SendAsync(t *torch.Tensor, dst, tag int) *Work {
	o := g.begin("Send", cgotorch.Send).root(dst).input(t)
	o.call.Tag = tag
	return o.async()
}

// AnyRank makes Recv accept a tensor of any rank.
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
	o := g.begin("Recv", cgotorch.Recv).inout(t)
	o.call.Root, o.call.Tag = src, tag
	return o.async()
}

// Barrier waits until all ranks have called it (torch.distributed.barrier).
func (g *Group) Barrier() { g.begin("Barrier", cgotorch.Barrier).run() }

// BarrierAsync is Barrier in the background: the work is done when all ranks have called it.
func (g *Group) BarrierAsync() *Work { return g.begin("Barrier", cgotorch.Barrier).async() }

// Op is how a collective combines what the ranks give (torch.distributed.ReduceOp).
//
// The operations are Sum, Mean, Product, Min, Max, BitAnd, BitOr and BitXor.
type Op uint8

// The ways of combining. Mean divides the sum by the number of ranks; integers are cut towards zero. The last three
// take integers, bit by bit, and bools. Of bools the sum is whether any is true, the product whether all are, and there
// is no mean; complex numbers have a sum and a mean.
const (
	Sum Op = iota
	Mean
	Product
	Min
	Max
	BitAnd
	BitOr
	BitXor
)

var opNames = [...]string{"sum", "mean", "product", "min", "max", "band", "bor", "bxor"}

// String returns the name in torch.distributed, in lower case.
func (o Op) String() string {
	if int(o) < len(opNames) {
		return opNames[o]
	}
	return fmt.Sprintf("Op(%d)", uint8(o))
}
