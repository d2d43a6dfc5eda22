package lite

import (
	"bytes"
	"encoding/gob"

	"github.com/golite/golite/ddp"
	"github.com/golite/golite/torch"
)

// AllReduce combines a tensor of equal shape over all ranks, in place, and returns it: the mean by default
// (torch.distributed.all_reduce). Integers are averaged by dividing the sum, cut towards zero. Alone it does nothing.
func (l *Lite) AllReduce(t *torch.Tensor, op ...ddp.Op) *torch.Tensor {
	o := ddp.Mean
	if len(op) > 1 {
		torch.Fail("lite.AllReduce", "want at most one ddp.Op, got %d", len(op))
	}
	if len(op) == 1 {
		o = op[0]
	}
	if l.peers != nil {
		l.peers.allReduce(t, o)
	}
	return t
}

// Barrier waits until all ranks have called it (torch.distributed.barrier).
func (l *Lite) Barrier() {
	if l.peers != nil {
		l.peers.barrier()
	}
}

// RankZeroFirst runs f on the first rank of each node while the others of the node wait, and then on them: for what is
// downloaded or built once and read by all.
func (l *Lite) RankZeroFirst(f func() error) error {
	var err error
	if l.place.local == 0 {
		err = f()
		l.Barrier()
		return err
	}
	l.Barrier()
	return f()
}

// Sum adds up a number of each rank, exactly for integers, and gives all of them the sum.
func Sum[N ~int | ~int64 | ~float64](l *Lite, v N) N {
	if l.peers == nil {
		return v
	}
	var sum N
	for _, n := range AllGather(l, v) {
		sum += n // in the order of ranks, so that all get the same bits
	}
	return sum
}

// Broadcast gives every rank the value of rank src. Any type that encoding/gob can encode will do, and *torch.Tensor.
func Broadcast[T any](l *Lite, v T, src int) T {
	if src < 0 || src >= l.place.world {
		torch.Fail("lite.Broadcast", "there is no rank %d among %d", src, l.place.world)
	}
	if l.peers == nil {
		return v
	}
	if t, ok := any(v).(*torch.Tensor); ok {
		return any(unpackTensor(l, l.peers.broadcast(packTensor(t, l.place.global == src), src))).(T)
	}
	var mine []byte
	if l.place.global == src {
		mine = encode("lite.Broadcast", v)
	}
	return decode[T]("lite.Broadcast", l.peers.broadcast(mine, src))
}

// AllGather gives every rank the values of all, in the order of ranks. Any type that encoding/gob can encode will do,
// and *torch.Tensor, whose shapes may differ from rank to rank. Alone it gives the one value. Gradients don't pass
// through: AllGatherGrad carries them.
func AllGather[T any](l *Lite, v T) []T {
	if l.peers == nil {
		return []T{v}
	}
	if t, ok := any(v).(*torch.Tensor); ok {
		out := make([]T, 0, l.place.world)
		for _, b := range l.peers.exchange(packTensor(t, true)) {
			out = append(out, any(unpackTensor(l, b)).(T))
		}
		return out
	}
	out := make([]T, 0, l.place.world)
	for _, b := range l.peers.exchange(encode("lite.AllGather", v)) {
		out = append(out, decode[T]("lite.AllGather", b))
	}
	return out
}

// AllGatherGrad gives every rank the tensors of all, stacked along a new first dimension (with one rank, too), and
// carries gradients: the gradient of t is the sum, over all ranks, of the gradients of t's copies (Fabric's
// all_gather(sync_grads=True)). All ranks' tensors have one shape, and all ranks run backward.
func (l *Lite) AllGatherGrad(t *torch.Tensor) *torch.Tensor {
	if l.peers == nil {
		return torch.Stack([]*torch.Tensor{t}, 0)
	}
	return torch.Stack(l.peers.g.AllGatherGrad(t), 0)
}

// wireTensor is a tensor on its way to another rank.
type wireTensor struct {
	DType torch.DType
	Shape []int
	Data  []byte
}

func packTensor(t *torch.Tensor, mine bool) []byte {
	if !mine || t == nil {
		return nil
	}
	return encode("lite.AllGather", wireTensor{t.DType(), t.Shape(), t.ToBytes()})
}

func unpackTensor(l *Lite, b []byte) *torch.Tensor {
	if len(b) == 0 {
		return nil
	}
	w := decode[wireTensor]("lite.AllGather", b)
	return ToDevice(l, torch.FromBytes(w.Data, w.DType, w.Shape...))
}

func encode(operation string, v any) []byte {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(v); err != nil {
		torch.Fail(operation, "a %T can't be sent to other ranks: %v", v, err)
	}
	return b.Bytes()
}

func decode[T any](operation string, b []byte) (v T) {
	if err := gob.NewDecoder(bytes.NewReader(b)).Decode(&v); err != nil {
		torch.Fail(operation, "what another rank sent is no %T: %v", v, err)
	}
	return v
}
