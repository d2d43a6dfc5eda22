package dist

import (
	"github.com/golite/golite/internal/wire"
	"github.com/golite/golite/torch"
)

// valueTag is the tag of the messages that GatherValues and ScatterValues are made of.
const valueTag = 1<<31 - 1

const (
	// chunkBytes is the size of one message: no more memory is allocated than others have filled.
	chunkBytes = 1 << 26
	// maxObjectBytes is more than any value has: a length above it is other data, from ranks that are out of step.
	maxObjectBytes = 1 << 40
)

// checkLength checks a number that another rank has sent.
func checkLength(name string, n int64, from int) int {
	if n < 0 || n > maxObjectBytes {
		torch.Fail(name, "rank %d announces %d bytes: the ranks' calls are out of step (Options.Debug compares them)", from,
			n)
	}
	return int(n)
}

// lengthTensor makes a tensor that carries a length.
func lengthTensor(n int) *torch.Tensor { return torch.From([]int64{int64(n)}, 1) }

// chunks cuts n bytes.
func chunks(n int, f func(from, to int)) {
	for at := 0; at < n; at += chunkBytes {
		f(at, min(at+chunkBytes, n))
	}
}

// chunkTensor makes a tensor of bytes, or one to be filled where they are others'.
func chunkTensor(b []byte, mine bool, from, to int) *torch.Tensor {
	if mine {
		return torch.FromBytes(b[from:to], torch.UInt8, to-from)
	}
	return torch.Options{DType: torch.UInt8}.Empty(to - from)
}

// BroadcastBytes gives every rank rank src's bytes. The others' b doesn't count.
func (g *Group) BroadcastBytes(b []byte, src int) []byte {
	n := lengthTensor(len(b))
	defer n.Release()
	size := checkLength("dist.BroadcastBytes", int64(g.Broadcast(n, src).Item()), src)
	var got []byte
	chunks(size, func(from, to int) {
		t := chunkTensor(b, g.rank == src, from, to)
		defer t.Release()
		got = append(got, g.Broadcast(t, src).ToBytes()...)
	})
	return got
}

// AllGatherBytes gives every rank the bytes of all, in their order.
func (g *Group) AllGatherBytes(b []byte) [][]byte {
	mine := lengthTensor(len(b))
	defer mine.Release()
	longest := 0
	lengths := make([]int, g.size)
	for i, t := range g.AllGather(mine) {
		lengths[i] = checkLength("dist.AllGatherBytes", int64(t.Item()), i)
		longest = max(longest, lengths[i])
		t.Release()
	}
	all := make([][]byte, g.size)
	chunks(longest, func(from, to int) {
		padded := make([]byte, to-from)
		copy(padded, b[min(from, len(b)):])
		t := torch.FromBytes(padded, torch.UInt8, to-from)
		defer t.Release()
		for i, part := range g.AllGather(t) {
			if lengths[i] > from {
				all[i] = append(all[i], part.ToBytes()[:min(to, lengths[i])-from]...)
			}
			part.Release()
		}
	})
	return all
}

// SendBytes sends bytes to a rank, which calls RecvBytes with the same tag. It may return before that.
func (g *Group) SendBytes(b []byte, dst, tag int) {
	n := lengthTensor(len(b))
	defer n.Release()
	g.Send(n, dst, tag)
	chunks(len(b), func(from, to int) {
		t := chunkTensor(b, true, from, to)
		defer t.Release()
		g.Send(t, dst, tag)
	})
}

// RecvBytes gives what a rank, or AnyRank, sends with SendBytes and the same tag, and the rank.
func (g *Group) RecvBytes(src, tag int) (b []byte, from int) {
	n := lengthTensor(0)
	defer n.Release()
	src = g.Recv(n, src, tag)
	chunks(checkLength("dist.RecvBytes", int64(n.Item()), src), func(from, to int) {
		t := chunkTensor(nil, false, from, to)
		defer t.Release()
		g.Recv(t, src, tag)
		b = append(b, t.ToBytes()...)
	})
	return b, src
}

// BroadcastValue gives every rank rank src's value (torch.distributed.broadcast_object_list): any Go value, with the
// tensors in it, which arrive on the CPU. What an interface holds travels with its type if that is made of Go's own
// types; another one needs gob.Register. What can't be sent panics with a *torch.Error that names it: a channel, a
// function, an unexported field. The other functions for values do the same.
func BroadcastValue[T any](g *Group, v T, src int) T {
	g.checkRoot("BroadcastValue", src)
	var b []byte
	if g.rank == src {
		b = wire.Pack("dist.BroadcastValue", v)
	}
	got := g.BroadcastBytes(b, src)
	if g.rank == src {
		return v
	}
	return wire.Unpack[T]("dist.BroadcastValue", got)
}

// AllGatherValues gives every rank the values of all, in their order (torch.distributed.all_gather_object).
func AllGatherValues[T any](g *Group, v T) []T {
	list := make([]T, g.size)
	for i, b := range g.AllGatherBytes(wire.Pack("dist.AllGatherValues", v)) {
		list[i] = wire.Unpack[T]("dist.AllGatherValues", b)
	}
	return list
}

// GatherValues gives rank dst the values of all ranks, in their order, and nil to the others
// (torch.distributed.gather_object).
func GatherValues[T any](g *Group, v T, dst int) []T {
	g.checkRoot("GatherValues", dst)
	b := wire.Pack("dist.GatherValues", v)
	mine := lengthTensor(len(b))
	defer mine.Release()
	sizes := g.Gather(mine, dst)
	if g.rank != dst {
		g.SendBytes(b, dst, valueTag)
		return nil
	}
	list := make([]T, g.size)
	for r, n := range sizes {
		n.Release()
		got := b
		if r != g.rank {
			got, _ = g.RecvBytes(r, valueTag)
		}
		list[r] = wire.Unpack[T]("dist.GatherValues", got)
	}
	return list
}

// ScatterValues gives rank i the i-th of rank src's values (torch.distributed.scatter_object_list). The list is rank
// src's alone.
func ScatterValues[T any](g *Group, list []T, src int) T {
	g.checkRoot("ScatterValues", src)
	g.Barrier()
	if g.rank != src {
		b, _ := g.RecvBytes(src, valueTag)
		return wire.Unpack[T]("dist.ScatterValues", b)
	}
	g.checkCount("ScatterValues", "values", len(list))
	for r, v := range list {
		if r != src {
			g.SendBytes(wire.Pack("dist.ScatterValues", v), r, valueTag)
		}
	}
	return list[src]
}

// SendValue sends a value to a rank, which calls RecvValue with the same type and tag
// (torch.distributed.send_object_list). It may return before that.
func SendValue[T any](g *Group, v T, dst, tag int) {
	g.SendBytes(wire.Pack("dist.SendValue", v), dst, tag)
}

// RecvValue gives what a rank, or AnyRank, sends with SendValue and the same tag, and the rank
// (torch.distributed.recv_object_list).
func RecvValue[T any](g *Group, src, tag int) (v T, from int) {
	b, from := g.RecvBytes(src, tag)
	return wire.Unpack[T]("dist.RecvValue", b), from
}

// SumValues adds up a number of each rank, integers exactly, and gives all of them the sum: in the order of ranks, so
// that all get the same bits.
func SumValues[N ~int | ~int32 | ~int64 | ~uint64 | ~float32 | ~float64](g *Group, v N) N {
	var sum N
	for _, n := range AllGatherValues(g, v) {
		sum += n
	}
	return sum
}
