package data

import (
	"context"
	"errors"
	"reflect"
	"runtime/debug"

	"github.com/golite/golite/torch"
)

// indexed reads a data set's samples by index.
type indexed[S, B any] struct {
	ds      Dataset[S]
	collate func([]S) (B, error)
	batcher Batcher[B] // reads a whole batch at once; nil: by sample
}

func (s *indexed[S, B]) samples() int { return s.ds.Len() }

func (s *indexed[S, B]) of() any { return s.ds }

func (s *indexed[S, B]) missing() string {
	switch {
	case s.ds == nil:
		return "data set"
	case s.collate == nil:
		return "collate function"
	}
	return ""
}

func (s *indexed[S, B]) run(ctx context.Context, l *Loader[B], p *position, yield func(result[B]) bool) {
	if l.o.Workers > 0 {
		s.runAhead(ctx, l, p, yield)
		return
	}
	w := l.newWorker(p, -1)
	ctx = context.WithValue(ctx, workerKey{}, w)
	for b, err := range l.order(p) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			yield(result[B]{err: err})
			return
		}
		if !yield(s.fetch(ctx, l, w, b.n, b.at)) {
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

// Without a Prefetch each worker reads prefetchLeast batches ahead, and of small ones as many as prefetchBytes hold, up
// to prefetchMost: a hand-over of single batches wakes a thread for each.
const (
	prefetchLeast = 2
	prefetchMost  = 16
	prefetchBytes = 4 << 20
)

// runAhead lets workers read ahead, and gives the batches in their order.
func (s *indexed[S, B]) runAhead(ctx context.Context, l *Loader[B], p *position, yield func(result[B]) bool) {
	ctx, cancel := context.WithCancel(ctx)
	ahead, most := l.o.Workers*prefetchLeast, l.o.Workers*prefetchMost
	if l.o.Prefetch > 0 { // any number: more than a pass has are never ahead
		ahead = min(product(l.o.Workers, l.o.Prefetch), max(l.batches.Len(), l.o.Workers))
		most = ahead
	}
	tasks := make(chan task[B], most)
	var waiting []task[B]
	workers := newWorkerGroup(l.o.Workers)
	defer func() {
		close(tasks)
		cancel()
		workers.wait()
		for _, t := range waiting { // read and dropped
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
	next := func() result[B] {
		t := waiting[0]
		waiting = waiting[1:]
		r, _ := l.await(ctx, t.n, t.done)
		return r
	}
	sized := l.o.Prefetch > 0
	for b, err := range l.order(p) {
		if err != nil { // behind the batches that are read
			failed := make(chan result[B], 1)
			failed <- result[B]{err: err}
			waiting = append(waiting, task[B]{done: failed})
			break
		}
		full := len(waiting) >= ahead
		var r result[B]
		if full {
			r = next()
			if !sized && r.err == nil {
				ahead, sized = l.o.Workers*fitting(r.batch), true
			}
		}
		// Tasks are sent before the loop continues, so that workers don't idle.
		t := task[B]{b.n, b.at, make(chan result[B], 1)}
		tasks <- t // never blocks: no more are waiting than it holds
		waiting = append(waiting, t)
		if full && !yield(r) {
			return
		}
	}
	for len(waiting) > 0 {
		if !yield(next()) {
			return
		}
	}
}

// fitting is how many batches like this one each worker reads ahead. What isn't tensors and numbers alone may be of any
// size.
func fitting[B any](batch B) int {
	bytes, unknown := 0, false
	mapTensors(batch, func(_ string, t *torch.Tensor) *torch.Tensor {
		bytes += t.Numel() * t.DType().Size()
		return t
	}, func(_ string, kind reflect.Type) {
		unknown = unknown || kind.Kind() < reflect.Bool || kind.Kind() > reflect.Complex128
	})
	if unknown || bytes == 0 {
		return prefetchLeast
	}
	return min(max(prefetchBytes/bytes, prefetchLeast), prefetchMost)
}

// startWorker starts a worker that reads batch after batch. Each task gets a result, however the worker ends.
func (s *indexed[S, B]) startWorker(ctx context.Context, l *Loader[B], w *Worker, workers *workerGroup,
	tasks <-chan task[B]) {
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
