package ddp

import (
	"bytes"
	"encoding/gob"

	"github.com/golite/golite/torch"
)

// BroadcastBytes gives every rank rank src's bytes. The others' b doesn't count.
func (g *Group) BroadcastBytes(b []byte, src int) []byte {
	n := torch.From([]int64{int64(len(b))}, 1)
	defer n.Release()
	size := int(g.Broadcast(n, src).Item())
	if size == 0 {
		return nil
	}
	t := torch.Options{DType: torch.UInt8}.Empty(size)
	if g.rank == src {
		t = torch.FromBytes(b, torch.UInt8, size)
	}
	defer t.Release()
	return g.Broadcast(t, src).ToBytes()
}

// AllGatherBytes gives every rank the bytes of all, in their order.
func (g *Group) AllGatherBytes(b []byte) [][]byte {
	mine := torch.From([]int64{int64(len(b))}, 1)
	defer mine.Release()
	sizes := g.AllGather(mine)
	longest := 0
	lengths := make([]int, g.size)
	for i, t := range sizes {
		lengths[i] = int(t.Item())
		longest = max(longest, lengths[i])
		t.Release()
	}
	all := make([][]byte, g.size)
	if longest == 0 {
		return all
	}
	padded := make([]byte, longest)
	copy(padded, b)
	t := torch.FromBytes(padded, torch.UInt8, longest)
	defer t.Release()
	for i, part := range g.AllGather(t) {
		all[i] = part.ToBytes()[:lengths[i]]
		part.Release()
	}
	return all
}

// BroadcastValue gives every rank rank src's value, encoded with encoding/gob
// (torch.distributed.broadcast_object_list).
func BroadcastValue[T any](g *Group, v T, src int) T {
	g.checkRoot("BroadcastValue", src)
	var b []byte
	if g.rank == src {
		b = encode("ddp.BroadcastValue", v)
	}
	got := g.BroadcastBytes(b, src)
	if g.rank == src {
		return v
	}
	return decode[T]("ddp.BroadcastValue", got)
}

// AllGatherValues gives every rank the values of all, in their order, encoded with encoding/gob
// (torch.distributed.all_gather_object).
func AllGatherValues[T any](g *Group, v T) []T {
	list := make([]T, g.size)
	for i, b := range g.AllGatherBytes(encode("ddp.AllGatherValues", v)) {
		list[i] = decode[T]("ddp.AllGatherValues", b)
	}
	return list
}

// SumValues adds up a number of each rank, integers exactly, and gives all of them the sum: in the order of ranks, so that
// all get the same bits.
func SumValues[N ~int | ~int32 | ~int64 | ~uint64 | ~float32 | ~float64](g *Group, v N) N {
	var sum N
	for _, n := range AllGatherValues(g, v) {
		sum += n
	}
	return sum
}

func encode(name string, v any) []byte {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(v); err != nil {
		torch.Fail(name, "a %T can't be sent to other ranks: %v", v, err)
	}
	return b.Bytes()
}

func decode[T any](name string, b []byte) (v T) {
	if err := gob.NewDecoder(bytes.NewReader(b)).Decode(&v); err != nil {
		torch.Fail(name, "what another rank sent is no %T: %v", v, err)
	}
	return v
}
