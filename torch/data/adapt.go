package data

import (
	"context"
	"fmt"

	"github.com/golite/golite/sampler"
)

// The functions here are how lite fits a loader to its ranks and devices. They return changed copies.

// Samples returns the number of samples of the data set, -1 if it is an Iterable or a Zip.
func (l *Loader[B]) Samples() int { return l.src.samples }

// IsIterable tells a loader over an Iterable.
func (l *Loader[B]) IsIterable() bool { return l.src.stream != nil }

// IsZip tells a loader made by Zip, whose parts have samplers of their own.
func (l *Loader[B]) IsZip() bool { return l.src.zipped != nil }

// Options returns the options that the loader was made with.
func (l *Loader[B]) Options() Options { return l.o }

// BatchSize returns the batch size that the loader was made with.
func (l *Loader[B]) BatchSize() int { return l.batchSize }

// BatchSampler returns what decides about the batches, nil for an Iterable or a Zip.
func (l *Loader[B]) BatchSampler() sampler.BatchSampler { return l.batches }

// WithBatchSampler returns the loader with other batches of the same data set.
func (l *Loader[B]) WithBatchSampler(b sampler.BatchSampler) *Loader[B] {
	c := *l
	c.batches = b
	return &c
}

// WithFinish returns the loader with a last step for each batch, done by the loop: such as moving it to a device.
func (l *Loader[B]) WithFinish(f func(ctx context.Context, b *B) error) *Loader[B] {
	c := *l
	c.finish = append(append([]func(context.Context, *B) error{}, l.finish...), f)
	return &c
}

// WithStage returns the loader with a step for each batch that whoever reads it does, a worker ahead of the loop: such as starting its copy to a device.
// What stage returns is called by the loop when the batch's turn comes, before it is finished and given out. A loader has one stage.
func (l *Loader[B]) WithStage(stage func(ctx context.Context, b *B) (ready func(), err error)) *Loader[B] {
	c := *l
	c.stage = stage
	return &c
}

// Shard returns the part of an Iterable's loader that one rank reads. It is an error if the Iterable can't be sharded.
func (l *Loader[B]) Shard(rank, replicas int) (*Loader[B], error) {
	if l.src.shard == nil {
		return nil, fmt.Errorf("data: only the loader of an Iterable is sharded by itself; others get a sampler")
	}
	part, err := l.src.shard(rank, replicas)
	if err != nil {
		return nil, err
	}
	c := *l
	c.src = *part
	return &c, nil
}
