package data

import (
	"context"
	"fmt"
	"iter"
	"runtime/debug"
	"time"

	"github.com/golite/golite/sampler"
	"github.com/golite/golite/torch"
)

// each makes a pass over the batches, without scopes and before what finish does. It ends with the first error. Nothing in
// here yields while it holds its goroutine to a thread: Zip walks one loader inside another.
func (l *Loader[B]) each(ctx context.Context) iter.Seq[result[B]] {
	return func(yield func(result[B]) bool) {
		if l.err != nil {
			yield(result[B]{err: l.err})
			return
		}
		if ended := l.begin(); ended {
			l.end()
			return
		}
		defer l.end()
		l.src.run(ctx, l, func(r result[B]) bool {
			if r.err == nil {
				l.pass.given++
			}
			return yield(r) && r.err == nil
		})
	}
}

// order gives the batches of indices of this pass, less those that a resumed pass has had already.
func (l *Loader[B]) order() iter.Seq2[int, []int] {
	return func(yield func(int, []int) bool) {
		skip, n := l.pass.given, 0
		if e, ok := l.batches.(sampler.EpochSetter); ok {
			e.SetEpoch(l.pass.epoch)
		}
		// The generator is the sampler's only while it draws: the loop's body is the user's.
		drawing := true
		l.pass.exchange()
		defer func() {
			if drawing {
				l.pass.exchange()
			}
		}()
		for at := range l.batches.Batches() {
			if n++; n <= skip {
				continue
			}
			l.pass.exchange()
			drawing = false
			if !yield(n-1, at) {
				return
			}
			l.pass.exchange()
			drawing = true
		}
	}
}

// produce makes a batch in a scope which only the batch leaves, and stages it. A panic is the batch's error.
func (l *Loader[B]) produce(ctx context.Context, read func() (B, error)) (r result[B]) {
	r.batch, r.made = torch.HandOver(func() (b B) {
		defer func() {
			if v := recover(); v != nil {
				r.err = &PanicError{v, debug.Stack()}
			}
		}()
		if b, r.err = read(); r.err == nil && l.stage != nil {
			r.ready, r.err = l.stage(ctx, &b)
		}
		return b
	})
	return r
}

// await waits for a batch, the timeout, or the end of the context. It is false when from is closed: there is no more.
func (l *Loader[B]) await(ctx context.Context, n int, from <-chan result[B]) (r result[B], ok bool) {
	var late <-chan time.Time
	if l.o.Timeout > 0 {
		timer := time.NewTimer(l.o.Timeout)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case r, ok = <-from:
		return r, ok
	case <-ctx.Done():
		return result[B]{err: ctx.Err()}, true
	case <-late:
		return result[B]{err: &Error{Batch: n, Index: -1, Worker: -1,
			Err: fmt.Errorf("no batch within %v (Options.Timeout): the data set hangs or is too slow: %w", l.o.Timeout, context.DeadlineExceeded)}}, true
	}
}
