package ddp_test

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/golite/golite/ddp"
	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/ranktest"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

// named is a parameter or a buffer of a model that is a list of them.
type named struct {
	name string
	*torch.Tensor
}

func sequence(list []named) func(func(string, *torch.Tensor) bool) {
	return func(yield func(string, *torch.Tensor) bool) {
		for _, n := range list {
			if !yield(n.name, n.Tensor) {
				return
			}
		}
	}
}

// listed is a model that is a list.
type listed struct{ params, buffers []named }

func newListed() *listed {
	return &listed{[]named{{"a", leaf(torch.Float32, 2)}, {"b", leaf(torch.Float32, 3)}}, []named{{"mean", torch.Zeros(3)},
		{"count", torch.Zeros()}}}
}

func leaf(dtype torch.DType, shape ...int) *torch.Tensor {
	return torch.Options{DType: dtype, RequiresGrad: true}.Zeros(shape...)
}

func TestModelsThatDifferAreRefusedEverywhere(t *testing.T) {
	for name, c := range map[string]struct {
		change func(m *listed)
		want   string
	}{
		"shape": {func(m *listed) { m.params[1].Tensor = leaf(torch.Float32, 4) },
			"parameter 1 is b float32[3] on rank 0 and b float32[4] on rank 1"},
		"dtype": {func(m *listed) { m.params[0].Tensor = leaf(torch.Float64, 2) },
			"parameter 0 is a float32[2] on rank 0 and a float64[2] on rank 1"},
		"count": {func(m *listed) { m.params = append(m.params, named{"c", leaf(torch.Float32, 1)}) },
			"parameter 2 is missing on rank 0 and c float32[1] on rank 1 (2 and 3 parameters)"},
		"name": {func(m *listed) { m.params[1].name = "c" }, "parameter 1 is b float32[3] on rank 0 and c float32[3] " +
			"on rank 1"},
		"order": {func(m *listed) { slices.Reverse(m.params) },
			"parameter 0 is a float32[2] on rank 0 and b float32[3] on rank 1"},
		"gradient": {func(m *listed) { m.params[0].RequiresGrad_(false) },
			"parameter 0 is a float32[2] on rank 0 and a float32[2] without gradient on rank 1"},
		"nothing to train": {func(m *listed) { m.params[0].RequiresGrad_(false); m.params[1].RequiresGrad_(false) },
			"parameter 0 is a float32[2] on rank 0 and a float32[2] without gradient on rank 1"},
		"buffer shape": {func(m *listed) { m.buffers[0].Tensor = torch.Zeros(4) },
			"buffer 0 is mean float32[3] on rank 0 and mean float32[4] on rank 1"},
		"buffer dtype": {func(m *listed) { m.buffers[1].Tensor = torch.Options{DType: torch.Int64}.Zeros() },
			"buffer 1 is count float32[] on rank 0 and count int64[] on rank 1"},
		"buffer missing": {func(m *listed) { m.buffers = m.buffers[:1] },
			"buffer 1 is count float32[] on rank 0 and missing on rank 1 (2 and 1 buffers)"},
		"buffer order": {func(m *listed) { slices.Reverse(m.buffers) },
			"buffer 0 is mean float32[3] on rank 0 and count float32[] on rank 1"},
	} {
		for _, kind := range ranktest.Kinds {
			t.Run(kind+"/"+name, func(t *testing.T) {
				errs := ranktest.Run(t, kind, 3, dist.Options{}, func(ctx context.Context, g *dist.Group) error {
					m := newListed()
					if g.Rank() == 1 {
						c.change(m)
					}
					_, err := ddp.New(ctx, g, sequence(m.params), sequence(m.buffers))
					return err
				})
				for r, err := range errs {
					assert.ErrorContains(t, err, c.want, "rank %d", r)
				}
			})
		}
	}
}

// TestBuffersOfOnesOwnMayDiffer: those that aren't broadcast aren't compared either, and stay.
func TestBuffersOfOnesOwnMayDiffer(t *testing.T) {
	ranktest.Everywhere(t, func(ctx context.Context, t *testing.T, g *dist.Group) error {
		m := newListed()
		m.buffers[0].Tensor = filled(float64(g.Rank()), 1+g.Rank())
		d, err := ddp.New(ctx, g, sequence(m.params), sequence(m.buffers), ddp.ParallelOptions{NoBroadcastBuffers: true})
		if err != nil {
			return err
		}
		defer d.Close()
		d.PreForward()
		assert.Equal(t, filled(float64(g.Rank()), 1+g.Rank()).ToBytes(), m.buffers[0].ToBytes())
		return nil
	})
}

// TestNothingToTrain: all ranks get the error, after they have compared their models, and nothing is broadcast.
func TestNothingToTrain(t *testing.T) {
	ranktest.Everywhere(t, func(ctx context.Context, t *testing.T, g *dist.Group) error {
		net := nn.NewLinear(3, 2)
		nn.RequiresGrad(net, false)
		torch.NoGrad(func() { net.Weight.Copy_(filled(float64(g.Rank()), 2, 3)) })
		_, err := ddp.Wrap(ctx, g, net)
		assert.ErrorIs(t, err, ddp.ErrNothingToTrain)
		assert.ErrorContains(t, err, "*nn.Linear")
		assert.Equal(t, float32(g.Rank()), floats(net.Weight.Tensor)[0])
		return nil
	})
}

func TestRanksStartWithRankZeros(t *testing.T) {
	ranktest.Everywhere(t, func(ctx context.Context, t *testing.T, g *dist.Group) error {
		net := nn.NewLinear(3, 2)
		torch.NoGrad(func() { net.Weight.Copy_(filled(float64(g.Rank()), 2, 3)) })
		d, err := ddp.Wrap(ctx, g, net)
		if err != nil {
			return err
		}
		defer d.Close()
		assert.Equal(t, make([]float32, 6), floats(net.Weight.Detach()))
		return nil
	})
}

func TestEvaluationMakesNoCollective(t *testing.T) {
	ranktest.Everywhere(t, func(ctx context.Context, t *testing.T, g *dist.Group) error {
		net := newCNN()
		d, err := ddp.Wrap(ctx, g, net)
		if err != nil {
			return err
		}
		defer d.Close()
		g.Trace(100)
		// Ranks run different numbers of batches: a collective would hang.
		torch.NoGrad(func() {
			for range g.Rank() + 1 {
				d.Forward(func() *torch.Tensor { return net.Run(torch.Randn(2, 1, 28, 28), 0) })
			}
		})
		assert.Empty(t, g.Trace(0))
		g.Barrier()
		return nil
	})
}

// TestAnUnusedParameter is named, on every rank, when the next step begins: its gradient was waited for. So it is in
// PyTorch, and FindUnusedParameters is the way out.
func TestAnUnusedParameter(t *testing.T) {
	for _, kind := range ranktest.Kinds {
		t.Run(kind, func(t *testing.T) {
			errs := ranktest.Run(t, kind, 2, dist.Options{}, func(ctx context.Context, g *dist.Group) error {
				net := newBranches()
				d, err := ddp.Wrap(ctx, g, net)
				if err != nil {
					return err
				}
				defer d.Close()
				for range 2 {
					out := d.Forward(func() *torch.Tensor { return net.Run(torch.Randn(8, 16), 0) })
					g.TranslateErrors(func() { out.Sum().Backward() })
				}
				return nil
			})
			for r, err := range errs {
				assert.ErrorContains(t, err, "gave no gradient to b.weight, b.bias, never.weight, never.bias of *ddp_test.branches",
					"rank %d", r)
				assert.ErrorContains(t, err, "set FindUnusedParameters", "rank %d", r)
			}
		})
	}
}

// TestStaticGraphLearnsFromAPassThatReduces: PyTorch fails an internal assertion there.
func TestStaticGraphLearnsFromAPassThatReduces(t *testing.T) {
	ranktest.Everywhere(t, func(ctx context.Context, t *testing.T, g *dist.Group) error {
		net := nn.NewLinear(3, 2)
		d, err := ddp.Wrap(ctx, g, net, ddp.ParallelOptions{StaticGraph: true})
		if err != nil {
			return err
		}
		defer d.Close()
		err = dist.Try(func() {
			d.NoSync(func() { d.Forward(func() *torch.Tensor { return net.Forward(filled(1, 1, 3)) }) })
		})
		assert.ErrorContains(t, err, "StaticGraph learns the graph from the first backward pass")
		return nil
	})
}

// TestSetSyncIsNoSync: gradients of the passes before it stay a rank's own, and are part of the mean of the next.
func TestSetSyncIsNoSync(t *testing.T) {
	ranktest.Everywhere(t, func(ctx context.Context, t *testing.T, g *dist.Group) error {
		net := nn.NewLinear(3, 2)
		d, err := ddp.Wrap(ctx, g, net)
		if err != nil {
			return err
		}
		defer d.Close()
		pass := func() float32 {
			out := d.Forward(func() *torch.Tensor { return net.Forward(filled(float64(g.Rank()+1), 1, 3)) })
			g.TranslateErrors(func() { out.Sum().Backward() })
			return floats(net.Weight.Grad())[0]
		}
		mean := float32(g.Size()+1) / 2
		assert.True(t, d.SetSync(false))
		assert.Equal(t, float32(g.Rank()+1), pass(), "a rank's own")
		d.NoSync(func() { assert.False(t, d.SetSync(false), "inside NoSync") })
		assert.False(t, d.SetSync(true), "as it was before NoSync")
		assert.InDelta(t, 2*mean, pass(), 1e-6, "the mean of both passes")
		assert.True(t, d.SetSync(true))
		return nil
	})
}

// twoHeads has two outputs, of which a loss may use one.
type twoHeads struct {
	nn.Base
	A, B *nn.Linear
}

func TestAnOutputThatTheLossDoesNotUse(t *testing.T) {
	ranktest.Everywhere(t, func(ctx context.Context, t *testing.T, g *dist.Group) error {
		net := &twoHeads{A: nn.NewLinear(3, 2), B: nn.NewLinear(3, 2)}
		d, err := ddp.Wrap(ctx, g, net, ddp.ParallelOptions{FindUnusedParameters: true})
		if err != nil {
			return err
		}
		defer d.Close()
		for range 3 {
			x := torch.Randn(4, 3)
			d.PreForward()
			out := d.PostForward(net.A.Forward(x), net.B.Forward(x))
			g.TranslateErrors(func() { out[0].Sum().Backward() })
			assert.NotNil(t, net.A.Weight.Grad())
			assert.Nil(t, net.B.Weight.Grad())
		}
		return nil
	})
}

func TestAHookOfTheProgramsOwn(t *testing.T) {
	ranktest.Everywhere(t, func(ctx context.Context, t *testing.T, g *dist.Group) error {
		net, calls := nn.NewLinear(3, 2), 0
		hook := ddp.BucketHook(func(g *dist.Group, b *ddp.Bucket) *torch.Tensor {
			calls++
			assert.Len(t, b.Gradients, 2)
			assert.Equal(t, 8, b.Buffer.Numel())
			return g.AllReduce(b.Buffer.Clone(), dist.Sum)
		})
		d, err := ddp.Wrap(ctx, g, net, ddp.ParallelOptions{Hook: hook})
		if err != nil {
			return err
		}
		defer d.Close()
		out := d.Forward(func() *torch.Tensor { return net.Forward(filled(1, 1, 3)) })
		g.TranslateErrors(func() { out.Sum().Backward() })
		assert.Equal(t, float32(g.Size()), floats(net.Weight.Grad())[0], "a sum and no mean")
		assert.Equal(t, 1, calls)
		return nil
	})
}

func TestSettingsOfPowerSGDThatAreRefused(t *testing.T) {
	for want, h := range map[string]ddp.PowerSGD{
		"want no negative settings":                        {Rank: -1},
		"got {Rank:1 StartStep:1000 MinCompressionRate:-2": {MinCompressionRate: -2},
		"StartStep is 1: want at least 2":                  {StartStep: 1, NoWarmStart: true},
	} {
		ranktest.RequireNone(t, ranktest.Run(t, "inprocess", 2, dist.Options{},
			func(ctx context.Context, g *dist.Group) error {
				_, err := ddp.Wrap(ctx, g, nn.NewLinear(3, 2), ddp.ParallelOptions{Hook: h})
				assert.ErrorContains(t, err, want)
				return nil
			}))
	}
}

// TestJoinWithoutBatches: a rank that has none takes part in every step of the others, and ends with their parameters.
func TestJoinWithoutBatches(t *testing.T) {
	for _, kind := range ranktest.Kinds {
		t.Run(kind, func(t *testing.T) {
			ranktest.RequireNone(t, ranktest.Run(t, kind, 3, dist.Options{}, func(ctx context.Context, g *dist.Group) error {
				net := newCNN()
				d, err := ddp.Wrap(ctx, g, net)
				if err != nil {
					return err
				}
				defer d.Close()
				before := net.FC.Weight.ToBytes()
				d.Join(func() {
					for range 2 * (g.Rank() % 2) { // rank 1 alone has any
						out := d.Forward(func() *torch.Tensor { return net.Run(torch.Randn(2, 1, 28, 28), 0) })
						g.TranslateErrors(func() { out.Sum().Backward() })
						torch.NoGrad(func() { net.FC.Weight.Sub_(net.FC.Weight.Grad()) })
					}
				})
				assert.NotEqual(t, before, net.FC.Weight.ToBytes())
				for r, other := range g.AllGatherBytes(net.FC.Weight.ToBytes()) {
					assert.Equal(t, net.FC.Weight.ToBytes(), other, "rank %d", r)
				}
				assert.Equal(t, int64(2), torch.Item[int64](net.BN1.NumBatchesTracked.Tensor), "the buffers as well")
				return nil
			}))
		})
	}
}

func TestAHooksPanicComesOutOfBackward(t *testing.T) {
	ranktest.RequireNone(t, ranktest.Run(t, "inprocess", 2, dist.Options{},
		func(ctx context.Context, g *dist.Group) error {
			net := nn.NewLinear(3, 2)
			d, err := ddp.Wrap(ctx, g, net,
				ddp.ParallelOptions{Hook: ddp.BucketHook(func(*dist.Group, *ddp.Bucket) *torch.Tensor {
					torch.Fail("hook", "no")
					return nil
				})})
			if err != nil {
				return err
			}
			defer d.Close()
			out := d.Forward(func() *torch.Tensor { return net.Forward(filled(1, 1, 3)) })
			assert.ErrorContains(t, dist.Try(func() { g.TranslateErrors(func() { out.Sum().Backward() }) }), "hook: no")
			return nil
		}))
}
