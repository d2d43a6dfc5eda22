package dist_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/ranktest"
	"github.com/golite/golite/torch"
)

// TestAllGatherGradOfSomeCopies: a loss may use some ranks' copies only; the others' gradients are 0.
func TestAllGatherGradOfSomeCopies(t *testing.T) {
	ranktest.Everywhere(t, func(_ context.Context, t *testing.T, g *dist.Group) error {
		x := filled(float64(g.Rank()+1), 3).RequiresGrad_(true)
		parts := g.AllGatherGrad(x)
		g.TranslateErrors(func() { parts[0].MulScalar(float64(g.Rank() + 1)).Sum().Backward() })
		want := float32(0)
		if g.Rank() == 0 { // 1 + 2 + ... of all ranks' losses
			want = float32(g.Size()*(g.Size()+1)) / 2
		}
		assert.Equal(t, []float32{want, want, want}, floats(x.Grad()))
		return nil
	})
}

// TestAllReduceGrad: sums and means of what ranks give, and of what comes back to them; other combinations have no
// gradient.
func TestAllReduceGrad(t *testing.T) {
	ranktest.Everywhere(t, func(_ context.Context, t *testing.T, g *dist.Group) error {
		n := float64(g.Size())
		all := n * (n + 1) / 2
		for _, op := range []dist.Op{dist.Sum, dist.Mean} {
			scale := map[dist.Op]float64{dist.Sum: 1, dist.Mean: 1 / n}[op]
			x := filled(float64(g.Rank()+1), 2, 2).RequiresGrad_(true)
			y := g.AllReduceGrad(x.Transpose(0, 1), op)
			assert.InDelta(t, all*scale, y.Mean().Item(), 1e-6, "%v", op)
			assert.InDelta(t, g.Rank()+1, x.Detach().Mean().Item(), 0, "x stays")
			g.TranslateErrors(func() { y.MulScalar(float64(g.Rank() + 1)).Sum().Backward() })
			assert.InDelta(t, all*scale, x.Grad().Mean().Item(), 1e-6, "%v", op)
		}
		g.Trace(10)
		x := filled(1, 2).RequiresGrad_(true)
		g.AllReduceGrad(x, dist.Sum)
		for _, span := range g.Trace(0) {
			assert.Contains(t, span.What, "autograd_test.go:", "the program's line")
		}
		assert.ErrorContains(t, dist.Try(func() { g.AllReduceGrad(torch.Ones(1), dist.Max) }), "want Sum or Mean, got max")
		return nil
	})
}
