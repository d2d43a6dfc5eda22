package ddp_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/golite/golite/ddp"
	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/ranktest"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

// PyTorch's SyncBatchNorm refuses tensors on the CPU, so that nothing can be recorded: it is compared with what it is
// by definition, the batch normalisation of all ranks' batches in one.

// wholeBatch is an input of all ranks, cut into parts of given sizes.
type wholeBatch struct {
	name  string
	dtype torch.DType
	shape []int // after the batch dimension
	sizes func(ranks int) []int
	scale float64
	near  float64 // how far results may be from those of the whole in float64
}

func (w wholeBatch) cut(ranks int) (whole *torch.Tensor, sizes []int, from []int) {
	sizes = w.sizes(ranks)
	n := 0
	for _, s := range sizes {
		from = append(from, n)
		n += s
	}
	whole = torch.Options{Generator: torch.NewGenerator(1)}.Randn(append([]int{n},
		w.shape...)...).MulScalar(w.scale).AddScalar(w.scale)
	return whole.To(w.dtype), sizes, from
}

func equalParts(ranks int) []int { return slices.Repeat([]int{4}, ranks) }

func unequalParts(ranks int) []int { return []int{5, 1, 3}[:ranks] }

func emptyPart(ranks int) []int { return []int{4, 0, 3}[:ranks] }

var wholeBatches = []wholeBatch{
	{"[N C]", torch.Float32, []int{3}, equalParts, 1, 1e-4},
	{"[N C L]", torch.Float32, []int{3, 2}, unequalParts, 1, 1e-4},
	{"[N C H W]", torch.Float32, []int{3, 4, 4}, unequalParts, 1, 1e-4},
	{"an empty part", torch.Float32, []int{3, 2}, emptyPart, 1, 1e-4},
	{"one value a rank", torch.Float32, []int{3}, func(ranks int) []int { return slices.Repeat([]int{1}, ranks) }, 1, 1e-3},
	{"far from 0", torch.Float32, []int{3, 64}, func(ranks int) []int { return []int{40, 60, 20}[:ranks] }, 1e3, 1e-2},
	{"float64", torch.Float64, []int{3, 2}, unequalParts, 1, 1e-9},
	// A channel's sum is about 256,000 here, and its squares' far more: neither is a float16.
	{"float16", torch.Float16, []int{3, 64}, equalParts, 1e3, 1e-2},
	{"bfloat16", torch.BFloat16, []int{3, 64}, unequalParts, 1e3, 5e-2},
}

func TestSyncBatchNormIsBatchNormOfTheWhole(t *testing.T) {
	for _, w := range wholeBatches {
		for _, kind := range ranktest.Kinds {
			for _, ranks := range []int{2, 3} {
				t.Run(fmt.Sprintf("%s/%s/%d", w.name, kind, ranks), func(t *testing.T) {
					ranktest.RequireNone(t, ranktest.Run(t, kind, ranks, dist.Options{},
						func(_ context.Context, g *dist.Group) error { w.check(t, g); return nil }))
				})
			}
		}
	}
}

// check holds a rank's outputs, gradients and statistics against the whole's, in float64.
func (w wholeBatch) check(t *testing.T, g *dist.Group) {
	whole, sizes, from := w.cut(g.Size())
	r := g.Rank()
	gen := func(seed uint64) torch.Options { return torch.Options{Generator: torch.NewGenerator(seed)} }
	ref := nn.NewBatchNorm1d(3, nn.BatchNormOptions{DType: torch.Float64})
	b := ddp.NewSyncBatchNorm(g, 3, nn.BatchNormOptions{DType: map[bool]torch.DType{true: torch.Float64,
		false: torch.Float32}[w.dtype == torch.Float64]})
	torch.NoGrad(func() {
		ref.Weight.Copy_(gen(2).Rand(3).AddScalar(0.5))
		ref.Bias.Copy_(gen(3).Randn(3))
		b.Weight.Copy_(ref.Weight.Tensor)
		b.Bias.Copy_(ref.Bias.Tensor)
	})
	all := whole.To(torch.Float64).Clone().RequiresGrad_(true)
	push := gen(4).Randn(whole.Shape()...).To(w.dtype) // what comes back from the loss
	want := ref.Forward(all.Reshape(all.Size(0), 3, -1)).Reshape(all.Shape()...)
	want.Backward(torch.BackwardOptions{Gradient: push.To(torch.Float64)})

	mine := whole.Narrow(0, from[r], sizes[r]).Clone().RequiresGrad_(true)
	got := b.Forward(mine)
	assert.Equal(t, w.dtype, got.DType())
	g.TranslateErrors(func() { got.Backward(torch.BackwardOptions{Gradient: push.Narrow(0, from[r], sizes[r])}) })

	near := func(what string, want, got *torch.Tensor) {
		t.Helper()
		assert.InDeltaSlice(t, torch.ToSlice[float64](want.Detach().To(torch.Float64)),
			torch.ToSlice[float64](got.Detach().To(torch.Float64)), w.near, what)
	}
	part := func(t *torch.Tensor) *torch.Tensor { return t.Detach().Narrow(0, from[r], sizes[r]) }
	near("outputs", part(want), got)
	near("gradients", part(all.Grad()), mine.Grad())
	near("running means", ref.RunningMean.DivScalar(w.scale), b.RunningMean.DivScalar(w.scale))
	near("running variances", ref.RunningVar.DivScalar(w.scale*w.scale), b.RunningVar.DivScalar(w.scale*w.scale))
	assert.Equal(t, int64(1), torch.Item[int64](b.NumBatchesTracked.Tensor))
	many := float64(whole.Numel()) / 3 // a sum of so many
	near("the weight's gradient, over all ranks", ref.Weight.Grad().DivScalar(many),
		g.AllReduce(b.Weight.Grad().To(torch.Float64), dist.Sum).DivScalar(many))
	near("the bias's gradient, over all ranks", ref.Bias.Grad().DivScalar(many),
		g.AllReduce(b.Bias.Grad().To(torch.Float64), dist.Sum).DivScalar(many))
}

func TestSyncBatchNormInEvaluationMakesNoCollective(t *testing.T) {
	ranktest.Everywhere(t, func(_ context.Context, t *testing.T, g *dist.Group) error {
		b, ref := ddp.NewSyncBatchNorm(g, 3), nn.NewBatchNorm2d(3)
		nn.Eval(b)
		nn.Eval(ref)
		g.Trace(100)
		for range g.Rank() + 1 {
			x := torch.Randn(2, 3, 4, 4)
			assert.Equal(t, floats(ref.Forward(x).Detach()), floats(b.Forward(x).Detach()))
		}
		assert.Empty(t, g.Trace(0))
		g.Barrier()
		return nil
	})
}

// TestSyncBatchNormMakesOneCollectiveEachWay, as PyTorch's does.
func TestSyncBatchNormMakesOneCollectiveEachWay(t *testing.T) {
	ranktest.RequireNone(t, ranktest.Run(t, "inprocess", 2, dist.Options{}, func(_ context.Context, g *dist.Group) error {
		b := ddp.NewSyncBatchNorm(g, 3)
		for _, c := range []struct {
			needs bool
			want  int
		}{{true, 2}, {false, 1}} { // a first layer's input needs no gradient
			x := torch.Randn(2, 3, 4).RequiresGrad_(c.needs)
			g.Trace(100)
			y := b.Forward(x)
			g.TranslateErrors(func() { y.Sum().Backward() })
			spans := g.Trace(0)
			assert.Len(t, spans, c.want)
			for _, span := range spans {
				assert.Contains(t, span.What, "syncbn_test.go:", "the program's line")
			}
		}
		return nil
	}))
}

// TestSyncBatchNormOverASubGroup counts over its ranks alone; a rank by itself normalises its own batch.
func TestSyncBatchNormOverASubGroup(t *testing.T) {
	for _, kind := range ranktest.Kinds {
		t.Run(kind, func(t *testing.T) {
			ranktest.RequireNone(t, ranktest.Run(t, kind, 3, dist.Options{}, func(_ context.Context, g *dist.Group) error {
				pair, err := g.Sub(0, 2)
				if err != nil {
					return err
				}
				alone, err := g.Sub(1)
				if err != nil {
					return err
				}
				mine, first, n := pair, 0, 8 // of the batch of 12, parts 0 and 2 of 4 make the pair's
				if g.Rank() == 1 {
					mine, first, n = alone, 8, 4
				}
				defer mine.Close()
				whole := torch.Options{Generator: torch.NewGenerator(1)}.Randn(12, 3, 2)
				want := nn.NewBatchNorm1d(3).Forward(whole.Narrow(0, first, n)).Detach()
				got := ddp.NewSyncBatchNorm(mine, 3).Forward(whole.Narrow(0, first+4*mine.Rank(), 4)).Detach()
				assert.InDeltaSlice(t, floats(want.Narrow(0, 4*mine.Rank(), 4)), floats(got), 1e-5, "rank %d", g.Rank())
				g.Barrier()
				return nil
			}))
		})
	}
}

func TestSyncBatchNormRefusesWhatIsNoBatch(t *testing.T) {
	ranktest.RequireNone(t, ranktest.Run(t, "inprocess", 2, dist.Options{}, func(_ context.Context, g *dist.Group) error {
		b := ddp.NewSyncBatchNorm(g, 3)
		assert.ErrorContains(t, dist.Try(func() { b.Forward(torch.Zeros(3)) }), "dimensions, got [3]")
		assert.ErrorContains(t, dist.Try(func() { b.Forward(torch.Zeros(2, 1)) }), "want 3 channels, got an input [2 1]")
		assert.ErrorContains(t, dist.Try(func() { b.Forward(torch.Zeros(g.Rank(), 3)) }),
			"more than one value per channel over all ranks in training, got 1")
		return nil
	}))
}

// normed has batch normalisations of all kinds, and one that is none.
type normed struct {
	nn.Base
	Conv     *nn.Conv2d
	BN       *nn.BatchNorm2d
	Instance *nn.InstanceNorm2d
	Tail     *nn.Sequential
}

func newNormed() *normed {
	return &normed{Conv: nn.NewConv2d(1, 3, 3), BN: nn.NewBatchNorm2d(3), Instance: nn.NewInstanceNorm2d(3,
		nn.InstanceNormOptions{Affine: true, RunningStats: true}),
		Tail: nn.NewSequential(nn.NewFlatten(), nn.NewLinear(108, 4),
			nn.NewBatchNorm1d(4, nn.BatchNormOptions{Cumulative: true}))}
}

func (m *normed) Run(x *torch.Tensor) *torch.Tensor {
	return m.Tail.Forward(m.Instance.Forward(m.BN.Forward(m.Conv.Forward(x)).Tanh()))
}

// TestConvertSyncBatchNorm: a converted model on parts of a batch is the model on the whole, in its outputs, the mean
// of its gradients, and its buffers; its keys stay.
func TestConvertSyncBatchNorm(t *testing.T) {
	ranktest.Everywhere(t, func(_ context.Context, t *testing.T, g *dist.Group) error {
		const each = 4
		ranks := g.Size()
		var ref *normed
		torch.WithGenerator(torch.NewGenerator(1), func() { ref = newNormed() })
		net := nn.Clone(ref)
		assert.Equal(t, 2, ddp.ConvertSyncBatchNorm(net, g), "the instance normalisation is none")
		assert.Equal(t, nn.StateDict(ref).Keys(), nn.StateDict(net).Keys())
		whole := torch.Options{Generator: torch.NewGenerator(2)}.Randn(each*ranks, 1, 8, 8)
		for range 2 {
			nn.ZeroGrad(ref)
			nn.ZeroGrad(net)
			want := ref.Run(whole)
			want.Pow(3).Sum().Backward()
			got := net.Run(whole.Narrow(0, each*g.Rank(), each))
			g.TranslateErrors(func() { got.Pow(3).Sum().Backward() })
			assert.InDeltaSlice(t, floats(want.Detach().Narrow(0, each*g.Rank(), each)), floats(got.Detach()), 1e-4)
			params := nn.Parameters(net)
			for i, p := range nn.Parameters(ref) {
				assert.InDeltaSlice(t, floats(p.Grad()), floats(g.AllReduce(params[i].Grad().Clone(), dist.Sum)), 2e-3)
			}
		}
		state := nn.StateDict(net)
		for _, name := range []string{"bn.running_mean", "bn.running_var", "tail.2.running_mean", "tail.2.running_var"} {
			want, _ := nn.StateDict(ref).Get(name)
			got, _ := state.Get(name)
			assert.InDeltaSlice(t, floats(want), floats(got), 1e-5, name)
		}
		assert.Equal(t, 2, nn.NormalizeWith(net, nil))
		g.Trace(100)
		net.Run(whole)
		assert.Empty(t, g.Trace(0), "as it was before")
		return nil
	})
}
