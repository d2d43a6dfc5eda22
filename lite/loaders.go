package lite

import (
	"context"
	"errors"
	"fmt"

	"github.com/golite/golite/sampler"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/cuda"
	"github.com/golite/golite/torch/data"
)

// LoaderOptions are SetupDataLoader's optional arguments.
type LoaderOptions struct {
	// NoMove leaves batches on the CPU.
	NoMove bool
	// KeepSampler leaves the sampler as it is: every rank then reads what it says.
	KeepSampler bool
	// Exact divides the samples among the ranks so that none is read twice: ranks may differ by one sample, and so
	// in their number of batches. It is for evaluation, where no collective runs inside the loop.
	Exact bool
}

// SetupDataLoader prepares a loader for the run: on several ranks each reads its own part (a shuffled loader in
// another order each pass, as by torch's DistributedSampler; a loader that was not shuffled stays in order; a user's
// own sampler or batch sampler is sharded), and batches arrive on the rank's device. The loader that is returned takes
// the place of the one given, and Batches counts the passes by itself.
func SetupDataLoader[B any](l *Lite, ld *data.Loader[B], opts ...LoaderOptions) (*data.Loader[B], error) {
	if len(opts) > 1 {
		return nil, fmt.Errorf("lite: SetupDataLoader: want at most one LoaderOptions, got %d", len(opts))
	}
	var o LoaderOptions
	if len(opts) == 1 {
		o = opts[0]
	}
	if ld == nil {
		return nil, errors.New("lite: SetupDataLoader: the loader is nil")
	}
	if err := ld.Err(); err != nil {
		return nil, fmt.Errorf("lite: SetupDataLoader: %w", err)
	}
	if _, again := taken.LoadOrStore(ld, l); again {
		return nil, errors.New("lite: SetupDataLoader: this loader was set up already: a loader is passed once")
	}
	l.atEnd(func() { taken.Delete(ld) })
	out, err := shardLoader(l, ld, o)
	if err != nil {
		return nil, err
	}
	device := l.device
	if device.Type == torch.CUDAType && !o.NoMove {
		out = out.WithStage(stageOn[B](device))
	} else {
		out = out.WithFinish(func(_ context.Context, b *B) error {
			if !o.NoMove && device.Type != torch.CPUType {
				*b = moveTo(*b, device)
			}
			return nil
		})
	}
	taken.Store(out, l)
	l.atEnd(func() { taken.Delete(out) })
	return out, nil
}

// stageOn copies batches to a GPU in a stream of its own, started by whoever reads them: while the device computes a step it receives the next batches.
func stageOn[B any](device torch.Device) func(context.Context, *B) (func(), error) {
	side := cuda.NewStream(device.Index)
	return func(_ context.Context, b *B) (ready func(), err error) {
		err = torch.Try(func() {
			var copied *cuda.Event
			cuda.WithStream(side, func() {
				*b = moveTo(*b, device)
				copied = cuda.NewEvent()
				copied.Record(side)
			})
			ready = func() {
				now := cuda.CurrentStream(device.Index)
				copied.Wait(now)
				torch.EachTensor(*b, func(t *torch.Tensor) {
					if t.Device() == device {
						now.Uses(t)
					}
				})
			}
		})
		return ready, err
	}
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
	if l.place.world == 1 || o.KeepSampler {
		return ld, nil
	}
	rank, world := l.place.global, l.place.world
	if ld.IsZip() {
		return nil, errors.New("lite: SetupDataLoader: set up the two loaders first and Zip the results: each has a sampler of its own")
	}
	if ld.IsIterable() {
		return ld.Shard(rank, world)
	}
	var seed uint64
	if l.seeded {
		seed = l.seed
	}
	own := ld.Options()
	batch, ok := ld.BatchSampler().(*sampler.Batch)
	if !ok {
		return ld.WithBatchSampler(sampler.NewShardBatches(ld.BatchSampler(), world, rank, o.Exact)), nil
	}
	var s sampler.Sampler
	switch given := batch.Sampler().(type) {
	case *sampler.Distributed:
		return ld, nil // the user's own choice
	case *sampler.Sequential:
		s = sampler.NewDistributed(ld.Samples(), world, rank, sampler.DistributedOptions{NoShuffle: true, Seed: seed, Exact: o.Exact})
	case *sampler.Random:
		if own.Sampler == nil {
			s = sampler.NewDistributed(ld.Samples(), world, rank, sampler.DistributedOptions{Seed: seed, Exact: o.Exact})
			break
		}
		s = sampler.NewShard(given, world, rank, o.Exact)
	default:
		s = sampler.NewShard(given, world, rank, o.Exact)
	}
	return ld.WithBatchSampler(batch.WithSampler(s)), nil
}
