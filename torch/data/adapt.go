package data

import (
	"context"
	"errors"

	"github.com/golite/golite/sampler"
)

// The functions here adapt a loader to lite's ranks and devices. They return changed copies.

// Samples returns the number of samples of the data set, -1 if it is an Iterable or a Zip. It is what Len returned when
// the loader was made.
func (l *Loader[B]) Samples() int { return l.n }

// IsIterable reports whether the loader is one over an Iterable.
func (l *Loader[B]) IsIterable() bool { return isStream(l.src) }

func isStream[B any](src source[B]) bool { _, ok := src.(sharded[B]); return ok }

// sharded is the source over an Iterable.
type sharded[B any] interface {
	shard(rank, replicas int) (source[B], error)
}

// IsZip reports whether the loader was made by Zip, whose parts have samplers of their own.
func (l *Loader[B]) IsZip() bool { return len(l.parts()) > 0 }

// Options returns the options that the loader was made with.
func (l *Loader[B]) Options() Options { return l.o }

// BatchSize returns the batch size that the loader was made with.
func (l *Loader[B]) BatchSize() int { return l.batchSize }

// BatchSampler returns the sampler of the batches, nil for an Iterable or a Zip.
func (l *Loader[B]) BatchSampler() sampler.BatchSampler { return l.batches }

// WithBatchSampler returns the loader with other batches of the same data set.
// It panics with a *torch.Error if b is nil.
func (l *Loader[B]) WithBatchSampler(b sampler.BatchSampler) *Loader[B] {
	given(b != nil, "data.WithBatchSampler", "the batch sampler")
	c := l.copy()
	c.batches = b
	return c
}

// WithFinish returns the loader with a last step for each batch, done by the loop: such as moving it to a device.
// It panics with a *torch.Error if f is nil.
func (l *Loader[B]) WithFinish(f func(ctx context.Context, b *B) error) *Loader[B] {
	given(f != nil, "data.WithFinish", "the function")
	c := l.copy()
	c.finish = append(append([]func(context.Context, *B) error{}, l.finish...), f)
	return c
}

// WithTransfer returns the loader with a step for each batch, which runs where the batch is read, on a worker ahead of
// the loop: such as the start of its copy to a device. What transfer returns, if it isn't nil, is called by the loop
// before the batch is finished and yielded. A loader has one transfer.
func (l *Loader[B]) WithTransfer(transfer func(ctx context.Context, b *B) (ready func(), err error)) *Loader[B] {
	c := l.copy()
	c.transfer = transfer
	return c
}

// WithGate returns the loader with a function that the loop calls before it is given a batch. An error of it ends the
// pass, and is yielded as it is; that batch counts as not yielded.
func (l *Loader[B]) WithGate(gate func() error) *Loader[B] {
	c := l.copy()
	c.gate = gate
	return c
}

// WithRank returns the loader with workers that draw differently from those of other ranks: the rank's number is mixed
// into their seeds, as by Fabric's pl_worker_init_function. The order of samples stays as it is.
func (l *Loader[B]) WithRank(rank int) *Loader[B] {
	c := l.copy()
	c.ranked, c.rank = true, rank
	return c
}

// Shard returns the part of an Iterable's loader that one rank reads. It is an error if the Iterable can't be sharded.
func (l *Loader[B]) Shard(rank, replicas int) (*Loader[B], error) {
	s, ok := l.src.(sharded[B])
	if !ok {
		return nil, errors.New("data: only the loader of an Iterable is sharded by itself; others have a sampler")
	}
	src, err := s.shard(rank, replicas)
	if err != nil {
		return nil, err
	}
	c := l.copy()
	c.src, c.replicas = src, replicas
	return c, nil
}
