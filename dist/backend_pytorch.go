package dist

import (
	"context"
	"errors"
	"fmt"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/dist/internal/health"
	"github.com/golite/golite/internal/options"
)

// NewGlooWithPyTorch makes the group of a rank among ranks of which some are Python processes that call
// torch.distributed.init_process_group("gloo"). The store is the TCPStore at their init_method's address, kept by rank
// 0, in Go, or in Python (then with Workers set to size here). Collectives and DistributedDataParallel of both sides
// fit together. Ranks don't compare their calls, don't exchange the reasons of failures, and have no sub-groups.
func NewGlooWithPyTorch(ctx context.Context, s *Store, rank, size int, opts ...Options) (*Group, error) {
	o, err := options.Named("dist.NewGlooWithPyTorch", opts)
	if err != nil {
		return nil, err
	}
	if rank < 0 || rank >= size {
		return nil, fmt.Errorf("dist.NewGlooWithPyTorch: there is no rank %d among %d", rank, size)
	}
	// The names under which PyTorch's default group, its first backend and its CPU device rendezvous.
	view, err := s.Prefix("default_pg")
	for _, p := range []string{"0/", "cpu/"} {
		if err != nil {
			return nil, err
		}
		outer := view
		view, err = outer.Prefix(p)
		outer.Close()
	}
	if err != nil {
		return nil, err
	}
	t := &pytorchRanks{glooTransport{store: view}}
	g := &Group{rank: rank, size: size, opts: o.filled(), transport: t}
	within, cancel := g.deadline(ctx)
	defer cancel()
	c, err := t.dial(within, g, false, "", func(err error) error {
		return fmt.Errorf("dist.NewGlooWithPyTorch: rank %d of %d, %w", rank, size, err)
	})
	if err != nil {
		return nil, err
	}
	g.c = c
	return newGroup(ctx, g), nil
}

// pytorchRanks connects processes of which some are PyTorch's: no key of golite's own is in the store.
type pytorchRanks struct{ glooTransport }

func (*pytorchRanks) foreign() bool { return true }

func (t *pytorchRanks) board(g *Group) health.Board {
	return health.NewStoreBoard(t.store, g.rank, g.size, true)
}

func (*pytorchRanks) keepsBoard() bool { return false }

func (*pytorchRanks) sub(context.Context, *Group, cgotorch.Group) (*Group, error) {
	return nil, errors.New("dist.Group.Sub: a group with ranks of PyTorch has no sub-groups; make another one with a " +
		"store of its own")
}
