package distcount_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/golite/golite/ddp"
	"github.com/golite/golite/ddp/shard"
	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/distcount"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

const width = 1024 // rows of every parameter: no world pads

type block struct {
	nn.Base
	Norm *nn.LayerNorm
	FC   *nn.Linear
}

func (b *block) Forward(x *torch.Tensor) *torch.Tensor { return x.Add(b.FC.Forward(b.Norm.Forward(x))) }

type net struct {
	nn.Base
	Blocks *nn.ModuleList[*block]
	Head   *nn.Linear
}

func newNet() *net {
	var blocks []*block
	for range 3 {
		blocks = append(blocks, &block{Norm: nn.NewLayerNorm([]int{width}), FC: nn.NewLinear(width, width)})
	}
	n := &net{Blocks: nn.NewModuleList(blocks...), Head: nn.NewLinear(width, width)}
	return n
}

func (n *net) Forward(x *torch.Tensor) *torch.Tensor {
	for _, b := range n.Blocks.All() {
		x = b.Forward(x)
	}
	return n.Head.Forward(x)
}

// step is what one step sends, after two others.
func step(t *testing.T, world int, how *shard.Options) (sent, gathers, reductions distcount.Sent, params int64) {
	torch.Scope(func() {
		ctx := context.Background()
		g, c, end, err := distcount.Rank(ctx, world)
		require.NoError(t, err)
		defer end()
		n := newNet()
		for _, p := range nn.Parameters(n) {
			params += 4 * int64(p.Numel())
		}
		opt := optim.NewSGD(nn.Parameters(n), 0.001)
		run := train(t, ctx, g, n, opt, how)
		run()
		run()
		before, g0, r0 := c.Total(), c.Kind("all_gather"), c.Kind("reduce_scatter")
		run()
		sent, gathers, reductions = c.Total().Minus(before), c.Kind("all_gather").Minus(g0),
			c.Kind("reduce_scatter").Minus(r0)
	})
	return sent, gathers, reductions, params
}

func train(t *testing.T, ctx context.Context, g *dist.Group, n *net, opt optim.Optimizer, how *shard.Options) func() {
	x := torch.Randn(2, width)
	if how == nil {
		d, err := ddp.Wrap(ctx, g, n)
		require.NoError(t, err)
		t.Cleanup(d.Close)
		return func() {
			d.PreForward()
			loss := F.MSELoss(d.PostForward(n.Forward(x))[0], x)
			g.TranslateErrors(func() { loss.Backward() })
			opt.Step()
			opt.ZeroGrad()
		}
	}
	e, err := shard.New(ctx, g, *how)
	require.NoError(t, err)
	t.Cleanup(e.Close)
	m, err := e.Shard(n)
	require.NoError(t, err)
	require.NoError(t, e.SetupOptimizer(opt))
	return func() {
		out := m.Forward(func() []*torch.Tensor { return []*torch.Tensor{n.Forward(x)} })
		e.Backward(F.MSELoss(out[0], x), func(loss *torch.Tensor) { g.TranslateErrors(func() { loss.Backward() }) })
		e.Step(opt, func() bool { opt.Step(); return true })
		opt.ZeroGrad()
	}
}

// TestBytesOfAStep: with P bytes of parameters and N ranks, ddp sends 2 (N-1)/N P, as stages 1 and 2 and shard_grad_op
// do, and full sharding up to 3 (N-1)/N P: units that are still whole when backward begins are not gathered again. With
// each of its 14 gradients a rank sends the others a float32 that counts who had one.
func TestBytesOfAStep(t *testing.T) {
	page, err := os.ReadFile("../../docs/large.md")
	require.NoError(t, err)
	for _, world := range []int{8, 64, 1024} {
		for name, how := range map[string]*shard.Options{"ddp": nil, "stage 2": {Reshard: shard.Never},
			"shard_grad_op": {Reshard: shard.AfterBackward}, "full_shard": {}} {
			t.Run(fmt.Sprintf("%s/%d", name, world), func(t *testing.T) {
				sent, gathers, reductions, params := step(t, world, how)
				share := params * int64(world-1) / int64(world)
				row := fmt.Sprintf("| %s | %d | %d | %d | %d | %.3f |", name, world, sent.Calls, sent.Messages, sent.Bytes,
					float64(sent.Bytes)/float64(params))
				assert.Contains(t, string(page), row, "docs/large.md has another row")
				if how == nil {
					assert.Equal(t, 2*share, sent.Bytes)
					return
				}
				assert.Equal(t, share+int64(4*14*(world-1)), reductions.Bytes, "reduce-scatter of all gradients")
				if how.Reshard == shard.AfterForward {
					assert.Greater(t, gathers.Bytes, share)
					assert.LessOrEqual(t, gathers.Bytes, 2*share)
				} else {
					assert.Equal(t, share, gathers.Bytes)
				}
			})
		}
	}
}

// TestCounts: single collectives against their formulas.
func TestCounts(t *testing.T) {
	torch.Scope(func() {
		g, c, end, err := distcount.Rank(context.Background(), 8)
		require.NoError(t, err)
		defer end()
		v := g.AllReduce(torch.Ones(100), dist.Sum)
		require.Equal(t, float32(8), torch.ToSlice[float32](v)[0])
		require.Equal(t, distcount.Sent{Calls: 1, Messages: 14, Bytes: 700}, c.Kind("all_reduce"))
		g.Broadcast(torch.Ones(100), 0)
		require.Equal(t, distcount.Sent{Calls: 1, Messages: 1, Bytes: 400}, c.Kind("broadcast"))
		g.AllGatherInto(torch.Zeros(80), torch.Ones(10))
		require.Equal(t, distcount.Sent{Calls: 1, Messages: 7, Bytes: 280}, c.Kind("all_gather"))
		g.ReduceScatterTensor(torch.Zeros(10), torch.Ones(80), dist.Sum)
		require.Equal(t, distcount.Sent{Calls: 1, Messages: 7, Bytes: 280}, c.Kind("reduce_scatter"))
		require.Equal(t, 4, c.Total().Calls)
	})
}
