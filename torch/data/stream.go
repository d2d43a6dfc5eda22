package data

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
)

// streamed reads an Iterable.
type streamed[S, B any] struct {
	ds      Iterable[S]
	collate func([]S) (B, error)
}

func (s *streamed[S, B]) samples() int { return -1 }

// shard gives the part of the Iterable that one rank reads.
func (s *streamed[S, B]) shard(rank, replicas int) (source[B], error) {
	sharder, ok := s.ds.(Sharder[S])
	if !ok {
		return nil, fmt.Errorf("data: %d ranks would all read the whole Iterable %T: give it a method Shard(rank, replicas), or set KeepSampler if it shards itself", replicas, s.ds)
	}
	return &streamed[S, B]{sharder.Shard(rank, replicas), s.collate}, nil
}

// run reads the Iterable from its start; a resumed pass throws away what it has had already.
func (s *streamed[S, B]) run(ctx context.Context, l *Loader[B], yield func(result[B]) bool) {
	skip, n := l.pass.given, 0
	give := func(r result[B]) bool {
		if n++; r.err == nil && n <= skip {
			r.discard()
			return true
		}
		if r.err != nil {
			r.err = &Error{Batch: n - 1, Index: -1, Worker: l.o.Workers - 1, Err: r.err}
		}
		return yield(r)
	}
	if l.o.Workers > 0 {
		s.runAhead(ctx, l, give)
		return
	}
	w := l.newWorker(-1)
	s.read(context.WithValue(ctx, workerKey{}, w), l, give)
}

// read gives the batches of one walk over the Iterable, and ends with the first error. A panic of the Iterable's is one; a
// panic of yield's passes through.
func (s *streamed[S, B]) read(ctx context.Context, l *Loader[B], yield func(result[B]) bool) {
	outside := false // yield runs, or has said that it wants no more
	defer func() {
		if outside {
			return
		}
		if v := recover(); v != nil {
			yield(result[B]{err: &PanicError{v, debug.Stack()}})
		}
	}()
	give := func(r result[B]) bool {
		outside = true
		more := yield(r) && r.err == nil
		outside = !more
		return more
	}
	var samples []S
	batch := func() result[B] {
		b := samples
		samples = nil
		return l.produce(ctx, func() (B, error) { return s.collate(b) })
	}
	for sample, err := range s.ds.Samples(ctx) {
		if err != nil {
			give(result[B]{err: err})
			return
		}
		if samples = append(samples, sample); len(samples) == l.batchSize && !give(batch()) {
			return
		}
	}
	if len(samples) > 0 && !l.o.DropLast {
		give(batch())
	}
}

// runAhead lets one worker read ahead.
func (s *streamed[S, B]) runAhead(ctx context.Context, l *Loader[B], yield func(result[B]) bool) {
	ctx, cancel := context.WithCancel(ctx)
	ready := make(chan result[B], max(2, l.o.Prefetch))
	var wg sync.WaitGroup
	defer func() {
		cancel()
		wg.Wait()
		for r := range ready { // read in vain
			r.discard()
		}
	}()
	wg.Go(func() {
		defer close(ready)
		put := func(r result[B]) bool {
			select {
			case ready <- r:
				return true
			case <-ctx.Done():
				r.discard()
				return false
			}
		}
		l.asWorker(ctx, 0, func(ctx context.Context, _ *Worker, broken error) {
			if broken != nil {
				put(result[B]{err: fmt.Errorf("WorkerInit: %w", broken)})
				return
			}
			s.read(ctx, l, put)
		})
	})
	for n := 0; ; n++ {
		r, ok := l.await(ctx, n, ready)
		if !ok || !yield(r) {
			return
		}
	}
}
