package shard_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/ddp/shard"
	"github.com/golite/golite/dist"
)

// TestEqualsDDP: losses and parameters have DDP's bits, on one rank and on two, by either transport.
func TestEqualsDDP(t *testing.T) {
	for name := range models {
		for optimizer := range optimizers {
			for mode, reshard := range reshards {
				for _, kind := range []string{"inprocess", "gloo"} {
					for _, ranks := range []int{1, 2} {
						if optimizer == "fused" && (kind == "gloo" || name != "mlp") || ranks == 1 && kind == "gloo" {
							continue
						}
						t.Run(fmt.Sprintf("%s/%s/%s/%s/%d", name, optimizer, mode, kind, ranks), func(t *testing.T) {
							run(t, kind, ranks, func(ctx context.Context, g *dist.Group) error {
								return equalsDDP(ctx, g, name, optimizer, shard.Options{Reshard: reshard, BroadcastBuffers: true}, 20, 1)
							})
						})
					}
				}
			}
		}
	}
}

func equalsDDP(ctx context.Context, g *dist.Group, name, optimizer string, o shard.Options, steps, micro int) error {
	d, err := newTrainer(ctx, g, build(name), optimizer, nil)
	if err != nil {
		return err
	}
	defer d.close()
	want := d.train(steps, micro)
	s, err := newTrainer(ctx, g, build(name), optimizer, &o)
	if err != nil {
		return err
	}
	defer s.close()
	got := s.train(steps, micro)
	if optimizer == "fused" && g.Size() > 1 { // the kernel rounds by where an element lies among those of a vector
		return close("loss", want, got, 1e-6)
	}
	if err := equal("loss", want, got); err != nil {
		return err
	}
	return equal("parameters", d.state(), s.state())
}

// TestCloseToDDP: on four ranks, and where gradients are accumulated, sums are formed in another order.
func TestCloseToDDP(t *testing.T) {
	for name := range models {
		for mode, reshard := range reshards {
			for _, c := range []struct{ ranks, micro int }{{4, 1}, {2, 3}} {
				t.Run(fmt.Sprintf("%s/%s/%d/%d", name, mode, c.ranks, c.micro), func(t *testing.T) {
					run(t, "inprocess", c.ranks, func(ctx context.Context, g *dist.Group) error {
						d, err := newTrainer(ctx, g, build(name), "sgd", nil)
						if err != nil {
							return err
						}
						defer d.close()
						s, err := newTrainer(ctx, g, build(name), "sgd", &shard.Options{Reshard: reshard, BroadcastBuffers: true})
						if err != nil {
							return err
						}
						defer s.close()
						return close("loss", d.train(8, c.micro), s.train(8, c.micro), 1e-5)
					})
				})
			}
		}
	}
}

// TestTransports: goroutine ranks and ranks over Gloo have the same bits.
func TestTransports(t *testing.T) {
	var losses [2][]float64
	for i, kind := range []string{"inprocess", "plain gloo"} {
		run(t, kind, 3, func(ctx context.Context, g *dist.Group) error {
			s, err := newTrainer(ctx, g, build("transformer"), "adamw", &shard.Options{})
			if err != nil {
				return err
			}
			defer s.close()
			if l := s.train(6, 2); g.Rank() == 0 {
				losses[i] = l
			}
			return nil
		})
	}
	require.Equal(t, losses[0], losses[1])
}

// TestOffload: on a CPU it changes nothing but where rows are.
func TestOffload(t *testing.T) {
	for mode, reshard := range reshards {
		t.Run(mode, func(t *testing.T) {
			run(t, "inprocess", 2, func(ctx context.Context, g *dist.Group) error {
				return equalsDDP(ctx, g, "mlp", "adamw", shard.Options{Reshard: reshard, OffloadCPU: true}, 10, 1)
			})
		})
	}
}
