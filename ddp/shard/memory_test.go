package shard_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/ddp/shard"
	"github.com/golite/golite/dist"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

// even is a model whose rows 4 divides: three blocks of 16*16+16 elements, and a root of 4*16+4.
type even struct {
	nn.Base
	Blocks []*nn.Linear
	Head   *nn.Linear
}

func (m *even) Forward(x *torch.Tensor) *torch.Tensor {
	for _, b := range m.Blocks {
		x = F.GELU(b.Forward(x))
	}
	return m.Head.Forward(x)
}

// TestMemory: a rank holds (parameters + gradients + moments)/ranks, and at most two blocks beside the root are whole.
func TestMemory(t *testing.T) {
	const blockBytes, rootBytes, blocks = 4 * (16*16 + 16), 4 * (4*16 + 4), 5
	const whole = blocks*blockBytes + rootBytes
	for _, ranks := range []int{1, 2, 4} {
		for mode, reshard := range reshards {
			t.Run(fmt.Sprintf("%s/%d", mode, ranks), func(t *testing.T) {
				run(t, "inprocess", ranks, func(ctx context.Context, g *dist.Group) error {
					m := &even{Head: nn.NewLinear(16, 4)}
					for range blocks {
						m.Blocks = append(m.Blocks, nn.NewLinear(16, 16))
					}
					e, err := shard.New(ctx, g, shard.Options{Reshard: reshard})
					if err != nil {
						return err
					}
					defer e.Close()
					x, err := e.Shard(m)
					if err != nil {
						return err
					}
					opt := optim.NewAdamW(nn.Parameters(m), 1e-3)
					if err := e.SetupOptimizer(opt); err != nil {
						return err
					}
					for range 3 {
						torch.Scope(func() {
							opt.ZeroGrad()
							out := x.Forward(func() []*torch.Tensor { return []*torch.Tensor{m.Forward(torch.Randn(3, 16))} })
							e.Backward(out[0].Sum(), func(loss *torch.Tensor) { loss.Backward() })
							e.Step(opt, func() bool { opt.Step(); return true })
						})
					}
					r := e.Report(opt)
					steps := 0 // counts of steps, one a parameter
					for range nn.Parameters(m) {
						steps += 4
					}
					want := shard.Report{Parameters: whole / ranks, Gradients: whole / ranks, Optimizers: 2*whole/ranks + steps, Whole: whole}
					switch reshard {
					case shard.AfterForward:
						want.Peak = rootBytes + 2*blockBytes
					case shard.AfterBackward:
						want.Peak = whole
					default:
						want.Parameters = whole
					}
					if r != want {
						return fmt.Errorf("%+v, want %+v", r, want)
					}
					return nil
				})
			})
		}
	}
}

// TestLeaks: after many steps as many tensors live as after few, and after Close those of the model alone.
func TestLeaks(t *testing.T) {
	for mode, reshard := range reshards {
		t.Run(mode, func(t *testing.T) {
			run(t, "inprocess", 1, func(ctx context.Context, g *dist.Group) error {
				n := build("mlp")
				before := settled()
				s, err := newTrainer(ctx, g, n, "sgd", &shard.Options{Reshard: reshard})
				if err != nil {
					return err
				}
				s.train(3, 2)
				few := settled()
				s.train(30, 2)
				if many := settled(); many > few {
					return fmt.Errorf("%d tensors after few steps, %d after many", few, many)
				}
				state := 0
				for _, v := range s.opt.StateDict()["state"].(map[int]any) {
					state += len(v.(map[string]any))
				}
				s.close()
				if after := settled(); after > before+state {
					return fmt.Errorf("%d tensors at the start, %d and %d of the optimizer's at the end", before, after, state)
				}
				return nil
			})
		})
	}
}

// TestCloseModule: a module that is closed is no part of the next one's passes, and its parameters can be cut anew.
func TestCloseModule(t *testing.T) {
	for mode, reshard := range reshards {
		t.Run(mode, func(t *testing.T) {
			run(t, "inprocess", 2, func(ctx context.Context, g *dist.Group) error {
				a, err := newTrainer(ctx, g, build("mlp"), "sgd", &shard.Options{Reshard: reshard})
				if err != nil {
					return err
				}
				defer a.close()
				want := a.train(2, 1)
				a.loss(a.batch()) // a pass whose backward never comes
				a.m.Close()
				a.m.Close()
				if a.e.Has(nn.Parameters(a.module)[0].Tensor) || a.e.Report() != (shard.Report{Peak: a.e.Report().Peak}) {
					return fmt.Errorf("the module is left: %+v", a.e.Report())
				}
				b := *a
				b.net, b.random = build("mlp"), torch.NewGenerator(uint64(100+g.Rank()))
				b.opt = optimizers["sgd"](nn.Parameters(b.module))
				if b.m, err = b.e.Shard(b.module); err != nil {
					return err
				}
				return equal("losses", want, b.train(2, 1))
			})
		})
	}
}

// settled is the number of tensors once the collector has nothing left to do.
func settled() int {
	n := torch.LiveTensors()
	for range 20 {
		runtime.GC()
		time.Sleep(5 * time.Millisecond)
		if m := torch.LiveTensors(); m < n {
			n = m
		}
	}
	return n
}

// TestRows is torch.chunk's cut.
func TestRows(t *testing.T) {
	for _, c := range []struct{ n, ranks, rank, from, to int }{
		{5, 2, 0, 0, 3}, {5, 2, 1, 3, 5}, {3, 4, 2, 2, 3}, {3, 4, 3, 3, 3}, {5, 4, 2, 4, 5}, {5, 4, 3, 5, 5}, {0, 2, 1, 0, 0}, {8, 4, 3, 6, 8},
	} {
		from, to := shard.Rows(c.n, c.rank, c.ranks)
		require.Equal(t, [2]int{c.from, c.to}, [2]int{from, to}, "%+v", c)
	}
}
