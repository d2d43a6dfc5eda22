package dist_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/internal/ranktest"
	"github.com/golite/golite/torch"
)

func TestCollectives(t *testing.T) {
	ranktest.Everywhere(t, func(ctx context.Context, t *testing.T, g *dist.Group) error {
		r, n := float64(g.Rank()), g.Size()
		sum := float64(n*(n+1)) / 2

		assert.Equal(t, []float32{float32(sum), float32(sum)}, floats(g.AllReduce(filled(r+1, 2), dist.Sum)))
		assert.Equal(t, []float32{float32(sum / float64(n))}, floats(g.AllReduce(filled(r+1, 1), dist.Mean)))
		assert.Equal(t, []float32{float32(n)}, floats(g.AllReduce(filled(r+1, 1), dist.Max)))
		assert.Equal(t, []float32{1}, floats(g.AllReduce(filled(r+1, 1), dist.Min)))
		assert.Equal(t, int64(1<<n-1), torch.ToSlice[int64](g.AllReduce(torch.From([]int64{1 << g.Rank()}, 1),
			dist.BitOr))[0])
		assert.Equal(t, int64(n*(n+1)/2/n), torch.ToSlice[int64](g.AllReduce(torch.From([]int64{int64(r) + 1}, 1),
			dist.Mean))[0])

		last := n - 1
		assert.Equal(t, []float32{float32(last)}, floats(g.Broadcast(filled(r, 1), last)))
		reduced := g.Reduce(filled(r+1, 1), last, dist.Sum)
		if g.Rank() == last {
			assert.Equal(t, []float32{float32(sum)}, floats(reduced))
		} else {
			assert.Equal(t, []float32{float32(r + 1)}, floats(reduced), "others keep theirs")
		}
		g.Barrier()
		return nil
	})
}

func TestGatherAndScatter(t *testing.T) {
	ranktest.Everywhere(t, func(ctx context.Context, t *testing.T, g *dist.Group) error {
		r, n := g.Rank(), g.Size()
		want := make([]float32, n)
		for i := range want {
			want[i] = float32(i)
		}
		var got []float32
		for _, x := range g.AllGather(filled(float64(r), 1)) {
			got = append(got, floats(x)...)
		}
		assert.Equal(t, want, got)
		assert.Equal(t, want, floats(g.AllGatherInto(torch.Empty(n), filled(float64(r), 1))))

		list := g.Gather(filled(float64(r), 1), 0)
		if r == 0 {
			assert.Equal(t, want, floats(torch.Cat(list, 0)))
		} else {
			assert.Nil(t, list)
		}
		var parts []*torch.Tensor
		for i := range n {
			parts = append(parts, filled(float64(10*i), 2))
		}
		own := parts
		if r != 0 {
			own = nil
		}
		assert.Equal(t, []float32{float32(10 * r), float32(10 * r)}, floats(g.Scatter(torch.Empty(2), own, 0)))
		assert.Equal(t, []float32{float32(10 * r * n), float32(10 * r * n)},
			floats(g.ReduceScatter(torch.Empty(2), parts, dist.Sum)))
		assert.Equal(t, []float32{float32(10 * r * n), float32(10 * r * n)},
			floats(g.ReduceScatterTensor(torch.Empty(2), torch.Cat(parts, 0), dist.Sum)))
		return nil
	})
}

func TestAllToAll(t *testing.T) {
	ranktest.Everywhere(t, func(ctx context.Context, t *testing.T, g *dist.Group) error {
		r, n := g.Rank(), g.Size()
		// Rank r sends i+1 numbers 10*r+i to rank i.
		var in, out []*torch.Tensor
		var lengths, mine []int
		for i := range n {
			in = append(in, filled(float64(10*r+i), i+1))
			out = append(out, torch.Empty(r+1))
			lengths, mine = append(lengths, i+1), append(mine, r+1)
		}
		g.AllToAll(out, in)
		for i, x := range out {
			assert.Equal(t, float32(10*i+r), floats(x)[r])
		}
		got := g.AllToAllSingle(torch.Empty(n*(r+1)), torch.Cat(in, 0), lengths, mine)
		assert.Equal(t, floats(torch.Cat(out, 0)), floats(got))
		return nil
	})
}

func TestSendAndReceive(t *testing.T) {
	ranktest.Everywhere(t, func(ctx context.Context, t *testing.T, g *dist.Group) error {
		if g.Size() == 1 {
			return nil
		}
		next, before := (g.Rank()+1)%g.Size(), (g.Rank()+g.Size()-1)%g.Size()
		x := torch.Empty(3)
		w := g.RecvAsync(x, before, 7)
		s := g.SendAsync(filled(float64(g.Rank()), 3), next, 7)
		if err := w.Wait(ctx); err != nil {
			return err
		}
		assert.Equal(t, float32(before), floats(x)[2])
		if err := s.Wait(ctx); err != nil {
			return err
		}
		if g.Rank() == 0 {
			seen := map[int]bool{}
			for range g.Size() - 1 {
				from := g.Recv(x, dist.AnyRank, 8)
				seen[from] = true
				assert.Equal(t, float32(from), floats(x)[0])
			}
			assert.Len(t, seen, g.Size()-1)
			return nil
		}
		g.Send(filled(float64(g.Rank()), 3), 0, 8)
		return nil
	})
}

func TestAsyncWorksEndInAnyOrder(t *testing.T) {
	ranktest.Everywhere(t, func(ctx context.Context, t *testing.T, g *dist.Group) error {
		var tensors []*torch.Tensor
		var works []*dist.Work
		for i := range 10 {
			x := filled(float64(i+g.Rank()), 1000)
			tensors = append(tensors, x)
			works = append(works, g.AllReduceAsync(x, dist.Max))
		}
		for i := len(works) - 1; i >= 0; i-- {
			if err := works[i].Wait(ctx); err != nil {
				return err
			}
			assert.True(t, works[i].Done())
			assert.Equal(t, float32(i+g.Size()-1), floats(tensors[i])[999])
		}
		return nil
	})
}

func TestTensorsThatAreNotContiguous(t *testing.T) {
	ranktest.Everywhere(t, func(ctx context.Context, t *testing.T, g *dist.Group) error {
		x := torch.Arange(6).To(torch.Float32).View(2, 3).T()
		g.AllReduce(x, dist.Sum)
		n := float32(g.Size())
		assert.Equal(t, []float32{0, 3 * n, n, 4 * n, 2 * n, 5 * n}, floats(x))
		return nil
	})
}

func TestSubGroups(t *testing.T) {
	for _, kind := range ranktest.Kinds {
		t.Run(kind, func(t *testing.T) {
			ranktest.RequireNone(t, ranktest.Run(t, kind, 3, dist.Options{}, func(ctx context.Context, g *dist.Group) error {
				odd, err := g.Sub(1)
				if err != nil {
					return err
				}
				pair, err := g.Sub(2, 0)
				if err != nil {
					return err
				}
				if g.Rank() == 1 {
					assert.Nil(t, pair)
					assert.Equal(t, []float32{1}, floats(odd.AllReduce(filled(1, 1), dist.Sum)))
					odd.Close()
				} else {
					assert.Nil(t, odd)
					assert.Equal(t, []int{2, 0}, pair.Members())
					assert.Equal(t, []float32{2}, floats(pair.AllReduce(filled(float64(g.Rank()), 1), dist.Sum)))
					assert.Equal(t, []float32{2}, floats(pair.Broadcast(filled(float64(g.Rank()), 1), 0)), "its rank 0 is rank 2")
					pair.Close()
				}
				g.Barrier()
				return nil
			}))
		})
	}
}

type greeting struct {
	Text  string
	Ranks []int
}

func TestValues(t *testing.T) {
	ranktest.Everywhere(t, func(ctx context.Context, t *testing.T, g *dist.Group) error {
		got := dist.BroadcastValue(g, greeting{fmt.Sprint("from ", g.Rank()), []int{g.Rank()}}, g.Size()-1)
		assert.Equal(t, greeting{fmt.Sprint("from ", g.Size()-1), []int{g.Size() - 1}}, got)
		for i, s := range dist.AllGatherValues(g, fmt.Sprintf("%0*d", g.Rank()+1, g.Rank())) {
			assert.Equal(t, fmt.Sprintf("%0*d", i+1, i), s)
		}
		assert.Equal(t, int64(g.Size())*(1<<62/4), dist.SumValues(g, int64(1<<62/4)))
		assert.Empty(t, g.BroadcastBytes(nil, 0))
		return nil
	})
}

func TestGradientsPassThroughAllGather(t *testing.T) {
	ranktest.Everywhere(t, func(ctx context.Context, t *testing.T, g *dist.Group) error {
		x := filled(float64(g.Rank()), 2)
		x.RequiresGrad_(true)
		parts := g.AllGatherGrad(x)
		// Rank r's loss is (r+1) times the sum of all parts: every part's gradient is 1 + 2 + ... + n.
		torch.Cat(parts, 0).Sum().MulScalar(float64(g.Rank() + 1)).Backward()
		n := g.Size()
		assert.Equal(t, []float32{float32(n * (n + 1) / 2), float32(n * (n + 1) / 2)}, floats(x.Grad()))
		return nil
	})
}

func TestArgumentsAreChecked(t *testing.T) {
	ranktest.Everywhere(t, func(ctx context.Context, t *testing.T, g *dist.Group) error {
		for name, f := range map[string]func(){
			"no such rank":    func() { g.Broadcast(filled(1, 1), g.Size()) },
			"a nil tensor":    func() { g.AllReduce(nil, dist.Sum) },
			"too few tensors": func() { g.ReduceScatter(torch.Empty(1), nil, dist.Sum) },
			"a leaf":          func() { g.AllReduce(filled(1, 1).RequiresGrad_(true), dist.Sum) },
		} {
			var te *torch.Error
			assert.ErrorAs(t, dist.Try(f), &te, name)
		}
		g.Barrier() // the group is none the worse
		return nil
	})
}

// TestCollectivesAreGloosBits compares sums of two and three ranks with recorded ones.
func TestCollectivesAreGloosBits(t *testing.T) {
	type recorded struct {
		Kind, DType, Op, Refused string
		N, World                 int
	}
	ops := map[string]dist.Op{"SUM": dist.Sum, "PRODUCT": dist.Product, "MIN": dist.Min, "MAX": dist.Max,
		"BAND": dist.BitAnd, "BOR": dist.BitOr, "BXOR": dist.BitXor}
	file := fixture.Open(t, "testdata/collectives.json.gz")
	count := 0
	for _, c := range file.Cases {
		var r recorded
		c.Decode(t, &r)
		count++
		for _, kind := range ranktest.Kinds {
			t.Run(kind+"/"+c.Name, func(t *testing.T) {
				assert.Empty(t, r.Refused)
				dtype, err := torch.ParseDType(r.DType)
				assert.NoError(t, err)
				ranktest.RequireNone(t, ranktest.Run(t, kind, r.World, dist.Options{},
					func(ctx context.Context, g *dist.Group) error {
						n := r.N
						if r.Kind == "reduce_scatter" {
							n *= r.World
						}
						o := torch.Options{Generator: torch.NewGenerator(uint64(c.Seed) + uint64(g.Rank()))}
						var x *torch.Tensor
						if dtype.IsFloating() {
							x = o.Randn(n).To(dtype)
						} else {
							x = o.RandInt(-50, 50, n).To(dtype)
						}
						switch r.Kind {
						case "all_reduce":
							g.AllReduce(x, ops[r.Op])
						case "reduce":
							if g.Reduce(x, 0, ops[r.Op]); g.Rank() != 0 {
								return nil
							}
						case "reduce_scatter":
							x = g.ReduceScatterTensor(torch.Empty(r.N), x, ops[r.Op])
						}
						c.Equal(t, fmt.Sprintf("result.%d", g.Rank()), fixtureOf(x))
						return nil
					}))
			})
		}
	}
	assert.Equal(t, 34, count)
}
