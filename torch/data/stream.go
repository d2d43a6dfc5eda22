package data

import (
	"context"
	"fmt"
	"iter"
	"runtime/debug"
	"sync"

	"github.com/golite/golite/torch"
)

// streamed is a batch of a stream, with the tensors that were made for it.
type streamed[B any] struct {
	batch B
	made  []*torch.Tensor
}

// streamSource reads batches of an Iterable.
func streamSource[S, B any](ds Iterable[S], collate func([]S) (B, error)) source[B] {
	src := source[B]{samples: -1}
	src.stream = func(ctx context.Context, size int, dropLast bool) iter.Seq2[streamed[B], error] {
		return func(yield func(streamed[B], error) bool) {
			var samples []S
			give := func() bool {
				type outcome struct {
					Batch B
					Err   error
				}
				got, made := torch.HandOver(func() (o outcome) {
					o.Batch, o.Err = guardedCollate(collate, samples)
					return o
				})
				samples = nil
				return yield(streamed[B]{got.Batch, made}, got.Err) && got.Err == nil
			}
			for s, err := range ds.Samples(ctx) {
				if err != nil {
					yield(streamed[B]{}, err)
					return
				}
				if samples = append(samples, s); len(samples) == size && !give() {
					return
				}
			}
			if len(samples) > 0 && !dropLast {
				give()
			}
		}
	}
	src.shard = func(rank, replicas int) (*source[B], error) {
		sharder, ok := ds.(Sharder[S])
		if !ok {
			return nil, fmt.Errorf("data: %d ranks would all read the whole Iterable %T: give it a method Shard(rank, replicas), or set KeepSampler if it shards itself", replicas, ds)
		}
		part := streamSource(sharder.Shard(rank, replicas), collate)
		return &part, nil
	}
	return src
}

func guardedCollate[S, B any](collate func([]S) (B, error), samples []S) (b B, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{v, debug.Stack()}
		}
	}()
	return collate(samples)
}

// eachOfStream gives the batches of an Iterable, read ahead by one worker or by the loop itself.
func (l *Loader[B]) eachOfStream(ctx context.Context, yield func(B, error) bool) {
	skip := l.pass.given
	n := 0
	wrapped := func(b streamed[B], err error) bool {
		if n++; err == nil && n <= skip {
			for _, t := range b.made {
				t.Release()
			}
			return true
		}
		if err != nil {
			err = &Error{Batch: n - 1, Index: -1, Worker: l.o.Workers - 1, Err: err}
		}
		l.pass.made, l.pass.ready = b.made, nil
		return yield(b.batch, err)
	}
	if l.o.Workers == 0 {
		w := newWorker(-1, l.pass.seed)
		w.begin(0)
		push(l.src.stream(context.WithValue(ctx, workerKey{}, w), l.batchSize, l.o.DropLast), wrapped)
		return
	}
	l.streamAhead(ctx, wrapped)
}

func (l *Loader[B]) streamAhead(ctx context.Context, yield func(streamed[B], error) bool) {
	ctx, cancel := context.WithCancel(ctx)
	ready := make(chan result[B], max(2, l.o.Prefetch))
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		defer close(ready)
		w := newWorker(0, l.pass.seed)
		w.Generator = torch.NewGenerator(l.pass.seed)
		w.begin(0)
		torch.Root(func() {
			torch.WithNumThreads(1, func() {
				torch.WithGenerator(w.Generator, func() {
					push(l.src.stream(context.WithValue(ctx, workerKey{}, w), l.batchSize, l.o.DropLast), func(b streamed[B], err error) bool {
						select {
						case ready <- result[B]{batch: b.batch, made: b.made, err: err}:
							return true
						case <-ctx.Done():
							return false
						}
					})
				})
			})
		})
	})
	for {
		t := task[B]{done: make(chan result[B], 1)}
		select {
		case r, ok := <-ready:
			if !ok {
				return
			}
			t.done <- r
		case <-ctx.Done():
		}
		r := l.await(ctx, t)
		if !yield(streamed[B]{r.batch, r.made}, r.err) || r.err != nil {
			return
		}
	}
}
