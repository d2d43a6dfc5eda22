package dist_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/golite/golite/ddp"
	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/ranktest"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

// One line makes a backend known.
func init() { dist.RegisterBackend("table", newTable) }

// tables are those of the groups under test, by world: the ranks of one find each other by what the test put here.
var tables = sync.Map{}

// table is where goroutine ranks put what they bring to a collective, for each other to read.
type table struct {
	size   int
	mu     sync.Mutex
	brings [][]*torch.Tensor
	left   int           // ranks that have not read yet
	full   chan struct{} // closes when all have brought theirs
	empty  chan struct{} // closes when all have read
	broken chan struct{}
	once   sync.Once
	fail   error // of the next collective

	calls, aborts, closed atomic.Int32
}

func newTableFor(size int) *table {
	t := &table{size: size, broken: make(chan struct{})}
	t.clear()
	return t
}

func (t *table) clear() {
	t.brings, t.left, t.full, t.empty = make([][]*torch.Tensor, t.size), 0, make(chan struct{}), make(chan struct{})
}

// backend is one rank of a table.
type backend struct {
	*table
	rank int
}

func newTable(g *dist.Group, d torch.Device) (dist.Backend, error) {
	if d != torch.CPU {
		return nil, fmt.Errorf("no table for %v", d)
	}
	t, _ := tables.LoadOrStore(fmt.Sprint(g.Size(), g.Members()), newTableFor(g.Size()))
	return backend{t.(*table), g.Rank()}, nil
}

// meet gives all ranks what each has brought, while read runs.
func (b backend) meet(brings []*torch.Tensor, read func(all [][]*torch.Tensor)) error {
	b.calls.Add(1)
	b.mu.Lock()
	if b.fail != nil {
		defer b.mu.Unlock()
		return b.fail
	}
	b.brings[b.rank] = nil
	for _, t := range brings {
		b.brings[b.rank] = append(b.brings[b.rank], t.Clone())
	}
	full, empty := b.full, b.empty
	if b.left++; b.left == b.size {
		close(full)
	}
	b.mu.Unlock()
	select {
	case <-full:
	case <-b.broken:
		return errors.New("the table was broken")
	}
	read(b.brings)
	b.mu.Lock()
	if b.left--; b.left == 0 {
		b.clear()
		close(empty)
	}
	b.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-b.broken:
		return errors.New("the table was broken")
	}
}

func (b backend) sum(all [][]*torch.Tensor, i int, op dist.Op) *torch.Tensor {
	sum := all[0][i].Clone()
	for _, other := range all[1:] {
		sum.Add_(other[i])
	}
	if op == dist.Mean {
		sum.DivScalar_(float64(b.size))
	}
	return sum
}

func (b backend) AllReduce(t *torch.Tensor, op dist.Op) error {
	return b.meet([]*torch.Tensor{t}, func(all [][]*torch.Tensor) { t.Copy_(b.sum(all, 0, op)) })
}

func (b backend) Broadcast(t *torch.Tensor, src int) error {
	return b.meet([]*torch.Tensor{t}, func(all [][]*torch.Tensor) { t.Copy_(all[src][0]) })
}

func (b backend) AllGather(out []*torch.Tensor, t *torch.Tensor) error {
	return b.meet([]*torch.Tensor{t}, func(all [][]*torch.Tensor) {
		for r, o := range out {
			o.Copy_(all[r][0])
		}
	})
}

func (b backend) ReduceScatter(out *torch.Tensor, in []*torch.Tensor, op dist.Op) error {
	return b.meet(in, func(all [][]*torch.Tensor) { out.Copy_(b.sum(all, b.rank, op)) })
}

func (b backend) Abort(string) {
	b.aborts.Add(1)
	b.once.Do(func() { close(b.broken) })
}

func (b backend) Close() { b.closed.Add(1) }

// overTables runs ranks whose groups have tables for the CPU, over both kinds of transport.
func overTables(t *testing.T, f func(ctx context.Context, g *dist.Group) error, check func(t *testing.T, whole *table,
	errs []error)) {
	for _, kind := range ranktest.Kinds {
		t.Run(kind, func(t *testing.T) {
			tables.Clear()
			whole := newTableFor(3)
			tables.Store(fmt.Sprint(3, []int(nil)), whole)
			start := time.Now()
			errs := ranktest.Run(t, kind, 3, dist.Options{}, func(ctx context.Context, g *dist.Group) error {
				if err := g.Attach("table", torch.CPU); err != nil {
					return err
				}
				return f(ctx, g)
			})
			require.Less(t, time.Since(start), freedIn)
			check(t, whole, errs)
			require.EqualValues(t, 3, whole.closed.Load())
		})
	}
}

// TestABackendOfOnesOwn carries all collectives that four can be made of, the Reducer's, and those of sub-groups.
func TestABackendOfOnesOwn(t *testing.T) {
	overTables(t, func(ctx context.Context, g *dist.Group) error {
		mine, r := float64(g.Rank()+1), g.Rank()
		assert.Equal(t, []float32{6, 6}, floats(g.AllReduce(filled(mine, 2), dist.Sum)))
		assert.Equal(t, []float32{2}, floats(g.AllReduce(filled(mine, 1), dist.Mean)))
		assert.Equal(t, []float32{2}, floats(g.Broadcast(filled(mine, 1), 1)))
		want := []float32{float32(mine)}
		if r == 2 {
			want = []float32{6}
		}
		assert.Equal(t, want, floats(g.Reduce(filled(mine, 1), 2, dist.Sum)))
		for i, o := range g.AllGather(filled(mine, 1)) {
			assert.Equal(t, []float32{float32(i + 1)}, floats(o))
		}
		assert.Equal(t, []float32{1, 2, 3}, floats(g.AllGatherInto(torch.Zeros(3), filled(mine, 1))))
		list := []*torch.Tensor{filled(mine, 1), filled(10*mine, 1), filled(100*mine, 1)}
		part := []float32{[]float32{6, 60, 600}[r]}
		assert.Equal(t, part, floats(g.ReduceScatter(torch.Zeros(1), list, dist.Sum)))
		assert.Equal(t, part, floats(g.ReduceScatterTensor(torch.Zeros(1), torch.Cat(list, 0), dist.Sum)))
		sums, wholes, parts := []*torch.Tensor{filled(mine, 2), filled(mine, 1)}, []*torch.Tensor{torch.Zeros(3)},
			[]*torch.Tensor{torch.Zeros(1)}
		g.AllReduceCoalesced(sums, dist.Sum)
		g.AllGatherIntoCoalesced(wholes, []*torch.Tensor{filled(mine, 1)})
		g.ReduceScatterTensorCoalesced(parts, []*torch.Tensor{torch.Cat(list, 0)}, dist.Sum)
		assert.Equal(t, []float32{6, 6, 6, 1, 2, 3, part[0]},
			floats(torch.Cat([]*torch.Tensor{sums[0], sums[1], wholes[0], parts[0]}, 0)))
		gathered := g.Gather(filled(mine, 1), 1)
		assert.Equal(t, r == 1, len(gathered) == 3)
		for i, o := range gathered {
			assert.Equal(t, []float32{float32(i + 1)}, floats(o))
		}
		if r != 1 {
			list = nil
		}
		assert.Equal(t, []float32{[]float32{2, 20, 200}[r]}, floats(g.Scatter(torch.Zeros(1), list, 1)))
		assert.Equal(t, 6, dist.SumValues(g, r+1))
		work := g.AllReduceAsync(filled(mine, 1), dist.Sum)
		assert.NoError(t, work.Wait(ctx))
		g.Barrier()

		sub, err := g.Sub(2, 0)
		if err != nil {
			return err
		}
		if sub != nil {
			assert.Equal(t, []float32{4}, floats(sub.AllReduce(filled(mine, 1), dist.Sum)))
		}

		net := nn.NewLinear(2, 1)
		d, err := ddp.Wrap(ctx, g, net)
		if err != nil {
			return err
		}
		defer d.Close()
		out := d.Forward(func() *torch.Tensor { return net.Forward(filled(mine, 1, 2)) })
		g.TranslateErrors(func() { out.Sum().Backward() })
		assert.Equal(t, []float32{2, 2}, floats(net.Weight.Grad()), "the mean of 1, 2 and 3")
		assert.ErrorContains(t, dist.Try(func() { g.Send(filled(1, 1), (r+1)%3, 0) }), "send")
		return g.Leave()
	}, func(t *testing.T, whole *table, errs []error) {
		ranktest.RequireNone(t, errs)
		require.Greater(t, whole.calls.Load(), int32(3*15))
	})
}

// TestABackendThatFails ends the group on all ranks, and an abort frees those that wait in one.
func TestABackendThatFails(t *testing.T) {
	for name, c := range map[string]struct {
		f    func(g *dist.Group, whole *table)
		says string
	}{
		"an error": {func(_ *dist.Group, whole *table) {
			whole.mu.Lock()
			whole.fail = errors.New("the wire is cut")
			whole.mu.Unlock()
		}, "backend table: the wire is cut"},
		"an abort": {func(g *dist.Group, _ *table) { g.Abort("enough") }, "rank 1 aborted the group: enough"},
	} {
		t.Run(name, func(t *testing.T) {
			overTables(t, func(_ context.Context, g *dist.Group) error {
				g.Barrier()
				if g.Rank() == 1 {
					whole, _ := tables.Load(fmt.Sprint(3, []int(nil)))
					time.Sleep(20 * time.Millisecond) // the others wait in the sum
					c.f(g, whole.(*table))
				}
				g.AllReduce(filled(1, 2), dist.Sum)
				return nil
			}, func(t *testing.T, whole *table, errs []error) {
				said := slices.ContainsFunc(rankErrors(t, errs),
					func(e *dist.RankError) bool { return assert.ObjectsAreEqual("AllReduce", e.Op) })
				require.True(t, said)
				for _, err := range errs {
					require.ErrorContains(t, err, c.says)
					require.ErrorContains(t, err, "backend_test.go:")
				}
				require.Positive(t, whole.aborts.Load())
			})
		})
	}
}

func TestAttachRefuses(t *testing.T) {
	g := dist.Alone(t.Context())
	defer g.Close()
	require.ErrorContains(t, g.Attach("pigeon", torch.CPU), `there is no backend "pigeon": want nccl, table, or one of dist.RegisterBackend`)
	g.Barrier()
	require.ErrorContains(t, g.Attach("table", torch.Meta), "dist.Group.Attach: table: no table for meta")
	for _, name := range []string{"table", "nccl", "gloo", ""} {
		require.ErrorContains(t, torch.Try(func() { dist.RegisterBackend(name, newTable) }),
			"there is a backend "+fmt.Sprintf("%q", name)+" already")
	}
}
