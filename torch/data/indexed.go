package data

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
)

// indexed reads a data set's samples by index.
type indexed[S, B any] struct {
	ds      Dataset[S]
	collate func([]S) (B, error)
	batcher Batcher[B] // reads a whole batch at once; nil: by sample
}

func (s *indexed[S, B]) samples() int { return s.ds.Len() }

func (s *indexed[S, B]) run(ctx context.Context, l *Loader[B], yield func(result[B]) bool) {
	if l.o.Workers > 0 {
		s.runAhead(ctx, l, yield)
		return
	}
	w := l.newWorker(-1)
	ctx = context.WithValue(ctx, workerKey{}, w)
	for n, at := range l.order() {
		if err := ctx.Err(); err != nil {
			yield(result[B]{err: err})
			return
		}
		if !yield(s.fetch(ctx, l, w, n, at)) {
			return
		}
	}
}

// fetch reads one batch.
func (s *indexed[S, B]) fetch(ctx context.Context, l *Loader[B], w *Worker, n int, at []int) result[B] {
	r := l.produce(ctx, func() (B, error) {
		if s.batcher != nil {
			b, err := s.batcher.Batch(ctx, at)
			if !errors.Is(err, errors.ErrUnsupported) {
				return b, err
			}
		}
		return s.read(ctx, w, at)
	})
	if e, ok := errors.AsType[*Error](r.err); ok {
		e.Batch = n
		r.err = e
	} else if r.err != nil {
		r.err = &Error{Batch: n, Index: -1, Worker: w.ID, Err: r.err}
	}
	return r
}

// read reads a batch sample by sample.
func (s *indexed[S, B]) read(ctx context.Context, w *Worker, at []int) (B, error) {
	samples := make([]S, len(at))
	for k, i := range at {
		w.begin(i)
		sample, err := s.get(ctx, i)
		if err != nil {
			var none B
			return none, &Error{Index: i, Worker: w.ID, Err: err}
		}
		samples[k] = sample
	}
	return s.collate(samples)
}

func (s *indexed[S, B]) get(ctx context.Context, i int) (sample S, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{v, debug.Stack()}
		}
	}()
	return s.ds.Get(ctx, i)
}

// task is a batch that a worker is to read.
type task[B any] struct {
	n    int
	at   []int
	done chan result[B]
}

// runAhead lets workers read ahead, and gives the batches in their order.
func (s *indexed[S, B]) runAhead(ctx context.Context, l *Loader[B], yield func(result[B]) bool) {
	ctx, cancel := context.WithCancel(ctx)
	ahead := l.o.Workers * max(1, l.o.Prefetch)
	if l.o.Prefetch == 0 {
		ahead = 2 * l.o.Workers
	}
	tasks := make(chan task[B], ahead)
	var waiting []task[B]
	var wg sync.WaitGroup
	defer func() {
		close(tasks)
		cancel()
		wg.Wait()
		for _, t := range waiting { // read in vain
			select {
			case r := <-t.done:
				r.discard()
			default:
			}
		}
	}()
	for id := range l.o.Workers {
		wg.Go(func() { s.work(ctx, l, id, tasks) })
	}
	take := func() bool {
		t := waiting[0]
		waiting = waiting[1:]
		r, _ := l.await(ctx, t.n, t.done)
		return yield(r)
	}
	for n, at := range l.order() {
		t := task[B]{n, at, make(chan result[B], 1)}
		tasks <- t // never blocks: at most ahead are waiting
		waiting = append(waiting, t)
		if len(waiting) == ahead && !take() {
			return
		}
	}
	for len(waiting) > 0 {
		if !take() {
			return
		}
	}
}

// work is a worker's life.
func (s *indexed[S, B]) work(ctx context.Context, l *Loader[B], id int, tasks <-chan task[B]) {
	l.asWorker(ctx, id, func(ctx context.Context, w *Worker, broken error) {
		for t := range tasks {
			switch {
			case broken != nil:
				t.done <- result[B]{err: &Error{Batch: t.n, Index: -1, Worker: id, Err: fmt.Errorf("WorkerInit: %w", broken)}}
			case ctx.Err() == nil:
				t.done <- s.fetch(ctx, l, w, t.n, t.at)
			}
		}
	})
}
