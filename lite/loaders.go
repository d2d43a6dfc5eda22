package lite

import (
	"context"
	"errors"
	"fmt"

	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/sampler"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
)

// LoaderOptions are SetupDataLoader's optional arguments.
type LoaderOptions struct {
	// NoMove leaves batches on the CPU.
	NoMove bool
	// KeepSampler leaves the sampler as it is: every rank then reads what it says. A pass that another number of ranks
	// began goes on after as many batches of each rank.
	KeepSampler bool
	// Exact divides the samples among the ranks so that none is read twice: ranks may differ by one sample, and so
	// in their number of batches. It is for evaluation, where no collective runs inside the loop. It is refused where lite
	// doesn't divide: with KeepSampler, for an Iterable, and for a sampler.Distributed of the program's own, which has an Exact
	// of its own.
	Exact bool
}

// SetupDataLoader prepares a loader for the run: on several ranks each reads its own part (a shuffled loader in
// another order each pass, as by torch's DistributedSampler; a loader that was not shuffled stays in order; a user's
// own sampler or batch sampler is sharded; a sampler.Distributed of the user's own is left as it is; an Iterable gives each
// rank its Shard), its workers draw differently from other ranks' (SeedOptions.NoWorkers), and batches arrive on the rank's
// device. Where the run was asked to stop and has not called Stopping, its passes end with ErrStopped. The loader that
// is returned takes the place of the one given, and Batches counts the passes by itself. Of a Zip the two loaders are
// set up, and then zipped.
//
// A loader in the State of Save and Load resumes where it was. On another number of ranks the samples that are left of
// its pass are divided anew, in the order in which the pass was begun, so that each still comes once; the parts of an
// Iterable can't be, which Load logs.
//
// One rank alone reads in the loader's own order whatever the strategy is, where Fabric's "ddp" takes a
// DistributedSampler's on one device as well: a program has the same batches under every strategy of one device.
func SetupDataLoader[B any](l *Lite, ld *data.Loader[B], opts ...LoaderOptions) (*data.Loader[B], error) {
	o, err := options.One(opts)
	if err != nil {
		return nil, fmt.Errorf("lite: SetupDataLoader: %w", err)
	}
	if ld == nil {
		return nil, errors.New("lite: SetupDataLoader: the loader is nil")
	}
	if err := ld.Err(); err != nil {
		return nil, fmt.Errorf("lite: SetupDataLoader: %w", err)
	}
	if !noteLoader(l, ld) {
		return nil, errors.New("lite: SetupDataLoader: this loader was set up already: a loader is passed once")
	}
	out, err := shardLoader(l, ld, o)
	if err != nil {
		return nil, err
	}
	out = out.WithGate(l.rank.Stop.AtBatch)
	if !l.noWorkers {
		out = out.WithRank(l.rank.GlobalRank)
	}
	if !o.NoMove {
		out = moveBatches(l, out)
	}
	noteLoader(l, out)
	if o.KeepSampler {
		n := loaderNote(out)
		n.kept, n.own = true, ownSampler(out)
	}
	return out, nil
}

// moveBatches has the batches of a loader on the rank's device: copied beside its computation, started by the goroutine
// that reads them, where the accelerator is a Stager. The CPU's are moved as well: a data set may hold its tensors on a GPU.
func moveBatches[B any](l *Lite, ld *data.Loader[B]) *data.Loader[B] {
	a, device := l.accelerator, l.device
	stager, ok := a.(accelerator.Stager)
	if !ok {
		return ld.WithFinish(func(_ context.Context, b *B) error {
			*b = moveTo(*b, a, device)
			return nil
		})
	}
	stage := stager.Stage(device)
	return ld.WithTransfer(func(ctx context.Context, b *B) (func(), error) {
		ready, err := stage(ctx, func() { *b = moveTo(*b, a, device) })
		if ready == nil {
			return nil, err
		}
		return func() {
			var batch []*torch.Tensor
			torch.EachTensor(*b, func(t *torch.Tensor) { batch = append(batch, t) })
			ready(batch)
		}, err
	})
}

// SetupDataLoaders is SetupDataLoader for several loaders of one type.
func SetupDataLoaders[B any](l *Lite, lds []*data.Loader[B], opts ...LoaderOptions) ([]*data.Loader[B], error) {
	if len(lds) == 0 {
		return nil, errors.New("lite: SetupDataLoaders was given no loader")
	}
	out := make([]*data.Loader[B], len(lds))
	for i, ld := range lds {
		var err error
		if out[i], err = SetupDataLoader(l, ld, opts...); err != nil {
			return nil, fmt.Errorf("loader %d: %w", i, err)
		}
	}
	return out, nil
}

// shardLoader gives a rank its part.
func shardLoader[B any](l *Lite, ld *data.Loader[B], o LoaderOptions) (*data.Loader[B], error) {
	if err := checkExact(ld, o); err != nil {
		return nil, fmt.Errorf("lite: SetupDataLoader: %w", err)
	}
	if l.rank.WorldSize == 1 || o.KeepSampler {
		return ld, nil
	}
	rank, world := l.rank.GlobalRank, l.rank.WorldSize
	switch {
	case ld.IsZip():
		return nil, errors.New("lite: SetupDataLoader: set up the two loaders first and Zip the results: each has a sampler of its own")
	case ld.IsIterable():
		part, err := ld.Shard(rank, world)
		if err != nil {
			return nil, fmt.Errorf("lite: SetupDataLoader: %w", err)
		}
		return part, nil
	}
	batch, ok := ld.BatchSampler().(*sampler.Batch)
	if !ok {
		return ld.WithBatchSampler(sampler.NewShardBatches(ld.BatchSampler(), world, rank, o.Exact)), nil
	}
	given := batch.Sampler()
	_, own := given.(*sampler.Distributed)
	_, inOrder := given.(*sampler.Sequential)
	_, shuffled := given.(*sampler.Random)
	var s sampler.Sampler
	switch {
	case own:
		return ld, nil
	case inOrder, shuffled && ld.Options().Sampler == nil: // Shuffle's own, without settings of the user's
		s = sampler.NewDistributed(ld.Samples(), world, rank, sampler.DistributedOptions{NoShuffle: inOrder, Seed: l.seed, Exact: o.Exact})
	default:
		s = sampler.NewShard(given, world, rank, o.Exact)
	}
	return ld.WithBatchSampler(batch.WithSampler(s)), nil
}

// checkExact refuses Exact where nobody would see to it.
func checkExact[B any](ld *data.Loader[B], o LoaderOptions) error {
	if !o.Exact {
		return nil
	}
	if o.KeepSampler {
		return errors.New("options Exact and KeepSampler exclude each other: a sampler that stays as it is divides by itself")
	}
	if ld.IsIterable() {
		return errors.New("option Exact is for a data set that is read by index: of an Iterable, Shard decides which samples a rank reads")
	}
	if b, ok := ld.BatchSampler().(*sampler.Batch); ok {
		if _, own := b.Sampler().(*sampler.Distributed); own {
			return errors.New("option Exact is for a sampler that lite makes: the loader has a sampler.Distributed of its own, so set DistributedOptions.Exact there")
		}
	}
	return nil
}
