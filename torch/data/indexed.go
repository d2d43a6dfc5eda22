package data

import (
	"context"
	"errors"
	"runtime/debug"
)

// indexed reads a data set's samples by index.
type indexed[S, B any] struct {
	ds      Dataset[S]
	collate func([]S) (B, error)
	batcher Batcher[B] // reads a whole batch at once; nil: by sample
}

func (s *indexed[S, B]) samples() int { return s.ds.Len() }

func (s *indexed[S, B]) run(ctx context.Context, l *Loader[B], p *position, yield func(result[B]) bool) {
	if l.o.Workers > 0 {
		s.runAhead(ctx, l, p, yield)
		return
	}
	w := l.newWorker(p, -1)
	ctx = context.WithValue(ctx, workerKey{}, w)
	for n, at := range l.order(p) {
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
	w.index = -1
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
func (s *indexed[S, B]) runAhead(ctx context.Context, l *Loader[B], p *position, yield func(result[B]) bool) {
	ctx, cancel := context.WithCancel(ctx)
	ahead := l.o.Workers * max(1, l.o.Prefetch)
	if l.o.Prefetch == 0 {
		ahead = 2 * l.o.Workers
	}
	tasks := make(chan task[B], ahead)
	var waiting []task[B]
	workers := newCrew(l.o.Workers)
	defer func() {
		close(tasks)
		cancel()
		workers.wait()
		for _, t := range waiting { // read in vain
			select {
			case r := <-t.done:
				r.discard()
			default:
			}
		}
	}()
	for id := range l.o.Workers {
		s.startWorker(ctx, l, l.newWorker(p, id), workers, tasks)
	}
	take := func() bool {
		t := waiting[0]
		waiting = waiting[1:]
		r, _ := l.await(ctx, t.n, t.done)
		return yield(r)
	}
	for n, at := range l.order(p) {
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

// startWorker starts a worker that reads batch after batch. Each task is answered, whatever becomes of the worker.
func (s *indexed[S, B]) startWorker(ctx context.Context, l *Loader[B], w *Worker, workers *crew, tasks <-chan task[B]) {
	var now task[B] // what it reads
	answer := func(t task[B], index int, err error) {
		t.done <- result[B]{err: &Error{Batch: t.n, Index: index, Worker: w.ID, Err: w.during(err)}}
	}
	workers.start(func() {
		l.asWorker(ctx, w, func(ctx context.Context, broken error) {
			for now = range tasks {
				switch {
				case broken != nil:
					answer(now, -1, broken)
				case ctx.Err() == nil:
					now.done <- s.fetch(ctx, l, w, now.n, now.at)
				}
				now = task[B]{}
			}
		})
	}, func(err error) {
		if now.done != nil {
			answer(now, w.index, err)
		}
		for t := range tasks {
			answer(t, -1, err)
		}
	})
}
