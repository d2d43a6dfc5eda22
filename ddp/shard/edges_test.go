package shard_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/ddp/shard"
	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/ranktest"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
)

// loop is a training loop that DDP and shards run alike, after which their parameters are equal.
type loop func(t *trainer, step int)

func (t *trainer) batch() (x, y *torch.Tensor) { return t.input(t.random) }

var loops = map[string]loop{
	"zero gradients between forward and backward": func(t *trainer, _ int) {
		x, y := t.batch()
		loss := t.loss(x, y)
		t.opt.ZeroGrad()
		t.backward(loss)
		t.step()
	},
	"two forward passes, one backward": func(t *trainer, _ int) {
		x, y := t.batch()
		a := t.twice(x, y)
		t.backward(a)
		t.step()
		t.opt.ZeroGrad()
	},
	"a forward pass without backward": func(t *trainer, _ int) {
		x, y := t.batch()
		if t.e != nil {
			t.loss(x, y)
		}
		t.backward(t.loss(x, y))
		if t.e != nil {
			t.loss(x, y) // between backward and step
		}
		t.step()
		t.opt.ZeroGrad()
	},
	"evaluation between": func(t *trainer, _ int) {
		x, y := t.batch()
		loss := t.loss(x, y)
		torch.NoGrad(func() { t.evaluate(x) })
		t.backward(loss)
		torch.NoGrad(func() { t.evaluate(x) })
		t.step()
		torch.InferenceMode(func() { t.evaluate(x) })
		t.opt.ZeroGrad()
	},
	"frozen and unfrozen": func(t *trainer, step int) {
		m := t.module.(*mlp)
		if t.e != nil {
			nn.RequiresGrad(m.Blocks[1], step%2 == 0)
		} else { // DDP is for the same parameters in each step
			nn.RequiresGrad(m.Blocks[1], true)
		}
		x, y := t.batch()
		t.backward(t.loss(x, y))
		if step%2 == 1 {
			for _, p := range nn.Parameters(m.Blocks[1]) {
				p.SetGrad(nil)
			}
		}
		t.step()
		t.opt.ZeroGrad()
	},
	"checkpoints of blocks": func(t *trainer, _ int) {
		x, y := t.batch()
		m := t.module.(*mlp)
		before := t.forward
		t.forward = func(x *torch.Tensor) *torch.Tensor {
			x = torch.Checkpoint(m.Blocks[0].Forward)(x.Mul(m.Scale.Tensor))
			x = torch.Checkpoint(func(x *torch.Tensor) *torch.Tensor { return m.Blocks[2].Forward(m.Blocks[1].Forward(x)) })(x)
			return m.Head.Forward(x)
		}
		t.backward(t.loss(x, y))
		t.forward = before
		t.step()
		t.opt.ZeroGrad()
	},
	"a block that is called twice": func(t *trainer, _ int) {
		x, y := t.batch()
		m := t.module.(*mlp)
		before := t.forward
		t.forward = func(x *torch.Tensor) *torch.Tensor {
			x = x.Mul(m.Scale.Tensor)
			for _, i := range []int{0, 1, 0, 2, 1} {
				x = m.Blocks[i].Forward(x)
			}
			return m.Head.Forward(x)
		}
		t.backward(t.loss(x, y))
		t.forward = before
		t.step()
		t.opt.ZeroGrad()
	},
	"backward within the forward pass": func(t *trainer, _ int) {
		x, y := t.batch()
		if t.e == nil {
			t.backward(t.loss(x, y))
		} else {
			m := t.module.(*mlp)
			t.m.Forward(func() []*torch.Tensor {
				loss := F.CrossEntropy(m.Forward(x), y)
				t.backward(loss)
				return []*torch.Tensor{m.Scale.Tensor.Detach().Sum(), m.Forward(x)}
			})
		}
		t.step()
		t.opt.ZeroGrad()
	},
	"the graph kept for a second backward": func(t *trainer, _ int) {
		x, y := t.batch()
		if t.e == nil {
			loss := t.loss(x, y)
			t.backward(loss.MulScalar(2))
		} else {
			loss := t.loss(x, y)
			t.e.Backward(loss, func(loss *torch.Tensor) { loss.Backward(torch.BackwardOptions{RetainGraph: true}) })
			t.backward(loss)
		}
		t.step()
		t.opt.ZeroGrad()
	},
}

func (t *trainer) twice(x, y *torch.Tensor) *torch.Tensor {
	if t.e == nil {
		t.d.PreForward()
		out := t.d.PostForward(t.forward(x), t.forward(x.MulScalar(0.5)))
		return F.CrossEntropy(out[0], y).Add(F.CrossEntropy(out[1], y))
	}
	return t.loss(x, y).Add(t.loss(x.MulScalar(0.5), y))
}

func (t *trainer) evaluate(x *torch.Tensor) {
	if t.e != nil {
		t.m.Forward(func() []*torch.Tensor { return []*torch.Tensor{t.forward(x)} })
	}
}

// TestLoops: whatever a loop does, parameters are DDP's, but for the rounding of sums.
func TestLoops(t *testing.T) {
	for name, f := range loops {
		for mode, reshard := range reshards {
			for _, ranks := range []int{1, 2, 3} {
				t.Run(fmt.Sprintf("%s/%s/%d", name, mode, ranks), func(t *testing.T) {
					run(t, "inprocess", ranks, func(ctx context.Context, g *dist.Group) error {
						var states [2][]float64
						for i, o := range []*shard.Options{nil, {Reshard: reshard}} {
							tr, err := newTrainer(ctx, g, build("mlp"), "sgd", o)
							if err != nil {
								return err
							}
							for step := range 5 {
								torch.Scope(func() { f(tr, step) })
							}
							for _, v := range tr.state() {
								states[i] = append(states[i], float64(v)+1)
							}
							tr.close()
						}
						return close("parameters", states[0], states[1], 1e-5)
					})
				})
			}
		}
	}
}

// TestUnused: a parameter without gradient on one rank counts as zeros there; one without on all ranks has none.
func TestUnused(t *testing.T) {
	for mode, reshard := range reshards {
		t.Run(mode, func(t *testing.T) {
			run(t, "inprocess", 2, func(ctx context.Context, g *dist.Group) error {
				n := build("mlp")
				m := n.module.(*mlp)
				tr, err := newTrainer(ctx, g, n, "sgd", &shard.Options{Reshard: reshard})
				if err != nil {
					return err
				}
				defer tr.close()
				up := m.Blocks[1].Up
				x, y := tr.batch()
				tr.forward = func(x *torch.Tensor) *torch.Tensor {
					x = m.Blocks[0].Forward(x.Mul(m.Scale.Tensor))
					h := m.Blocks[1].Norm.Forward(x)
					h = up.Forward(h)
					if g.Rank() == 1 { // the layer is called, and the loss does not depend on it
						h = torch.Ones(4, 7)
					}
					x = x.Add(m.Blocks[1].Down.Forward(h))
					return m.Head.Forward(x)
				}
				tr.backward(tr.loss(x, y))
				if up.Weight.Grad() == nil {
					return errors.New("a parameter that one rank has used has no gradient")
				}
				if m.Blocks[2].Up.Weight.Grad() != nil {
					return errors.New("a parameter that no rank has used has a gradient")
				}
				tr.opt.ZeroGrad()
				tr.forward = n.forward
				tr.train(2, 1)
				return nil
			})
		})
	}
}

// TestException: where one rank's forward pass fails, the others end with its error, and parameters can be used.
func TestException(t *testing.T) {
	for mode, reshard := range reshards {
		t.Run(mode, func(t *testing.T) {
			errs := ranktest.Run(t, "inprocess", 2, dist.Options{}, func(ctx context.Context, g *dist.Group) error {
				n := build("mlp")
				m := n.module.(*mlp)
				tr, err := newTrainer(ctx, g, n, "sgd", &shard.Options{Reshard: reshard})
				if err != nil {
					return err
				}
				tr.train(2, 1)
				tr.forward = func(x *torch.Tensor) *torch.Tensor {
					x = m.Blocks[0].Forward(x)
					if g.Rank() == 1 {
						torch.Fail("test", "no memory left")
					}
					return m.Head.Forward(m.Blocks[2].Forward(m.Blocks[1].Forward(x)))
				}
				err = dist.Try(func() { tr.train(1, 1) })
				if err != nil && g.Rank() == 1 {
					g.Fail(err)
				}
				tr.close()
				for _, p := range nn.Parameters(n.module) {
					p.Sum().Item()
				}
				return err
			})
			require.ErrorContains(t, errs[1], "no memory left")
			var lost *dist.RankError
			require.ErrorAs(t, errs[0], &lost)
			require.ErrorContains(t, errs[0], "no memory left")
		})
	}
}

// TestSurvives: a pass that fails on all ranks alike, and is given up, does no harm to the next.
func TestSurvives(t *testing.T) {
	for mode, reshard := range reshards {
		for _, in := range []string{"forward", "backward"} {
			t.Run(mode+"/"+in, func(t *testing.T) {
				run(t, "inprocess", 2, func(ctx context.Context, g *dist.Group) error {
					var losses [2][]float64
					for i := range losses {
						n := build("mlp")
						m := n.module.(*mlp)
						tr, err := newTrainer(ctx, g, n, "sgd", &shard.Options{Reshard: reshard})
						if err != nil {
							return err
						}
						tr.train(2, 1)
						if i == 1 {
							tr.forward = func(x *torch.Tensor) *torch.Tensor {
								x = m.Blocks[0].Forward(x)
								x = m.Blocks[1].Forward(x)
								if in == "forward" {
									torch.Fail("test", "given up")
								}
								x.RegisterHook(func(*torch.Tensor) *torch.Tensor { torch.Fail("test", "given up"); return nil })
								return m.Head.Forward(m.Blocks[2].Forward(x))
							}
							x := torch.Ones(4, 5)
							y := torch.Options{DType: torch.Int64}.Zeros(4)
							if err := torch.Try(func() { torch.Scope(func() { tr.backward(tr.loss(x, y)) }) }); err == nil {
								return errors.New("the pass has not failed")
							}
							tr.forward = n.forward
						}
						losses[i] = tr.train(2, 1)
						tr.close()
					}
					return equal("losses", losses[0], losses[1])
				})
			})
		}
	}
}

// TestRefusals: what can't be done is refused with the remedy.
func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		f    func(ctx context.Context, g *dist.Group) error
		want string
	}{
		"gradients of gradients": {func(ctx context.Context, g *dist.Group) error {
			tr, err := newTrainer(ctx, g, build("mlp"), "sgd", &shard.Options{})
			if err != nil {
				return err
			}
			defer tr.close()
			x, y := tr.batch()
			return torch.Try(func() { tr.loss(x, y).Backward(torch.BackwardOptions{CreateGraph: true}) })
		}, "keeps them"},
		"the module's own forward": {func(ctx context.Context, g *dist.Group) error {
			tr, err := newTrainer(ctx, g, build("mlp"), "sgd", &shard.Options{})
			if err != nil {
				return err
			}
			defer tr.close()
			return torch.Try(func() { tr.module.(*mlp).Blocks[0].Forward(torch.Ones(2, 5)) })
		}, "outside of a forward pass"},
		"one parameter in two modules": {func(ctx context.Context, g *dist.Group) error {
			n := build("mlp")
			tr, err := newTrainer(ctx, g, n, "sgd", &shard.Options{})
			if err != nil {
				return err
			}
			defer tr.close()
			_, err = tr.e.Shard(n.module.(*mlp).Head)
			return err
		}, "belongs to one module"},
		"other modules": {func(ctx context.Context, g *dist.Group) error {
			e, err := shard.New(ctx, g, shard.Options{})
			if err != nil {
				return err
			}
			_, err = e.Shard(nn.NewLinear(3, 2+g.Rank()))
			return err
		}, "differs on the ranks"},
		"a type that is none": {func(ctx context.Context, g *dist.Group) error {
			_, err := shard.New(ctx, g, shard.Options{ParamDType: torch.Int64})
			return err
		}, "ParamDType"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, err := range ranktest.Run(t, "inprocess", 2, dist.Options{}, c.f) {
				require.ErrorContains(t, err, c.want)
			}
		})
	}
}
