package shard_test

import (
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/golite/golite/ddp"
	"github.com/golite/golite/ddp/shard"
	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/ranktest"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

func TestMain(m *testing.M) { ranktest.Main(m) }

// net is a model of a test.
type net struct {
	module  nn.Module
	forward func(x *torch.Tensor) *torch.Tensor
	input   func(g *torch.Generator) (x, y *torch.Tensor)
}

// mlp has blocks in a slice, of a size that no number of ranks divides, a head and a parameter of its own.
type mlp struct {
	nn.Base
	Scale  nn.Parameter
	Blocks []*block
	Head   *nn.Linear
}

type block struct {
	nn.Base
	Norm *nn.LayerNorm
	Up   *nn.Linear
	Down *nn.Linear
}

func (b *block) Forward(x *torch.Tensor) *torch.Tensor {
	return x.Add(b.Down.Forward(F.GELU(b.Up.Forward(b.Norm.Forward(x)))))
}

func newMLP(blocks int) *mlp {
	m := &mlp{Scale: nn.NewParameter(torch.Ones(5)), Head: nn.NewLinear(5, 3)}
	for range blocks {
		m.Blocks = append(m.Blocks, &block{Norm: nn.NewLayerNorm([]int{5}), Up: nn.NewLinear(5, 7), Down: nn.NewLinear(7, 5)})
	}
	return m
}

func (m *mlp) Forward(x *torch.Tensor) *torch.Tensor {
	x = x.Mul(m.Scale.Tensor)
	for _, b := range m.Blocks {
		x = b.Forward(x)
	}
	return m.Head.Forward(x)
}

// convs has BatchNorm, in a Sequential.
type convs struct {
	nn.Base
	Body *nn.Sequential
	Head *nn.Linear
}

func newConvs() *convs {
	return &convs{Body: nn.NewSequential(nn.NewConv2d(1, 4, 3), nn.NewBatchNorm2d(4), nn.NewReLU(), nn.NewConv2d(4, 3, 3), nn.NewBatchNorm2d(3)),
		Head: nn.NewLinear(3*4*4, 3)}
}

func (m *convs) Forward(x *torch.Tensor) *torch.Tensor {
	return m.Head.Forward(m.Body.Forward(x).Flatten(1, -1))
}

// tied has an embedding whose weight is the head's.
type tied struct {
	nn.Base
	Embed  *nn.Embedding
	Blocks []*block
	Head   *nn.Linear
}

func newTied() *tied {
	m := &tied{Embed: nn.NewEmbedding(11, 5), Blocks: newMLP(2).Blocks, Head: nn.NewLinear(5, 11, nn.LinearOptions{NoBias: true})}
	m.Head.Weight = m.Embed.Weight
	return m
}

func (m *tied) Forward(x *torch.Tensor) *torch.Tensor {
	h := m.Embed.Forward(x)
	for _, b := range m.Blocks {
		h = b.Forward(h)
	}
	return m.Head.Forward(h).Mean(1)
}

// transformer is golite's own layers.
type transformer struct {
	nn.Base
	Encoder *nn.TransformerEncoder
	Head    *nn.Linear
}

func newTransformer() *transformer {
	layer := nn.NewTransformerEncoderLayer(8, 2, nn.TransformerOptions{DimFeedforward: 10, BatchFirst: true, Dropout: new(float64)})
	return &transformer{Encoder: nn.NewTransformerEncoder(layer, 3), Head: nn.NewLinear(8, 3)}
}

func (m *transformer) Forward(x *torch.Tensor) *torch.Tensor {
	return m.Head.Forward(m.Encoder.Forward(x).Mean(1))
}

func classes(g *torch.Generator, n, k int) *torch.Tensor {
	return torch.Options{DType: torch.Int64, Generator: g}.RandInt(0, k, n)
}

var models = map[string]func() net{
	"mlp": func() net {
		m := newMLP(3)
		return net{m, m.Forward, func(g *torch.Generator) (x, y *torch.Tensor) {
			return torch.Options{Generator: g}.Randn(4, 5), classes(g, 4, 3)
		}}
	},
	"conv": func() net {
		m := newConvs()
		return net{m, m.Forward, func(g *torch.Generator) (x, y *torch.Tensor) {
			return torch.Options{Generator: g}.Randn(4, 1, 8, 8), classes(g, 4, 3)
		}}
	},
	"tied": func() net {
		m := newTied()
		return net{m, m.Forward, func(g *torch.Generator) (x, y *torch.Tensor) {
			return torch.Options{DType: torch.Int64, Generator: g}.RandInt(0, 11, 4, 3), classes(g, 4, 11)
		}}
	},
	"transformer": func() net {
		m := newTransformer()
		return net{m, m.Forward, func(g *torch.Generator) (x, y *torch.Tensor) {
			return torch.Options{Generator: g}.Randn(4, 3, 8), classes(g, 4, 3)
		}}
	},
}

// build makes a model from a seed.
func build(name string) (n net) {
	torch.WithGenerator(torch.NewGenerator(3), func() { n = models[name]() })
	return n
}

var optimizers = map[string]func(p []nn.Parameter) optim.Optimizer{
	"sgd": func(p []nn.Parameter) optim.Optimizer {
		return optim.NewSGD(p, 0.05, optim.SGDOptions{Momentum: 0.9})
	},
	"adamw": func(p []nn.Parameter) optim.Optimizer { return optim.NewAdamW(p, 1e-2) },
	"fused": func(p []nn.Parameter) optim.Optimizer {
		return optim.NewAdamW(p, 1e-2, optim.AdamWOptions{Fused: true})
	},
}

// trainer is a rank's loop, with shards or as DDP's.
type trainer struct {
	net
	g      *dist.Group
	e      *shard.Engine
	m      *shard.Module
	d      *ddp.DistributedDataParallel
	opt    optim.Optimizer
	random *torch.Generator
}

// newTrainer makes the optimizer before the parameters are cut. o nil is DDP.
func newTrainer(ctx context.Context, g *dist.Group, n net, optimizer string, o *shard.Options) (*trainer, error) {
	return newTrainerWith(ctx, g, n, optimizers[optimizer](nn.Parameters(n.module)), o)
}

func newTrainerWith(ctx context.Context, g *dist.Group, n net, opt optim.Optimizer, o *shard.Options) (*trainer, error) {
	t := &trainer{net: n, g: g, random: torch.NewGenerator(uint64(100 + g.Rank())), opt: opt}
	var err error
	if o == nil {
		t.d, err = ddp.Wrap(ctx, g, n.module)
		return t, err
	}
	if t.e, err = shard.New(ctx, g, *o); err != nil {
		return nil, err
	}
	if t.m, err = t.e.Shard(n.module); err != nil {
		return nil, err
	}
	return t, t.e.SetupOptimizer(t.opt)
}

func (t *trainer) close() {
	if t.e != nil {
		t.e.Close()
	} else {
		t.d.Close()
	}
}

// loss is one forward pass.
func (t *trainer) loss(x, y *torch.Tensor) (loss *torch.Tensor) {
	if t.e == nil {
		t.d.PreForward()
		out := t.d.PostForward(t.forward(x))[0]
		return F.CrossEntropy(out, y)
	}
	out := t.m.Forward(func() []*torch.Tensor { return []*torch.Tensor{t.forward(x)} })
	return F.CrossEntropy(out[0], y)
}

func (t *trainer) backward(loss *torch.Tensor) {
	if t.e == nil {
		t.g.TranslateErrors(func() { loss.Backward() })
		return
	}
	t.e.Backward(loss, func(loss *torch.Tensor) { t.g.TranslateErrors(func() { loss.Backward() }) })
}

func (t *trainer) step() {
	if t.e == nil {
		t.opt.Step()
		return
	}
	t.e.Step(t.opt, func() bool { t.opt.Step(); return true })
}

// train makes steps and returns the losses.
func (t *trainer) train(steps, micro int) (losses []float64) {
	for range steps {
		torch.Scope(func() {
			for range micro {
				x, y := t.input(t.random)
				loss := t.loss(x, y)
				losses = append(losses, loss.Item())
				t.backward(loss)
			}
			t.step()
			t.opt.ZeroGrad()
		})
	}
	return losses
}

// state is the whole model, flat, on all ranks.
func (t *trainer) state() []float32 {
	var all []float32
	torch.Scope(func() {
		sd := nn.StateDict(t.module)
		if t.e != nil {
			var err error
			if sd, err = t.m.StateDict(true); err != nil {
				panic(err)
			}
		}
		for name, v := range sd.All() {
			if v.DType() == torch.Float32 && !isBuffer(name) {
				all = append(all, torch.ToSlice[float32](v)...)
			}
		}
	})
	return all
}

func isBuffer(name string) bool {
	return len(name) > 8 && name[len(name)-4:] == "_var" || len(name) > 8 && name[len(name)-5:] == "_mean"
}

var reshards = map[string]shard.Reshard{"full_shard": shard.AfterForward, "shard_grad_op": shard.AfterBackward, "never": shard.Never}

// run runs ranks and fails the test by their errors.
func run(t *testing.T, kind string, ranks int, f func(ctx context.Context, g *dist.Group) error) {
	t.Helper()
	ranktest.RequireNone(t, ranktest.Run(t, kind, ranks, dist.Options{}, f))
}

// equal compares slices and names the first difference.
func equal[E comparable](what string, want, got []E) error {
	if len(want) != len(got) {
		return fmt.Errorf("%s: %d values, want %d", what, len(got), len(want))
	}
	for i := range want {
		if want[i] != got[i] {
			return fmt.Errorf("%s: value %d of %d is %v, want %v", what, i, len(want), got[i], want[i])
		}
	}
	return nil
}

// close compares within a relative tolerance.
func close(what string, want, got []float64, tolerance float64) error {
	for i := range want {
		if math.Abs(want[i]-got[i]) > tolerance*math.Abs(want[i]) || len(want) != len(got) {
			return fmt.Errorf("%s: value %d of %d is %v, want %v", what, i, len(want), got[i], want[i])
		}
	}
	return nil
}
