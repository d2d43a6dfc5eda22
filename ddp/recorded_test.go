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
	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/internal/ranktest"
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
	return &cnn{Conv1: nn.NewConv2d(1, 8, 3), BN1: nn.NewBatchNorm2d(8), Conv2: nn.NewConv2d(8, 16, 3),
		BN2: nn.NewBatchNorm2d(16), FC: nn.NewLinear(400, 10)}
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
	return &branches{A: nn.NewLinear(16, 16), B: nn.NewLinear(16, 16), Never: nn.NewLinear(16, 16),
		Out: nn.NewLinear(16, 10)}
}
func (m *branches) Run(x *torch.Tensor, step int) *torch.Tensor {
	branch := m.A
	if step%2 == 1 {
		branch = m.B
	}
	return m.Out.Forward(F.ReLU(branch.Forward(x)))
}

// idle is branches that always takes the same.
type idle struct{ *branches }

func (m *idle) Run(x *torch.Tensor, _ int) *torch.Tensor { return m.branches.Run(x, 0) }

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
	case "idle":
		return &idle{newBranches()}, []int{8, 16}
	case "branches":
		return newBranches(), []int{8, 16}
	}
	panic("no model " + name)
}

// training is a recorded case: what a rank is told to do, and the losses that came of it.
type training struct {
	Kind, Model, Hook               string
	DDP                             map[string]any
	PowerSGD                        map[string]any
	World, Steps, Accumulate, Whole int
	Join, Remaining                 bool
	Seed                            uint64
	Losses                          []fixture.Floats `json:",omitempty"`
}

func (r training) options() (ddp.ParallelOptions, error) {
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
		case "init_sync":
			o.NoInitSync = !v.(bool)
		case "bucket_cap_mb":
			o.BucketCapMB = v.(float64)
		default:
			return o, fmt.Errorf("no option %s", k)
		}
	}
	switch r.Hook {
	case "fp16":
		o.Hook = ddp.HookFP16
	case "bf16":
		o.Hook = ddp.HookBF16
	case "powersgd":
		h, err := r.powerSGD()
		o.Hook = h
		return o, err
	}
	return o, nil
}

func (r training) powerSGD() (ddp.PowerSGD, error) {
	h := ddp.PowerSGD{Rank: 2, StartStep: 2, MinCompressionRate: 0.5}
	for k, v := range r.PowerSGD {
		switch k {
		case "matrix_approximation_rank":
			h.Rank = int(v.(float64))
		case "start_powerSGD_iter":
			h.StartStep = int(v.(float64))
		case "use_error_feedback":
			h.NoErrorFeedback = !v.(bool)
		case "warm_start":
			h.NoWarmStart = !v.(bool)
		case "orthogonalization_epsilon":
			h.Epsilon = v.(float64)
		case "random_seed":
			h.Seed = uint32(v.(float64))
		default:
			return h, fmt.Errorf("no option %s", k)
		}
	}
	return h, nil
}

// tolerances are what another vendor's processor may do differently: matrices of more than two columns are
// orthogonalized by LAPACK.
func (r training) tolerances() []fixture.Tolerance {
	if h, err := r.powerSGD(); r.Hook == "powersgd" && err == nil && h.Rank > 2 {
		return []fixture.Tolerance{{ULP: 1 << 12, Abs: 1e-5, Why: "LAPACK's QR"}}
	}
	return nil
}

// trained is what a rank has to show.
type trained struct {
	Losses  []float64
	Tensors map[string]fixture.Tensor // grad.* after the first step, param.* and buffer.<rank>.* at the end
}

// train does what a case says, as one rank.
func (r training) train(ctx context.Context, g *dist.Group) (got trained, err error) {
	gen := torch.NewGenerator(r.Seed)
	torch.WithGenerator(gen, func() { got, err = r.trainWith(ctx, g, gen) })
	return got, err
}

func (r training) trainWith(ctx context.Context, g *dist.Group, gen *torch.Generator) (got trained, err error) {
	net, shape := build(r.Model)
	o, err := r.options()
	if err != nil {
		return got, err
	}
	d, err := ddp.Wrap(ctx, g, net, o)
	if err != nil {
		return got, err
	}
	defer d.Close()
	opt := optim.NewSGD(nn.Parameters(net), 0.1, optim.SGDOptions{Momentum: 0.9})
	gen.ManualSeed(r.Seed + 1 + uint64(g.Rank()))
	in := torch.Options{Generator: torch.NewGenerator(100 + uint64(g.Rank()))}
	got.Tensors = map[string]fixture.Tensor{}
	batch := func() {
		x, y := in.Randn(shape...), in.RandInt(0, 10, 8)
		loss := F.CrossEntropy(d.Forward(func() *torch.Tensor { return net.Run(x, len(got.Losses)) }), y)
		g.TranslateErrors(func() { loss.Backward() })
		got.Losses = append(got.Losses, loss.Item())
	}
	step := func(n int) {
		opt.ZeroGrad()
		if n >= r.Whole {
			for range max(r.Accumulate, 1) - 1 {
				d.NoSync(batch)
			}
		}
		batch()
		if n == 0 {
			got.gradients(net)
		}
		opt.Step()
	}
	if r.Join {
		d.Join(func() { steps(3+2*g.Rank(), step) }, ddp.JoinOptions{DivideByRemaining: r.Remaining})
	} else {
		steps(r.Steps, step)
	}
	for name, p := range nn.NamedParameters(net) {
		got.Tensors["param."+name] = fixtureOf(p.Tensor)
	}
	for name, b := range nn.NamedBuffers(net) {
		got.Tensors[fmt.Sprintf("buffer.%d.%s", g.Rank(), name)] = fixtureOf(b.Tensor)
	}
	return got, nil
}

func steps(n int, step func(n int)) {
	for i := range n {
		torch.Scope(func() { step(i) })
	}
}

func (got *trained) gradients(net nn.Module) {
	for name, p := range nn.NamedParameters(net) {
		if grad := p.Grad(); grad != nil {
			got.Tensors["grad."+name] = fixtureOf(grad)
		}
	}
}

// compare holds what a rank has to show against the recording: all of it, and nothing but it.
func (r training) compare(t *testing.T, c *fixture.Case, rank int, got trained) {
	t.Helper()
	tolerances := r.tolerances()
	c.EqualFloats(t, fmt.Sprintf("losses of rank %d", rank), r.Losses[rank], got.Losses, tolerances...)
	var want []string
	for _, prefix := range []string{"grad.", "param.", fmt.Sprintf("buffer.%d.", rank)} {
		for _, name := range c.Names(prefix) {
			want = append(want, prefix+name)
		}
	}
	require.ElementsMatch(t, want, slices.Collect(maps.Keys(got.Tensors)), "rank %d", rank)
	for _, name := range want {
		c.Equal(t, name, got.Tensors[name], tolerances...)
	}
}

// recorded gives the cases of training.
func recorded(t *testing.T) (file *fixture.File, cases map[string]training) {
	file = fixture.Open(t, "testdata/ddp.json.gz")
	cases = map[string]training{}
	for _, c := range file.Cases {
		var r training
		if c.Decode(t, &r); r.Kind == "ddp" {
			cases[c.Name] = r
		}
	}
	assert.Len(t, cases, 66)
	return file, cases
}

// TestTrainingIsPyTorchs trains as PyTorch's DistributedDataParallel was recorded to: losses, gradients, parameters and
// buffers of every rank, bit for bit.
func TestTrainingIsPyTorchs(t *testing.T) {
	file, cases := recorded(t)
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		for _, kind := range ranktest.Kinds {
			t.Run(kind+"/"+name, func(t *testing.T) {
				r := cases[name]
				got := make([]trained, r.World)
				ranktest.RequireNone(t, ranktest.Run(t, kind, r.World, dist.Options{},
					func(ctx context.Context, g *dist.Group) (err error) {
						got[g.Rank()], err = r.train(ctx, g)
						return err
					}))
				for rank := range got {
					r.compare(t, file.Case(t, name), rank, got[rank])
				}
			})
		}
	}
}
