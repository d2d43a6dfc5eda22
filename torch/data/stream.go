package data

import (
	"context"
	"fmt"
	"runtime/debug"
)

// streamed reads an Iterable.
type streamed[S, B any] struct {
	ds      Iterable[S]
	collate func([]S) (B, error)
}

func (s *streamed[S, B]) samples() int { return -1 }

func (s *streamed[S, B]) of() any { return s.ds }

func (s *streamed[S, B]) missing() string {
	switch {
	case s.ds == nil:
		return "Iterable"
	case s.collate == nil:
		return "collate function"
	}
	return ""
}

// shard gives the part of the Iterable that one rank reads.
func (s *streamed[S, B]) shard(rank, replicas int) (source[B], error) {
	sharder, ok := s.ds.(Sharder[S])
	if !ok {
		return nil, fmt.Errorf("data: %d ranks would all read the whole Iterable %T: give it a method Shard(rank, "+
			"replicas), or set KeepSampler if it shards itself", replicas, s.ds)
	}
	part := sharder.Shard(rank, replicas)
	if part == nil {
		return nil, fmt.Errorf("data: Shard(%d, %d) of the Iterable %T returned nil", rank, replicas, s.ds)
	}
	return &streamed[S, B]{part, s.collate}, nil
}

// run reads the Iterable from its start; a resumed pass throws away what it has had already.
func (s *streamed[S, B]) run(ctx context.Context, l *Loader[B], p *position, yield func(result[B]) bool) {
	skip, n := p.given, 0
	give := func(r result[B]) bool {
		if n++; r.err == nil && n <= skip {
			r.discard()
			return true
		}
		if _, named := r.err.(*Error); r.err != nil && !named {
			r.err = &Error{Batch: n - 1, Index: -1, Worker: l.o.Workers - 1, Err: r.err}
		}
		return yield(r)
	}
	if l.o.Workers > 0 {
		s.runAhead(ctx, l, p, give)
		return
	}
	w := l.newWorker(p, -1)
	s.read(context.WithValue(ctx, workerKey{}, w), l, give)
}

// read gives the batches of one walk over the Iterable, and ends with the first error. A panic of the Iterable's is
// one; a panic of yield's passes through.
func (s *streamed[S, B]) read(ctx context.Context, l *Loader[B], yield func(result[B]) bool) {
	outside := false // yield runs, or has said that it wants no more
	defer func() {
		if outside {
			return
		}
		switch v := recover(); {
		case v == nil:
		case isNil(s.ds):
			yield(result[B]{err: fmt.Errorf("the Iterable is a nil %T", s.ds)})
		default:
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
	all := s.ds.Samples(ctx)
	if all == nil {
		give(result[B]{err: fmt.Errorf("the Samples of the Iterable %T returned nil", s.ds)})
		return
	}
	for sample, err := range all {
		if err == nil {
			err = ctx.Err() // an Iterable need not look at it
		}
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

// streamMost is how many batches of an Iterable, whose number can't be known, are ahead at most: a channel takes memory
// for all of them.
const streamMost = 1 << 16

// runAhead lets one worker read ahead.
func (s *streamed[S, B]) runAhead(ctx context.Context, l *Loader[B], p *position, yield func(result[B]) bool) {
	ctx, cancel := context.WithCancel(ctx)
	ready := make(chan result[B], min(max(2, l.o.Prefetch), streamMost)) // closed by the worker
	workers := newWorkerGroup(1)
	defer func() {
		cancel()
		if !workers.wait() {
			return
		}
		for r := range ready { // read and dropped
			r.discard()
		}
	}()
	put := func(r result[B]) bool {
		select {
		case ready <- r:
			return true
		case <-ctx.Done():
			r.discard()
			return false
		}
	}
	w := l.newWorker(p, 0)
	workers.start(func() {
		l.asWorker(ctx, w, func(ctx context.Context, broken error) {
			if broken != nil {
				put(result[B]{err: w.during(broken)})
				return
			}
			s.read(ctx, l, put)
		})
		close(ready)
	}, func(err error) {
		put(result[B]{err: w.during(err)})
		close(ready)
	})
	for n := 0; ; n++ {
		r, ok := l.await(ctx, n, ready)
		if !ok || !yield(r) {
			return
		}
	}
}
