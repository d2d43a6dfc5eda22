package dist_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/ranktest"
	"github.com/golite/golite/torch"
)

// row makes a rank's tensor of n elements: rank r's i-th is 10r + i + 1.
func row(g *dist.Group, n int) *torch.Tensor {
	return torch.Arange(float64(n)).AddScalar(float64(10*g.Rank() + 1)).To(torch.Float32)
}

// rows are n of them, one after the other, as rank r has them for rank i: 100r + 10i + 1 and so on.
func rows(g *dist.Group, n int) []*torch.Tensor {
	list := make([]*torch.Tensor, g.Size())
	for i := range list {
		list[i] = torch.Arange(float64(n)).AddScalar(float64(100*g.Rank() + 10*i + 1)).To(torch.Float32)
	}
	return list
}

// now and later are what a call gives: its tensors, and the work that they are to wait for.
func now(out ...*torch.Tensor) ([]*torch.Tensor, *dist.Work)                 { return out, nil }
func later(w *dist.Work, out ...*torch.Tensor) ([]*torch.Tensor, *dist.Work) { return out, w }

// calls are all kinds of collectives, at once and in the background, and what comes out on a rank of n.
var calls = map[string]struct {
	call, async func(g *dist.Group) ([]*torch.Tensor, *dist.Work)
	want        func(r, n int) []float32 // of two elements a tensor
}{
	"AllReduce": {
		func(g *dist.Group) ([]*torch.Tensor, *dist.Work) { return now(g.AllReduce(row(g, 2), dist.Sum)) },
		func(g *dist.Group) ([]*torch.Tensor, *dist.Work) {
			t := row(g, 2)
			return later(g.AllReduceAsync(t, dist.Sum), t)
		},
		func(_, n int) []float32 { return pair(float32(5*n*(n-1)+n), float32(n)) },
	},
	"Broadcast": {
		func(g *dist.Group) ([]*torch.Tensor, *dist.Work) { return now(g.Broadcast(row(g, 2), g.Size()-1)) },
		func(g *dist.Group) ([]*torch.Tensor, *dist.Work) {
			t := row(g, 2)
			return later(g.BroadcastAsync(t, g.Size()-1), t)
		},
		func(_, n int) []float32 { return pair(float32(10*(n-1)+1), 1) },
	},
	"Reduce": {
		func(g *dist.Group) ([]*torch.Tensor, *dist.Work) { return now(g.Reduce(row(g, 2), 0, dist.Max)) },
		func(g *dist.Group) ([]*torch.Tensor, *dist.Work) {
			t := row(g, 2)
			return later(g.ReduceAsync(t, 0, dist.Max), t)
		},
		func(r, n int) []float32 {
			if r == 0 {
				r = n - 1
			}
			return pair(float32(10*r+1), 1)
		},
	},
	"AllGather": {
		func(g *dist.Group) ([]*torch.Tensor, *dist.Work) { return g.AllGather(row(g, 2)), nil },
		func(g *dist.Group) ([]*torch.Tensor, *dist.Work) { return g.AllGatherAsync(row(g, 2)) },
		func(_, n int) []float32 { return each(n, func(i int) int { return 10 * i }) },
	},
	"AllGatherInto": {
		func(g *dist.Group) ([]*torch.Tensor, *dist.Work) {
			return now(g.AllGatherInto(torch.Empty(2*g.Size()), row(g, 2)))
		},
		func(g *dist.Group) ([]*torch.Tensor, *dist.Work) {
			out := torch.Empty(2 * g.Size())
			return later(g.AllGatherIntoAsync(out, row(g, 2)), out)
		},
		func(_, n int) []float32 { return each(n, func(i int) int { return 10 * i }) },
	},
	"ReduceScatter": {
		func(g *dist.Group) ([]*torch.Tensor, *dist.Work) {
			return now(g.ReduceScatter(torch.Empty(2), rows(g, 2), dist.Sum))
		},
		func(g *dist.Group) ([]*torch.Tensor, *dist.Work) {
			out := torch.Empty(2)
			return later(g.ReduceScatterAsync(out, rows(g, 2), dist.Sum), out)
		},
		func(r, n int) []float32 { return pair(float32(50*n*(n-1)+n*(10*r+1)), float32(n)) },
	},
	"ReduceScatterTensor": {
		func(g *dist.Group) ([]*torch.Tensor, *dist.Work) {
			return now(g.ReduceScatterTensor(torch.Empty(2), torch.Cat(rows(g, 2), 0), dist.Min))
		},
		func(g *dist.Group) ([]*torch.Tensor, *dist.Work) {
			out := torch.Empty(2)
			return later(g.ReduceScatterTensorAsync(out, torch.Cat(rows(g, 2), 0), dist.Min), out)
		},
		func(r, n int) []float32 { return pair(float32(10*r+1), 1) },
	},
	"Gather": {
		func(g *dist.Group) ([]*torch.Tensor, *dist.Work) { return g.Gather(row(g, 2), g.Size()-1), nil },
		func(g *dist.Group) ([]*torch.Tensor, *dist.Work) { return g.GatherAsync(row(g, 2), g.Size()-1) },
		func(r, n int) []float32 {
			if r != n-1 {
				return nil
			}
			return each(n, func(i int) int { return 10 * i })
		},
	},
	"Scatter": {
		func(g *dist.Group) ([]*torch.Tensor, *dist.Work) {
			return now(g.Scatter(torch.Empty(2), onRank0(g), 0))
		},
		func(g *dist.Group) ([]*torch.Tensor, *dist.Work) {
			out := torch.Empty(2)
			return later(g.ScatterAsync(out, onRank0(g), 0), out)
		},
		func(r, _ int) []float32 { return pair(float32(10*r+1), 1) },
	},
	"AllToAll": {
		func(g *dist.Group) ([]*torch.Tensor, *dist.Work) {
			out := empties(g)
			g.AllToAll(out, rows(g, 2))
			return out, nil
		},
		func(g *dist.Group) ([]*torch.Tensor, *dist.Work) {
			out := empties(g)
			return out, g.AllToAllAsync(out, rows(g, 2))
		},
		func(r, n int) []float32 { return each(n, func(i int) int { return 100*i + 10*r }) },
	},
	"AllToAllSingle": {
		func(g *dist.Group) ([]*torch.Tensor, *dist.Work) {
			return now(g.AllToAllSingle(torch.Empty(2*g.Size()), torch.Cat(rows(g, 2), 0), nil, nil))
		},
		func(g *dist.Group) ([]*torch.Tensor, *dist.Work) {
			out := torch.Empty(2 * g.Size())
			return later(g.AllToAllSingleAsync(out, torch.Cat(rows(g, 2), 0), nil, nil), out)
		},
		func(r, n int) []float32 { return each(n, func(i int) int { return 100*i + 10*r }) },
	},
	"Send and Recv": {
		func(g *dist.Group) ([]*torch.Tensor, *dist.Work) {
			x := torch.Empty(2)
			s := g.SendAsync(row(g, 2), (g.Rank()+1)%g.Size(), 3)
			if from := g.Recv(x, dist.AnyRank, 3); from != (g.Rank()+g.Size()-1)%g.Size() {
				torch.Fail("test", "it came from %d", from)
			}
			return []*torch.Tensor{x}, s
		},
		func(g *dist.Group) ([]*torch.Tensor, *dist.Work) {
			x := torch.Empty(2)
			w := g.RecvAsync(x, (g.Rank()+g.Size()-1)%g.Size(), 3)
			g.Send(row(g, 2), (g.Rank()+1)%g.Size(), 3)
			return []*torch.Tensor{x}, w
		},
		func(r, n int) []float32 { return pair(float32(10*((r+n-1)%n)+1), 1) },
	},
	"Barrier": {
		func(g *dist.Group) ([]*torch.Tensor, *dist.Work) { g.Barrier(); return nil, nil },
		func(g *dist.Group) ([]*torch.Tensor, *dist.Work) { return nil, g.BarrierAsync() },
		func(r, n int) []float32 { return nil },
	},
}

// pair is a number and the next, which is so much more.
func pair(first, more float32) []float32 { return []float32{first, first + more} }

// each is a pair of each rank.
func each(n int, first func(rank int) int) (list []float32) {
	for i := range n {
		list = append(list, pair(float32(first(i)+1), 1)...)
	}
	return list
}

func onRank0(g *dist.Group) []*torch.Tensor {
	if g.Rank() != 0 {
		return nil
	}
	return rows(g, 2)
}

func empties(g *dist.Group) (list []*torch.Tensor) {
	for range g.Size() {
		list = append(list, torch.Empty(2))
	}
	return list
}

// TestEveryCollective at once and in the background, over both kinds of group, with what comes out.
func TestEveryCollective(t *testing.T) {
	for _, kind := range ranktest.AllKinds {
		for _, n := range []int{2, 3} {
			ranktest.RequireNone(t, ranktest.Run(t, kind, n, dist.Options{}, func(ctx context.Context, g *dist.Group) error {
				for _, name := range slices.Sorted(maps.Keys(calls)) { // in one order on all ranks
					for i, f := range []func(g *dist.Group) ([]*torch.Tensor, *dist.Work){calls[name].call, calls[name].async} {
						out, w := f(g)
						if w != nil {
							if err := w.Wait(ctx); err != nil {
								return fmt.Errorf("%s: %w", name, err)
							}
							assert.True(t, w.Done())
						}
						var got []float32
						for _, x := range out {
							got = append(got, floats(x)...)
						}
						assert.Equal(t, calls[name].want(g.Rank(), n), got, "%s of %d over %s, form %d, on rank %d", name, n, kind, i,
							g.Rank())
					}
				}
				return nil
			}))
		}
	}
}

// combined is what an op makes of the ranks' values.
func combined(op dist.Op, d torch.DType, values []int64) float64 {
	if d == torch.Bool {
		for i, v := range values {
			values[i] = min(v, 1)
		}
	}
	a := values[0]
	for _, b := range values[1:] {
		switch op {
		case dist.Sum, dist.Mean:
			a += b
		case dist.Product:
			a *= b
		case dist.Min:
			a = min(a, b)
		case dist.Max:
			a = max(a, b)
		case dist.BitAnd:
			a &= b
		case dist.BitOr:
			a |= b
		case dist.BitXor:
			a ^= b
		}
	}
	switch {
	case d == torch.Bool:
		return float64(min(a, 1))
	case op != dist.Mean:
		return float64(a)
	case d.IsFloating() || d.IsComplex():
		return float64(a) / float64(len(values))
	}
	return float64(a / int64(len(values)))
}

// allowed reports whether an op has a meaning for a type.
func allowed(op dist.Op, d torch.DType) bool {
	switch {
	case d.IsComplex():
		return op <= dist.Mean
	case d.IsFloating():
		return op < dist.BitAnd
	}
	return d != torch.Bool || op != dist.Mean
}

// TestEveryOpOfEveryType in each collective that combines, over both kinds of group: small numbers, which all types
// hold. What has no meaning is refused by all ranks, and the group goes on.
func TestEveryOpOfEveryType(t *testing.T) {
	const n = 2 // of which a mean is exact in all floating types
	types := []torch.DType{torch.Float32, torch.Float64, torch.Float16, torch.BFloat16, torch.UInt8, torch.Int8,
		torch.Int16, torch.Int32,
		torch.Int64, torch.Bool, torch.Complex64, torch.Complex128}
	collectives := map[string]func(g *dist.Group, x *torch.Tensor, op dist.Op) *torch.Tensor{
		"AllReduce": func(g *dist.Group, x *torch.Tensor, op dist.Op) *torch.Tensor { return g.AllReduce(x, op) },
		"Reduce":    func(g *dist.Group, x *torch.Tensor, op dist.Op) *torch.Tensor { return g.Reduce(x, 0, op) },
		"ReduceScatter": func(g *dist.Group, x *torch.Tensor, op dist.Op) *torch.Tensor {
			return g.ReduceScatter(torch.Options{DType: x.DType()}.Empty(4), []*torch.Tensor{x, x}, op)
		},
		"ReduceScatterTensor": func(g *dist.Group, x *torch.Tensor, op dist.Op) *torch.Tensor {
			return g.ReduceScatterTensor(torch.Options{DType: x.DType()}.Empty(4), torch.Cat([]*torch.Tensor{x, x}, 0), op)
		},
	}
	for _, kind := range ranktest.Kinds {
		ranktest.RequireNone(t, ranktest.Run(t, kind, n, dist.Options{}, func(_ context.Context, g *dist.Group) error {
			for _, name := range slices.Sorted(maps.Keys(collectives)) {
				for _, d := range types {
					for op := dist.Sum; op <= dist.BitXor; op++ {
						what := fmt.Sprintf("%s of %v with %v over %s", name, d, op, kind)
						x := torch.Arange(4).AddScalar(float64(g.Rank())).To(d) // 0 1 2 3 and 1 2 3 4
						var got *torch.Tensor
						err := dist.Try(func() { got = collectives[name](g, x, op) })
						if !allowed(op, d) {
							var te *torch.Error
							assert.ErrorAs(t, err, &te, what)
							continue
						}
						if err != nil {
							return fmt.Errorf("%s: %w", what, err)
						}
						if name == "Reduce" && g.Rank() != 0 {
							continue
						}
						var want []float64
						for i := range int64(4) {
							want = append(want, combined(op, d, []int64{i, i + 1}))
						}
						if d == torch.Bool {
							assert.Less(t, slices.Max(got.ToBytes()), byte(2), "%s: a byte that is no bool", what)
						}
						if d.IsComplex() {
							got = got.ViewAsReal().Select(-1, 0)
						}
						assert.Equal(t, want, torch.ToSlice[float64](got.To(torch.Float64)), what)
					}
				}
			}
			return nil
		}))
	}
}

// TestEveryTypeTravels: what is only moved may be of any type, in any shape.
func TestEveryTypeTravels(t *testing.T) {
	ranktest.Everywhere(t, func(ctx context.Context, t *testing.T, g *dist.Group) error {
		last := g.Size() - 1
		for _, d := range []torch.DType{torch.Bool, torch.Int16, torch.UInt16, torch.UInt32, torch.UInt64, torch.Complex64,
			torch.Float8E5M2} {
			x := torch.Arange(4).AddScalar(float64(g.Rank())).To(d)
			other := torch.Arange(4).AddScalar(float64(last)).To(d)
			for i, part := range g.AllGather(x) {
				assert.Equal(t, torch.Arange(4).AddScalar(float64(i)).To(d).ToBytes(), part.ToBytes(), "all_gather of %v", d)
				assert.Equal(t, d, part.DType())
			}
			lengths := make([]int, g.Size())
			lengths[last] = 4
			own := make([]int, g.Size())
			if g.Rank() == last {
				for i := range own {
					own[i] = 4
				}
			}
			got := g.AllToAllSingle(torch.Options{DType: d}.Empty(sum(own)), x, lengths, own)
			if g.Rank() == last { // everybody sent it all of theirs
				assert.Equal(t, other.ToBytes(), got.ToBytes()[4*last*d.Size():], "all_to_all of %v", d)
			}
			scalar := g.Broadcast(x.Select(0, 1).Clone(), last)
			assert.Equal(t, other.Select(0, 1).ToBytes(), scalar.ToBytes(), "broadcast of one %v", d)
			table := x.View(2, 2).T() // not contiguous
			assert.Equal(t, other.View(2, 2).T().ToBytes(), g.Broadcast(table, last).ToBytes(), "broadcast of %v", d)
		}
		return nil
	})
}

func sum(list []int) (s int) {
	for _, n := range list {
		s += n
	}
	return s
}

// TestGradientsPassThroughAllReduce: those of a sum are summed, those of a mean averaged.
func TestGradientsPassThroughAllReduce(t *testing.T) {
	ranktest.Everywhere(t, func(ctx context.Context, t *testing.T, g *dist.Group) error {
		n := float32(g.Size())
		for _, op := range []dist.Op{dist.Sum, dist.Mean} {
			by := map[dist.Op]float32{dist.Sum: 1, dist.Mean: 1 / n}[op]
			x := filled(float64(g.Rank()+1), 2)
			x.RequiresGrad_(true)
			y := g.AllReduceGrad(x, op)
			total := n * (n + 1) / 2 * by
			assert.InDelta(t, total, floats(y)[1], 1e-6)
			y.Sum().MulScalar(float64(g.Rank() + 1)).Backward() // rank r's loss is r+1 times it
			assert.InDelta(t, total, floats(x.Grad())[0], 1e-6)
			assert.Equal(t, []float32{float32(g.Rank() + 1), float32(g.Rank() + 1)}, floats(x), "the input stays as it is")
		}
		return nil
	})
}
