package ddp_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/ddp"
	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/ranktest"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

// Checkpoints inside of a model change nothing of what DistributedDataParallel computes, with parameters that are used
// in each pass and with some that are not.
func TestCheckpointUnderDDP(t *testing.T) {
	for name, o := range map[string]ddp.ParallelOptions{"all used": {}, "some unused": {FindUnusedParameters: true}} {
		for _, kind := range []string{"inprocess", "plain gloo"} {
			t.Run(name+" "+kind, func(t *testing.T) {
				plain, checkpointed := gradientsUnderDDP(t, kind, o, false), gradientsUnderDDP(t, kind, o, true)
				require.Equal(t, plain, checkpointed)
				require.Equal(t, plain[0], plain[1])
			})
		}
	}
}

func gradientsUnderDDP(t *testing.T, kind string, o ddp.ParallelOptions, checkpoint bool) [][][]float32 {
	var mu sync.Mutex
	ranks := make([][][]float32, 2)
	ranktest.RequireNone(t, ranktest.Run(t, kind, 2, dist.Options{}, func(ctx context.Context, g *dist.Group) (err error) {
		var net *deep
		torch.WithGenerator(torch.NewGenerator(1), func() { net = newDeep() })
		used := len(net.Layers)
		if o.FindUnusedParameters {
			used--
		}
		d, err := ddp.Wrap(ctx, g, net, o)
		if err != nil {
			return err
		}
		defer d.Close()
		return dist.Try(func() {
			var all [][]float32
			drop := nn.NewDropout(0.5)
			torch.WithGenerator(torch.NewGenerator(uint64(5+g.Rank())), func() {
				for range 3 {
					torch.Scope(func() {
						nn.ZeroGrad(net)
						x := torch.Randn(2, deepWidth)
						out := d.Forward(func() *torch.Tensor {
							for _, l := range net.Layers[:used] {
								f := func(x *torch.Tensor) *torch.Tensor { return drop.Forward(l.Forward(x).Tanh()) }
								if checkpoint {
									f = torch.Checkpoint(f)
								}
								x = f(x)
							}
							return x
						})
						g.TranslateErrors(func() { out.Square().Sum().Backward() })
						for _, l := range net.Layers[:used] {
							all = append(all, floats(l.Weight.Grad().View(-1)))
						}
					})
				}
			})
			mu.Lock()
			defer mu.Unlock()
			ranks[g.Rank()] = all
		})
	}))
	return ranks
}
