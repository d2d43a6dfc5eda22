package data

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime/debug"
	"sync"
	"time"

	"github.com/golite/golite/sampler"
	"github.com/golite/golite/torch"
)

// each makes a pass over the batches, without scopes and before what finish does.
func (l *Loader[B]) each(ctx context.Context) iter.Seq2[B, error] {
	return func(yield func(B, error) bool) {
		var none B
		if l.err != nil {
			yield(none, l.err)
			return
		}
		if ended := l.begin(); ended {
			l.end()
			return
		}
		defer l.end()
		count := func(b B, err error) bool {
			if err == nil {
				l.pass.given++
			}
			return yield(b, err)
		}
		switch {
		case l.src.zipped != nil:
			push(l.src.zipped(ctx), func(b B, err error) bool {
				l.pass.made = nil
				for _, c := range l.src.children {
					l.pass.made = append(l.pass.made, c.lastMade()...)
				}
				return count(b, err)
			})
		case l.src.stream != nil:
			l.eachOfStream(ctx, count)
		case l.o.Workers == 0:
			l.eachByLoop(ctx, count)
		default:
			l.eachByWorkers(ctx, count)
		}
	}
}

func push[B any](from iter.Seq2[B, error], yield func(B, error) bool) {
	for b, err := range from {
		if !yield(b, err) || err != nil {
			return
		}
	}
}

// order gives the batches of indices of this pass, less those that a resumed pass has had already.
func (l *Loader[B]) order() iter.Seq2[int, []int] {
	return func(yield func(int, []int) bool) {
		skip, n := l.pass.given, 0
		if e, ok := l.batches.(sampler.EpochSetter); ok {
			e.SetEpoch(l.pass.epoch)
		}
		l.pass.drawn(func() {
			for at := range l.batches.Batches() {
				if n++; n <= skip {
					continue
				}
				more := false
				l.pass.outside(func() { more = yield(n-1, at) })
				if !more {
					return
				}
			}
		})
	}
}

// eachByLoop reads each batch when it is wanted.
func (l *Loader[B]) eachByLoop(ctx context.Context, yield func(B, error) bool) {
	w := newWorker(-1, l.pass.seed)
	ctx = context.WithValue(ctx, workerKey{}, w)
	for n, at := range l.order() {
		if err := ctx.Err(); err != nil {
			var none B
			yield(none, err)
			return
		}
		r := l.fetch(ctx, w, n, at)
		l.pass.made, l.pass.ready = r.made, r.ready
		if !yield(r.batch, r.err) || r.err != nil {
			return
		}
	}
}

// fetch reads one batch, in a scope which only the batch leaves, and stages it.
func (l *Loader[B]) fetch(ctx context.Context, w *Worker, n int, at []int) result[B] {
	type outcome struct {
		Batch B
		Err   error
	}
	var ready func()
	got, made := torch.HandOver(func() (o outcome) {
		defer func() {
			if v := recover(); v != nil {
				o.Err = &PanicError{v, debug.Stack()}
			}
			if o.Err == nil && l.stage != nil {
				ready, o.Err = l.stage(ctx, &o.Batch)
			}
		}()
		if l.src.batch != nil {
			o.Batch, o.Err = l.src.batch(ctx, at)
			if !errors.Is(o.Err, errors.ErrUnsupported) {
				return o
			}
		}
		o.Batch, o.Err = l.src.read(ctx, w, at)
		return o
	})
	r := result[B]{got.Batch, made, ready, got.Err}
	var e *Error
	switch {
	case got.Err == nil:
	case errors.As(got.Err, &e):
		e.Batch = n
		r.err = e
	default:
		r.err = &Error{Batch: n, Index: -1, Worker: w.ID, Err: got.Err}
	}
	return r
}

type task[B any] struct {
	n    int
	at   []int
	done chan result[B]
}

type result[B any] struct {
	batch B
	made  []*torch.Tensor
	ready func() // of the stage; nil without one
	err   error
}

// eachByWorkers lets workers read ahead, and gives the batches in their order.
func (l *Loader[B]) eachByWorkers(ctx context.Context, yield func(B, error) bool) {
	ctx, cancel := context.WithCancel(ctx)
	ahead := l.o.Workers * max(1, l.o.Prefetch)
	if l.o.Prefetch == 0 {
		ahead = 2 * l.o.Workers
	}
	tasks := make(chan task[B], ahead)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	defer close(tasks)
	for id := range l.o.Workers {
		wg.Go(func() { l.work(ctx, id, tasks) })
	}

	var waiting []task[B]
	take := func() bool {
		t := waiting[0]
		waiting = waiting[1:]
		r := l.await(ctx, t)
		l.pass.made, l.pass.ready = r.made, r.ready
		return yield(r.batch, r.err) && r.err == nil
	}
	defer func() { discard(waiting) }()
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

// discard releases batches that were read ahead in vain.
func discard[B any](waiting []task[B]) {
	for _, t := range waiting {
		select {
		case r := <-t.done:
			for _, t := range r.made {
				t.Release()
			}
		default:
		}
	}
}

// await waits for a batch, the timeout, or the end of the context.
func (l *Loader[B]) await(ctx context.Context, t task[B]) result[B] {
	var late <-chan time.Time
	if l.o.Timeout > 0 {
		timer := time.NewTimer(l.o.Timeout)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case r := <-t.done:
		return r
	case <-ctx.Done():
		return result[B]{err: ctx.Err()}
	case <-late:
		return result[B]{err: &Error{Batch: t.n, Index: -1, Worker: -1,
			Err: fmt.Errorf("no batch within %v (Options.Timeout): a sample's Get hangs or is too slow: %w", l.o.Timeout, context.DeadlineExceeded)}}
	}
}

// work is a worker's life: locked to a thread, with one thread for each operation, and random streams of its own.
func (l *Loader[B]) work(ctx context.Context, id int, tasks <-chan task[B]) {
	w := newWorker(id, l.pass.seed)
	w.Generator = torch.NewGenerator(l.pass.seed + uint64(id))
	ctx = context.WithValue(ctx, workerKey{}, w)
	var broken error
	if l.o.WorkerInit != nil {
		broken = l.o.WorkerInit(w)
	}
	torch.Root(func() {
		torch.WithNumThreads(1, func() {
			torch.WithGenerator(w.Generator, func() {
				for t := range tasks {
					if broken != nil {
						t.done <- result[B]{err: &Error{Batch: t.n, Index: -1, Worker: id, Err: fmt.Errorf("WorkerInit: %w", broken)}}
						continue
					}
					if ctx.Err() != nil {
						continue
					}
					t.done <- l.fetch(ctx, w, t.n, t.at)
				}
			})
		})
	})
}
