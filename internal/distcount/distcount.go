// Package distcount counts what a rank of a large world would send, without the world: its group runs the real code of
// ddp and ddp/shard on one rank, whose collectives go through a backend that sends nothing and takes every other rank
// for one with the same tensors.
//
//	g, counter, err := distcount.Rank(ctx, 1024)
//	defer g.Close()
//	before := counter.Total()
//	... // one step
//	sent := counter.Total().Minus(before) // bytes and messages of this rank
//
// Bytes and messages are those of ring algorithms, as NCCL's and Gloo's are for large tensors: of B bytes in all, an
// all-reduce sends 2 (N-1)/N B in 2 (N-1) messages, an all-gather and a reduce-scatter (N-1)/N B in N-1, a broadcast B
// in one.
package distcount

import (
	"context"
	"sync"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/torch"
)

// Sent is what one rank has sent.
type Sent struct {
	Calls    int   // collectives
	Messages int   // to another rank
	Bytes    int64 // in them
}

// Minus is what came after before.
func (s Sent) Minus(before Sent) Sent {
	return Sent{s.Calls - before.Calls, s.Messages - before.Messages, s.Bytes - before.Bytes}
}

// Counter counts a rank's collectives. It is safe for use by several goroutines.
type Counter struct {
	rank, world int
	mu          sync.Mutex
	byKind      map[string]Sent
}

// Total is what was sent so far.
func (c *Counter) Total() (all Sent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.byKind {
		all.Calls += s.Calls
		all.Messages += s.Messages
		all.Bytes += s.Bytes
	}
	return all
}

// Kind is what was sent by collectives of a kind: all_reduce, broadcast, all_gather or reduce_scatter.
func (c *Counter) Kind(name string) Sent {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byKind[name]
}

// count enters a collective whose tensors have bytes in all, of which a rank's share is a world-th.
func (c *Counter) count(kind string, passes int, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.byKind[kind]
	s.Calls++
	s.Messages += passes * (c.world - 1)
	s.Bytes += int64(passes) * int64(c.world-1) * bytes / int64(c.world)
	c.byKind[kind] = s
}

// counters are those of groups that Rank is making.
var counters sync.Map // from *dist.Group

func init() { dist.RegisterBackend("counting", attach) }

func attach(g *dist.Group, _ torch.Device) (dist.Backend, error) {
	c := &Counter{rank: g.Rank(), world: g.Size(), byKind: map[string]Sent{}}
	counters.Store(g, c)
	return backend{c}, nil
}

// Rank returns the group of rank 0 in a world of so many ranks, and what counts its collectives. Close the group and
// call end.
func Rank(ctx context.Context, world int) (g *dist.Group, c *Counter, end func(), err error) {
	w := dist.NewLocalWorld(world)
	if g, err = w.Group(ctx, 0); err != nil {
		w.Close()
		return nil, nil, nil, err
	}
	end = func() { g.Close(); w.Close() }
	if err := g.Attach("counting", torch.CPU); err != nil {
		end()
		return nil, nil, nil, err
	}
	v, _ := counters.LoadAndDelete(g)
	return g, v.(*Counter), end, nil
}

// backend is a dist.Backend that counts.
type backend struct{ *Counter }

func bytesOf(t *torch.Tensor) int64 { return int64(t.Numel()) * int64(t.DType().Size()) }

// AllReduce has every rank's tensors alike: a sum is theirs times the world.
func (b backend) AllReduce(t *torch.Tensor, op dist.Op) error {
	b.count("all_reduce", 2, bytesOf(t))
	b.sum(t, op)
	return nil
}

func (b backend) sum(t *torch.Tensor, op dist.Op) {
	if op == dist.Sum {
		t.MulScalar_(float64(b.world))
	}
}

// Broadcast has every rank's tensors alike.
func (b backend) Broadcast(t *torch.Tensor, _ int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.byKind["broadcast"]
	b.byKind["broadcast"] = Sent{s.Calls + 1, s.Messages + 1, s.Bytes + bytesOf(t)}
	return nil
}

// AllGather fills out with the own tensor.
func (b backend) AllGather(out []*torch.Tensor, t *torch.Tensor) error {
	b.count("all_gather", 1, bytesOf(t)*int64(b.world))
	for _, o := range out {
		o.Copy_(t)
	}
	return nil
}

// ReduceScatter has every rank's lists alike.
func (b backend) ReduceScatter(out *torch.Tensor, in []*torch.Tensor, op dist.Op) error {
	b.count("reduce_scatter", 1, bytesOf(out)*int64(b.world))
	out.Copy_(in[b.rank])
	b.sum(out, op)
	return nil
}

// Abort has no peer to free.
func (b backend) Abort(string) {}

// Close has nothing to end.
func (b backend) Close() {}
