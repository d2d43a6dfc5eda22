package ddp_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/golite/golite/ddp"
	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

// network is a model of the recorded cases; branches runs another layer in every other step.
type network interface {
	nn.Module
	Run(x *torch.Tensor, step int) *torch.Tensor
}

type mlp struct {
	nn.Base
	FC1, FC2 *nn.Linear
}

func newMLP() *mlp { return &mlp{FC1: nn.NewLinear(784, 128), FC2: nn.NewLinear(128, 10)} }
func (m *mlp) Run(x *torch.Tensor, _ int) *torch.Tensor {
	return m.FC2.Forward(F.ReLU(m.FC1.Forward(x)))
}

type small struct {
	nn.Base
	FC1, FC2 *nn.Linear
}

func newSmall() *small { return &small{FC1: nn.NewLinear(3, 4), FC2: nn.NewLinear(4, 10)} }
func (m *small) Run(x *torch.Tensor, _ int) *torch.Tensor {
	return m.FC2.Forward(m.FC1.Forward(x).Tanh())
}

type dropped struct {
	nn.Base
	FC1, FC2 *nn.Linear
	Drop     *nn.Dropout
}

func newDropped() *dropped {
	return &dropped{FC1: nn.NewLinear(784, 128), FC2: nn.NewLinear(128, 10), Drop: nn.NewDropout(0.5)}
}
func (m *dropped) Run(x *torch.Tensor, _ int) *torch.Tensor {
	return m.FC2.Forward(m.Drop.Forward(F.ReLU(m.FC1.Forward(x))))
}

type cnn struct {
	nn.Base
	Conv1 *nn.Conv2d
	BN1   *nn.BatchNorm2d
	Conv2 *nn.Conv2d
	BN2   *nn.BatchNorm2d
	FC    *nn.Linear
}

func newCNN() *cnn {
	return &cnn{Conv1: nn.NewConv2d(1, 8, 3), BN1: nn.NewBatchNorm2d(8), Conv2: nn.NewConv2d(8, 16, 3), BN2: nn.NewBatchNorm2d(16), FC: nn.NewLinear(400, 10)}
}
func (m *cnn) Run(x *torch.Tensor, _ int) *torch.Tensor {
	x = F.MaxPool2d(F.ReLU(m.BN1.Forward(m.Conv1.Forward(x))), 2)
	x = F.MaxPool2d(F.ReLU(m.BN2.Forward(m.Conv2.Forward(x))), 2)
	return m.FC.Forward(x.Flatten(1))
}

type branches struct {
	nn.Base
	A, B, Never, Out *nn.Linear
}

func newBranches() *branches {
	return &branches{A: nn.NewLinear(16, 16), B: nn.NewLinear(16, 16), Never: nn.NewLinear(16, 16), Out: nn.NewLinear(16, 10)}
}
func (m *branches) Run(x *torch.Tensor, step int) *torch.Tensor {
	branch := m.A
	if step%2 == 1 {
		branch = m.B
	}
	return m.Out.Forward(F.ReLU(branch.Forward(x)))
}

func build(name string) (network, []int) {
	switch name {
	case "mlp":
		return newMLP(), []int{8, 784}
	case "small":
		return newSmall(), []int{8, 3}
	case "dropout":
		return newDropped(), []int{8, 784}
	case "cnn":
		return newCNN(), []int{8, 1, 28, 28}
	default:
		return newBranches(), []int{8, 16}
	}
}

// training is a recorded case.
type training struct {
	Kind, Model, Hook        string
	DDP                      map[string]any
	World, Steps, Accumulate int
	Join                     bool
	Losses                   []fixture.Floats
}

func (r training) options(t testing.TB) ddp.ParallelOptions {
	var o ddp.ParallelOptions
	for k, v := range r.DDP {
		switch k {
		case "find_unused_parameters":
			o.FindUnusedParameters = v.(bool)
		case "gradient_as_bucket_view":
			o.GradientAsBucketView = v.(bool)
		case "static_graph":
			o.StaticGraph = v.(bool)
		case "broadcast_buffers":
			o.NoBroadcastBuffers = !v.(bool)
		case "bucket_cap_mb":
			o.BucketCapMB = v.(float64)
		default:
			t.Fatalf("no option %s", k)
		}
	}
	switch r.Hook {
	case "fp16":
		o.Hook = ddp.HookFP16
	case "bf16":
		o.Hook = ddp.HookBF16
	case "powersgd":
		h, err := ddp.NewPowerSGD(ddp.PowerSGDOptions{Rank: 2, StartStep: 2, MinCompressionRate: 0.5})
		require.NoError(t, err)
		o.Hook = h
	}
	return o
}

// TestTrainingIsPyTorchs trains as PyTorch's DistributedDataParallel was recorded to: losses, gradients, parameters and
// buffers of every rank, bit for bit.
func TestTrainingIsPyTorchs(t *testing.T) {
	file := fixture.Open(t, "testdata/ddp.json.gz")
	count := 0
	for _, c := range file.Cases {
		var r training
		c.Decode(t, &r)
		if r.Kind != "ddp" {
			continue
		}
		count++
		for _, kind := range kinds {
			t.Run(kind+"/"+c.Name, func(t *testing.T) {
				requireNone(t, runRanks(t, kind, r.World, ddp.Options{}, func(ctx context.Context, g *ddp.Group) (err error) {
					gen := torch.NewGenerator(uint64(c.Seed))
					torch.WithGenerator(gen, func() { err = trainRecorded(ctx, t, g, c, r, gen) })
					return err
				}))
			})
		}
	}
	assert.Equal(t, 28, count)
}

func trainRecorded(ctx context.Context, t *testing.T, g *ddp.Group, c *fixture.Case, r training, gen *torch.Generator) error {
	net, shape := build(r.Model)
	d, err := ddp.Wrap(ctx, g, net, r.options(t))
	if err != nil {
		return err
	}
	defer d.Close()
	opt := optim.NewSGD(nn.Parameters(net), 0.1, optim.SGDOptions{Momentum: 0.9})
	gen.ManualSeed(uint64(c.Seed) + 1 + uint64(g.Rank()))
	in := torch.Options{Generator: torch.NewGenerator(100 + uint64(g.Rank()))}
	micro := max(r.Accumulate, 1)
	batches := r.Steps * micro
	if r.Join {
		batches = 3 + 2*g.Rank()
	}
	var losses []float64
	loop := func() {
		for n := range batches {
			torch.Scope(func() {
				x, y := in.Randn(shape...), in.RandInt(0, 10, 8)
				if n%micro == 0 {
					opt.ZeroGrad()
				}
				step := func() {
					loss := F.CrossEntropy(d.Forward(func() *torch.Tensor { return net.Run(x, n) }), y)
					g.Guard(func() { loss.Backward() })
					losses = append(losses, loss.Item())
				}
				if n%micro != micro-1 {
					d.NoSync(step)
					return
				}
				step()
				if n == micro-1 && g.Rank() == 0 {
					compareGradients(t, c, net)
				}
				opt.Step()
			})
		}
	}
	if r.Join {
		d.Join(loop)
	} else {
		loop()
	}
	c.EqualFloats(t, fmt.Sprintf("losses of rank %d", g.Rank()), r.Losses[g.Rank()], losses)
	for name, p := range nn.NamedParameters(net) {
		c.Equal(t, "param."+name, fixtureOf(p.Tensor))
	}
	for name, b := range nn.NamedBuffers(net) {
		c.Equal(t, fmt.Sprintf("buffer.%d.%s", g.Rank(), name), fixtureOf(b.Tensor))
	}
	return nil
}

func compareGradients(t *testing.T, c *fixture.Case, net nn.Module) {
	var have []string
	for name, p := range nn.NamedParameters(net) {
		if grad := p.Grad(); grad != nil {
			have = append(have, name)
			c.Equal(t, "grad."+name, fixtureOf(grad))
		}
	}
	want := slices.Sorted(slices.Values(c.Names("grad.")))
	assert.Equal(t, want, slices.Sorted(slices.Values(have)))
}

func sequence(m map[string]*torch.Tensor) func(func(string, *torch.Tensor) bool) {
	return func(yield func(string, *torch.Tensor) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}

func TestModelsThatDifferAreRefusedEverywhere(t *testing.T) {
	leaf := func(dtype torch.DType, shape ...int) *torch.Tensor {
		return torch.Options{DType: dtype, RequiresGrad: true}.Zeros(shape...)
	}
	same := func() map[string]*torch.Tensor {
		return map[string]*torch.Tensor{"a": leaf(torch.Float32, 2), "b": leaf(torch.Float32, 3)}
	}
	for name, c := range map[string]struct {
		change func(m map[string]*torch.Tensor)
		want   string
	}{
		"shape":    {func(m map[string]*torch.Tensor) { m["b"] = leaf(torch.Float32, 4) }, "parameter 1 is b float32[3] on rank 0 and b float32[4] on rank 1"},
		"dtype":    {func(m map[string]*torch.Tensor) { m["a"] = leaf(torch.Float64, 2) }, "parameter 0 is a float32[2] on rank 0 and a float64[2] on rank 1"},
		"count":    {func(m map[string]*torch.Tensor) { m["c"] = leaf(torch.Float32, 1) }, "parameter 2 is missing on rank 0 and c float32[1] on rank 1 (2 and 3 parameters)"},
		"name":     {func(m map[string]*torch.Tensor) { m["c"] = m["b"]; delete(m, "b") }, "parameter 1 is b float32[3] on rank 0 and c float32[3] on rank 1"},
		"gradient": {func(m map[string]*torch.Tensor) { m["a"].RequiresGrad_(false) }, "parameter 0 is a float32[2] on rank 0 and a float32[2] without gradient on rank 1"},
	} {
		for _, kind := range kinds {
			t.Run(kind+"/"+name, func(t *testing.T) {
				errs := runRanks(t, kind, 3, ddp.Options{}, func(ctx context.Context, g *ddp.Group) error {
					m := same()
					if g.Rank() == 1 {
						c.change(m)
					}
					_, err := ddp.New(ctx, g, sequence(m), nil)
					return err
				})
				for r, err := range errs {
					assert.ErrorContains(t, err, c.want, "rank %d", r)
				}
			})
		}
	}
}

func TestRanksStartWithRankZeros(t *testing.T) {
	everywhere(t, func(ctx context.Context, t *testing.T, g *ddp.Group) error {
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
	everywhere(t, func(ctx context.Context, t *testing.T, g *ddp.Group) error {
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

// twoHeads has two outputs, of which a loss may use one.
type twoHeads struct {
	nn.Base
	A, B *nn.Linear
}

func TestAnOutputThatTheLossDoesNotUse(t *testing.T) {
	everywhere(t, func(ctx context.Context, t *testing.T, g *ddp.Group) error {
		net := &twoHeads{A: nn.NewLinear(3, 2), B: nn.NewLinear(3, 2)}
		d, err := ddp.Wrap(ctx, g, net, ddp.ParallelOptions{FindUnusedParameters: true})
		if err != nil {
			return err
		}
		defer d.Close()
		for range 3 {
			x := torch.Randn(4, 3)
			d.Before()
			out := d.After(net.A.Forward(x), net.B.Forward(x))
			g.Guard(func() { out[0].Sum().Backward() })
			assert.NotNil(t, net.A.Weight.Grad())
			assert.Nil(t, net.B.Weight.Grad())
		}
		return nil
	})
}

func TestAHookOfTheProgramsOwn(t *testing.T) {
	everywhere(t, func(ctx context.Context, t *testing.T, g *ddp.Group) error {
		net, calls := nn.NewLinear(3, 2), 0
		hook := ddp.BucketHook(func(g *ddp.Group, b *ddp.Bucket) *torch.Tensor {
			calls++
			assert.Len(t, b.Gradients, 2)
			assert.Equal(t, 8, b.Buffer.Numel())
			return g.AllReduce(b.Buffer.Clone(), ddp.Sum)
		})
		d, err := ddp.Wrap(ctx, g, net, ddp.ParallelOptions{Hook: hook})
		if err != nil {
			return err
		}
		defer d.Close()
		out := d.Forward(func() *torch.Tensor { return net.Forward(filled(1, 1, 3)) })
		g.Guard(func() { out.Sum().Backward() })
		assert.Equal(t, float32(g.Size()), floats(net.Weight.Grad())[0], "a sum and no mean")
		assert.Equal(t, 1, calls)
		return nil
	})
}

func TestAHooksPanicComesOutOfBackward(t *testing.T) {
	requireNone(t, runRanks(t, "inprocess", 2, ddp.Options{}, func(ctx context.Context, g *ddp.Group) error {
		net := nn.NewLinear(3, 2)
		d, err := ddp.Wrap(ctx, g, net, ddp.ParallelOptions{Hook: ddp.BucketHook(func(*ddp.Group, *ddp.Bucket) *torch.Tensor {
			torch.Fail("hook", "no")
			return nil
		})})
		if err != nil {
			return err
		}
		defer d.Close()
		out := d.Forward(func() *torch.Tensor { return net.Forward(filled(1, 1, 3)) })
		assert.ErrorContains(t, ddp.Try(func() { g.Guard(func() { out.Sum().Backward() }) }), "hook: no")
		return nil
	}))
}

func TestSyncBatchNormIsBatchNormOfTheWhole(t *testing.T) {
	everywhere(t, func(ctx context.Context, t *testing.T, g *ddp.Group) error {
		n := g.Size()
		whole := torch.Options{Generator: torch.NewGenerator(1)}.Randn(4*n, 3, 2)
		ref := nn.NewBatchNorm1d(3)
		all := whole.Clone().RequiresGrad_(true)
		want := ref.Forward(all)
		want.Mul(want).Mul(want).Sum().Backward()

		b := ddp.NewSyncBatchNorm(g, 3)
		mine := whole.Narrow(0, 4*g.Rank(), 4).Clone().RequiresGrad_(true)
		got := b.Forward(mine)
		g.Guard(func() { got.Mul(got).Mul(got).Sum().Backward() })
		assert.InDeltaSlice(t, floats(want.Detach().Narrow(0, 4*g.Rank(), 4)), floats(got.Detach()), 1e-5)
		assert.InDeltaSlice(t, floats(all.Grad().Narrow(0, 4*g.Rank(), 4)), floats(mine.Grad()), 1e-4)
		assert.InDeltaSlice(t, floats(ref.RunningVar.Tensor), floats(b.RunningVar.Tensor), 1e-6)
		assert.InDeltaSlice(t, floats(ref.RunningMean.Tensor), floats(b.RunningMean.Tensor), 1e-6)
		return nil
	})
}
