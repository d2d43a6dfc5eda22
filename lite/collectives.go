package lite

import (
	"github.com/golite/golite/ddp"
	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/internal/wire"
	"github.com/golite/golite/torch"
)

// AllReduce combines a tensor of equal shape over all ranks, in place, and returns it: the mean by default
// (torch.distributed.all_reduce). Integers are averaged by dividing the sum, cut towards zero. Alone it does nothing.
func (l *Lite) AllReduce(t *torch.Tensor, op ...dist.Op) *torch.Tensor {
	o := dist.Mean
	if len(op) > 1 {
		torch.Fail("lite.AllReduce", "want at most one dist.Op, got %d", len(op))
	}
	if len(op) == 1 {
		o = op[0]
	}
	if l.rank.WorldSize > 1 {
		l.group.AllReduce(t, o)
	}
	return t
}

// Barrier waits until all ranks have called it (torch.distributed.barrier).
func (l *Lite) Barrier() {
	if l.rank.WorldSize > 1 {
		l.group.Barrier()
	}
}

// RankZeroFirst runs f on the first rank of each node while the others of the node wait, and then on them: for what is
// downloaded or built once and read by all. However long f takes on the first rank, Config.Timeout doesn't end the wait
// (Fabric.rank_zero_first waits for 10,000 days); a lost rank and the end of the run do. Every rank gets its own f's error.
func (l *Lite) RankZeroFirst(f func() error) (err error) {
	if f == nil {
		return errNoFunction("lite.RankZeroFirst")
	}
	if l.rank.LocalRank == 0 {
		l.group.WithoutTimeout(func() { err = f() })
		return err
	}
	l.group.WithoutTimeout(nil)
	return f()
}

// Sum adds up a number of each rank, exactly for integers, and gives all of them the sum.
func Sum[N ~int | ~int64 | ~float64](l *Lite, v N) N {
	if l.rank.WorldSize == 1 {
		return v
	}
	var sum N
	for _, n := range AllGather(l, v) {
		sum += n // in the order of ranks, so that all get the same bits
	}
	return sum
}

// Broadcast gives every rank the value of rank src: a *torch.Tensor, or any Go value, with tensors wherever they stand in it,
// which arrive on the rank's device. What an interface holds travels with its type if that is made of Go's own types
// (map[string]any, []float64); another type needs gob.Register. What can't be sent panics with a *torch.Error that names it: a
// channel, a function, an unexported field, which would be lost (give the type MarshalBinary and UnmarshalBinary then).
func Broadcast[T any](l *Lite, v T, src int) T {
	if src < 0 || src >= l.rank.WorldSize {
		torch.Fail("lite.Broadcast", "there is no rank %d among %d", src, l.rank.WorldSize)
	}
	if l.rank.WorldSize == 1 {
		return v
	}
	var mine []byte
	if l.rank.GlobalRank == src {
		mine = wire.Pack("lite.Broadcast", v)
	}
	return arrived[T](l, "lite.Broadcast", l.group.BroadcastBytes(mine, src))
}

// AllGather gives every rank the values of all, in the order of ranks: what Broadcast can send, tensors among it, whose
// shapes may differ from rank to rank. Alone it gives the one value. Gradients don't pass through: AllGatherGrad carries them.
func AllGather[T any](l *Lite, v T) []T {
	if l.rank.WorldSize == 1 {
		return []T{v}
	}
	out := make([]T, 0, l.rank.WorldSize)
	for _, b := range l.group.AllGatherBytes(wire.Pack("lite.AllGather", v)) {
		out = append(out, arrived[T](l, "lite.AllGather", b))
	}
	return out
}

// arrived reads what a rank sent, onto this rank's device.
func arrived[T any](l *Lite, operation string, b []byte) T {
	return ToDevice(l, wire.Unpack[T](operation, b))
}

// AllGatherGrad gives every rank the tensors of all, stacked along a new first dimension (with one rank, too), and
// carries gradients: the gradient of t is the sum, over all ranks, of the gradients of t's copies (Fabric's
// all_gather(sync_grads=True)). All ranks' tensors have one shape, and all ranks run backward.
func (l *Lite) AllGatherGrad(t *torch.Tensor) *torch.Tensor {
	if l.rank.WorldSize == 1 {
		return torch.Stack([]*torch.Tensor{t}, 0)
	}
	return torch.Stack(l.group.AllGatherGrad(t), 0)
}

// Group returns the process group of the run's ranks, for what package ddp does beyond Lite's own methods: sub-groups
// (Group.Sub), every kind of collective, batch normalisation over all ranks:
//
//	net := NewNet()
//	ddp.ConvertSyncBatchNorm(net, l.Group())
//	model, err := lite.Setup(l, net, net.Forward, opt)
//
// Lite's own collectives go through the same group: all ranks make all calls in the same order. A rank alone has a group
// of one, so that a program needs no second way. The run closes it.
func (l *Lite) Group() *dist.Group {
	return l.group
}

// Join runs f, a loop in which m trains on batches of which ranks may have different numbers: a rank whose f has returned
// takes part in the others' steps until all have ended, and all end with the parameters of one that trained longest
// (torch.distributed.algorithms.Join). All ranks call it. In f ranks meet in m's forward and backward passes alone: no other
// model trains there, and no other collective is made. On one rank, or for a model without anything to train, it just runs f.
//
// Loaders that were set up give all ranks the same number of batches by themselves, unless LoaderOptions.Exact is set.
func (l *Lite) Join(m Handle, f func(), opts ...ddp.JoinOptions) {
	if f == nil {
		torch.Fail("lite.Join", "the function is nil")
	}
	h := handleOf(m, "Join")
	o := options.Must("lite.Join", opts, torch.Fail)
	if h.joiner == nil {
		f()
		return
	}
	h.joiner.Join(f, o)
}
