package dist_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/ranktest"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// signGrad is a gradient that stands for zeros and has no memory.
func signGrad() *torch.Tensor {
	x := torch.From([]float32{1, -2}).RequiresGrad_(true)
	x.Sgn().Sum().Backward()
	return x.Grad()
}

func negated(v ...float32) *torch.Tensor {
	return aten.Call("aten::_neg_view", torch.From(v))[0].(*torch.Tensor)
}

func conjugate(v ...complex64) *torch.Tensor { return torch.From(v).Conj() }

// over runs a test over all kinds of group, with two ranks.
func over(t *testing.T, f func(t *testing.T, g *dist.Group)) {
	for _, kind := range ranktest.AllKinds {
		t.Run(kind, func(t *testing.T) {
			ranktest.RequireNone(t, ranktest.Run(t, kind, 2, dist.Options{}, func(_ context.Context, g *dist.Group) error {
				f(t, g)
				return nil
			}))
		})
	}
}

// TestTensorsWithoutPlainMemory: what is sent of a tensor are its values, whether its memory holds them or not.
func TestTensorsWithoutPlainMemory(t *testing.T) {
	over(t, func(t *testing.T, g *dist.Group) {
		first := g.Rank() == 0
		pick := func(a, b *torch.Tensor) *torch.Tensor {
			if first {
				return a
			}
			return b
		}
		got := g.AllGather(pick(signGrad(), negated(1, 2)))
		assert.Equal(t, []float32{0, 0, -1, -2}, floats(torch.Cat(got, 0)))
		all := g.AllGatherInto(torch.Empty(4), pick(negated(1, 2), signGrad()))
		assert.Equal(t, []float32{-1, -2, 0, 0}, floats(all))
		list := g.AllGather(conjugate(1+2i, 3))
		assert.Equal(t, []complex64{1 - 2i, 3}, torch.ToSlice[complex64](list[1]))

		if g.Reduce(pick(torch.Ones(2), signGrad()), 0, dist.Sum); first {
			assert.Len(t, g.Gather(signGrad(), 0), 2)
		} else {
			g.Gather(signGrad(), 0)
		}
		var parts []*torch.Tensor
		if first {
			parts = []*torch.Tensor{signGrad(), negated(3, 4)}
		}
		own := g.Scatter(torch.Empty(2), parts, 0)
		assert.Equal(t, floats(pick(torch.Zeros(2), torch.From([]float32{-3, -4}))), floats(own))
		parts = []*torch.Tensor{signGrad(), negated(3, 4)}
		own = g.ReduceScatter(torch.Empty(2), parts, dist.Sum)
		assert.Equal(t, floats(pick(torch.Zeros(2), torch.From([]float32{-6, -8}))), floats(own))
		out := []*torch.Tensor{torch.Empty(2), torch.Empty(2)}
		g.AllToAll(out, parts)
		assert.Equal(t, floats(parts[g.Rank()]), floats(out[0]))
		if first {
			g.Send(signGrad(), 1, 0)
			g.Send(negated(5), 1, 0)
		} else {
			x := torch.Ones(2)
			g.Recv(x, 0, 0)
			assert.Equal(t, []float32{0, 0}, floats(x))
			x = negated(1) // into a view: what it shows is what was sent
			g.Recv(x, 0, 0)
			assert.Equal(t, []float32{-5}, floats(x))
		}
		// Written in place, a view shows the result, and its base the values from which it is made.
		base := torch.From([]float32{1, 2})
		view := aten.Call("aten::_neg_view", base)[0].(*torch.Tensor)
		assert.Equal(t, []float32{-2, -4}, floats(g.AllReduce(view, dist.Sum)))
		assert.Equal(t, []float32{2, 4}, floats(base))
		assert.Equal(t, []complex64{2 - 4i}, torch.ToSlice[complex64](g.AllReduce(conjugate(1+2i), dist.Sum)))
		assert.Equal(t, []float32{0, 0}, floats(g.AllReduce(signGrad().Clone(), dist.Sum)))
		x := torch.Options{DType: torch.Float32, RequiresGrad: true}.Zeros(2)
		g.AllReduceGrad(x, dist.Sum).Sgn().Sum().Backward()
		assert.Equal(t, []float32{0, 0}, floats(x.Grad()))
	})
}

// TestTensorsThatCannotTravel: they are an error on every rank that names the operation, and the remedy where there is
// one.
func TestTensorsThatCannotTravel(t *testing.T) {
	sparse := func() *torch.Tensor { return aten.Call("aten::to_sparse", torch.Eye(2))[0].(*torch.Tensor) }
	meta := torch.Options{Device: torch.Meta}.Ones(2)
	const (
		zeros    = "a tensor that stands for zeros"
		noValues = "a tensor on the meta device has no values"
		layout   = "layout torch.sparse_coo can't be sent; pass its ToDense"
	)
	for name, c := range map[string]struct {
		run  func(g *dist.Group)
		want string
	}{
		"zeros, written": {func(g *dist.Group) { g.AllReduce(signGrad(), dist.Sum) }, "dist.AllReduce: " + zeros},
		"zeros, received": {func(g *dist.Group) { g.AllGatherInto(signGrad(), torch.Ones(1)) }, "dist.AllGatherInto: " +
			zeros},
		"meta":              {func(g *dist.Group) { g.AllReduce(meta, dist.Sum) }, noValues},
		"meta, only read":   {func(g *dist.Group) { g.AllGather(meta) }, noValues},
		"sparse":            {func(g *dist.Group) { g.AllReduce(sparse(), dist.Sum) }, layout},
		"sparse, only read": {func(g *dist.Group) { g.AllGather(sparse()) }, layout},
		"nil":               {func(g *dist.Group) { g.AllReduce(nil, dist.Sum) }, "a tensor is nil"},
	} {
		t.Run(name, func(t *testing.T) {
			over(t, func(t *testing.T, g *dist.Group) {
				err := torch.Try(func() { c.run(g) })
				require.ErrorContains(t, err, c.want)
				var e *torch.Error
				require.True(t, errors.As(err, &e))
				require.Equal(t, []float32{2}, floats(g.AllReduce(torch.Ones(1), dist.Sum)), "the group goes on")
			})
		})
	}
}
