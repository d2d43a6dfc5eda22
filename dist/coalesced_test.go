package dist_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/ranktest"
	"github.com/golite/golite/torch"
)

// partShapes are those of the parts in the lists: none at all, scalars, odd ones, and one of several pieces.
var partShapes = [][]int{{3}, {0}, {}, {5, 7}, {400_001}, {2, 0}, {1}}

// TestCoalescedIsOneByOne: each of the list has the bits of a call of its own, at once and in the background,
// contiguous or not.
func TestCoalescedIsOneByOne(t *testing.T) {
	for _, kind := range append(ranktest.AllKinds[:3:3], "sockets") {
		for _, ranks := range []int{1, 2, 3} {
			for _, d := range []torch.DType{torch.Float32, torch.BFloat16, torch.Int16} {
				t.Run(fmt.Sprintf("%s/%d/%v", kind, ranks, d), func(t *testing.T) {
					ranktest.RequireNone(t, run(t, kind, ranks, func(ctx context.Context, g *dist.Group) error {
						gen := torch.NewGenerator(uint64(3 + g.Rank()))
						for _, form := range []string{"at once", "async", "strided"} {
							if err := oneByOne(ctx, g, gen, d, form); err != nil {
								return fmt.Errorf("%s: %w", form, err)
							}
						}
						return nil
					}))
				})
			}
		}
	}
}

func oneByOne(ctx context.Context, g *dist.Group, gen *torch.Generator, d torch.DType, form string) error {
	random := func(shape ...int) *torch.Tensor {
		x := torch.Options{Generator: gen}.Randn(shape...).MulScalar(50).To(d)
		if last := len(shape) - 1; form == "strided" && last >= 0 {
			x = torch.Cat([]*torch.Tensor{x, x}, last).Narrow(last, 0, shape[last])
		}
		return x
	}
	var sums, singles, parts, wholes, singleWholes, stacked, got, singleGot []*torch.Tensor
	for _, shape := range partShapes {
		x := random(shape...)
		sums, singles = append(sums, x), append(singles, x.Clone())
		parts = append(parts, random(shape...))
		whole := append([]int{g.Size()}, shape...)
		wholes, singleWholes = append(wholes, random(whole...)), append(singleWholes, random(whole...))
		stacked = append(stacked, random(whole...))
		got, singleGot = append(got, random(shape...)), append(singleGot, random(shape...))
	}
	for i := range partShapes {
		g.AllReduce(singles[i], dist.Sum)
		g.AllGatherInto(singleWholes[i], parts[i])
		g.ReduceScatterTensor(singleGot[i], stacked[i], dist.Sum)
	}
	if form == "async" {
		for _, w := range []*dist.Work{
			g.AllReduceCoalescedAsync(sums, dist.Sum), g.AllGatherIntoCoalescedAsync(wholes, parts),
			g.ReduceScatterTensorCoalescedAsync(got, stacked, dist.Sum),
		} {
			if err := w.Wait(ctx); err != nil {
				return err
			}
		}
	} else {
		g.AllReduceCoalesced(sums, dist.Sum)
		g.AllGatherIntoCoalesced(wholes, parts)
		g.ReduceScatterTensorCoalesced(got, stacked, dist.Sum)
	}
	for what, c := range map[string][2][]*torch.Tensor{
		"AllReduceCoalesced": {singles, sums}, "AllGatherIntoCoalesced": {singleWholes, wholes},
		"ReduceScatterTensorCoalesced": {singleGot, got},
	} {
		for i, want := range c[0] {
			if !bytes.Equal(want.ToBytes(), c[1][i].ToBytes()) {
				return fmt.Errorf("%s: tensor %d, %v, has other bits than by itself", what, i, want.Shape())
			}
		}
	}
	return nil
}

// TestCoalescedMeans, and lists of none.
func TestCoalescedMeans(t *testing.T) {
	for _, kind := range ranktest.AllKinds {
		ranktest.RequireNone(t, ranktest.Run(t, kind, 2, dist.Options{}, func(_ context.Context, g *dist.Group) error {
			a, b := filled(float64(g.Rank()), 2), filled(float64(10*g.Rank()), 1)
			g.AllReduceCoalesced([]*torch.Tensor{a, b}, dist.Mean)
			assert.Equal(t, []float32{0.5, 0.5, 5}, append(floats(a), floats(b)...), kind)
			g.AllReduceCoalesced(nil, dist.Mean)
			g.AllGatherIntoCoalesced(nil, nil)
			g.ReduceScatterTensorCoalesced(nil, nil, dist.Mean)
			before, part := a.Version(), b.Version()
			g.AllGatherIntoCoalesced([]*torch.Tensor{a}, []*torch.Tensor{b})
			assert.Greater(t, a.Version(), before, "autograd sees the write")
			assert.Equal(t, part, b.Version(), "and none where only is read")
			return nil
		}))
	}
}

// TestCoalescedListsThatAreRefused are so before anything is sent.
func TestCoalescedListsThatAreRefused(t *testing.T) {
	z := torch.Zeros
	double := torch.Options{DType: torch.Float64}.Zeros(2)
	list := func(t ...*torch.Tensor) []*torch.Tensor { return t }
	for name, c := range map[string]struct {
		want string
		call func(g *dist.Group)
	}{
		"dtypes":  {"want one dtype", func(g *dist.Group) { g.AllReduceCoalesced(list(z(2), double), dist.Sum) }},
		"nil":     {"a tensor is nil", func(g *dist.Group) { g.AllReduceCoalesced(list(z(2), nil), dist.Sum) }},
		"no bits": {"band takes integers and bools", func(g *dist.Group) { g.AllReduceCoalesced(list(z(2)), dist.BitAnd) }},
		"a leaf": {"requires a gradient", func(g *dist.Group) {
			g.AllReduceCoalesced(list(z(2).RequiresGrad_(true)),
				dist.Sum)
		}},
		"empty":  {"the list is empty", func(g *dist.Group) { g.AllReduceCoalescedAsync(nil, dist.Sum) }},
		"counts": {"got 1 and 2", func(g *dist.Group) { g.AllGatherIntoCoalesced(list(z(4)), list(z(2), z(2))) }},
		"too short": {"tensor 1 of out is [3], and the tensor [2]: want 2 times",
			func(g *dist.Group) { g.AllGatherIntoCoalesced(list(z(4), z(3)), list(z(2), z(2))) }},
		"too long": {"tensor 0 of the list is [5], and out [2]: want 2 times",
			func(g *dist.Group) { g.ReduceScatterTensorCoalesced(list(z(2)), list(z(5)), dist.Sum) }},
	} {
		for _, kind := range ranktest.AllKinds {
			t.Run(name+"/"+kind, func(t *testing.T) {
				ranktest.RequireNone(t, ranktest.Run(t, kind, 2, dist.Options{}, func(_ context.Context, g *dist.Group) error {
					if g.Rank() == 0 {
						require.ErrorContains(t, torch.Try(func() { c.call(g) }), c.want)
					}
					g.Barrier()
					return nil
				}))
			})
		}
	}
}
