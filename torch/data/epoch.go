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

// each makes a pass over the batches, without scopes and before what finish does. It ends with the first error. NB:
// nothing in here yields while its goroutine is locked to a thread: Zip walks one loader inside another.
func (l *Loader[B]) each(ctx context.Context) iter.Seq[result[B]] {
	return func(yield func(result[B]) bool) {
		if err := l.Err(); err != nil {
			yield(result[B]{err: err})
			return
		}
		p := l.at.open()
		defer l.at.close(p)
		l.draw(p)
		l.src.run(ctx, l, p, func(r result[B]) bool {
			if l.gate != nil && r.err == nil {
				if err := l.gate(); err != nil {
					r.discard()
					r = result[B]{err: err}
				}
			}
			if r.n = p.given; r.err == nil {
				p.given++
			}
			return yield(r) && r.err == nil
		})
	}
}

// drawn are the indices of a batch.
type drawn struct {
	n  int // its number in the pass
	at []int
}

// order gives the batches of indices of a pass, less those that a resumed pass has had already. It ends with a
// *torch.Error of the sampler.
func (l *Loader[B]) order(p *position) iter.Seq2[drawn, error] {
	return func(yield func(drawn, error) bool) {
		if err := l.drawOrder(p, func(b drawn) bool { return yield(b, nil) }); err != nil {
			yield(drawn{}, err)
		}
	}
}

func (l *Loader[B]) drawOrder(p *position, yield func(drawn) bool) (err error) {
	batches, n := l.batches, p.given
	if p.resumed {
		batches = l.rest(p)
	}
	if e, ok := batches.(sampler.EpochSetter); ok {
		e.SetEpoch(p.epoch)
	}
	// The generator is the sampler's only while it draws: the loop's body is the user's.
	drawing := true
	p.exchange()
	defer func() {
		if !drawing {
			return
		}
		p.exchange()
		switch v := recover().(type) {
		case nil:
		case *torch.Error:
			err = &Error{Batch: n, Index: -1, Worker: -1, Err: fmt.Errorf("the order of the data set %T: %w", l.src.of(), v)}
		default:
			panic(v)
		}
	}()
	for at := range batches.Batches() {
		p.exchange()
		drawing = false
		if !yield(drawn{n, at}) {
			return nil
		}
		n++
		p.exchange()
		drawing = true
	}
	return nil
}

// produce makes a batch in a scope which only the batch leaves, and runs its transfer. A panic is the batch's error.
func (l *Loader[B]) produce(ctx context.Context, read func() (B, error)) (r result[B]) {
	defer func() { // around ScopeTransfer, so that nothing about a batch escapes
		if v := recover(); v != nil {
			r = result[B]{err: &PanicError{v, debug.Stack()}}
		}
	}()
	r.batch, r.made = torch.ScopeTransfer(func() (b B) {
		if b, r.err = read(); r.err == nil && l.transfer != nil {
			r.ready, r.err = l.transfer(ctx, &b)
		}
		return b
	})
	return r
}

// await waits for a batch, the timeout, or the end of the context. It is false when from is closed: there is no more. A
// worker closes it as well when the context ends, which is not the end of the data.
func (l *Loader[B]) await(ctx context.Context, n int, from <-chan result[B]) (r result[B], ok bool) {
	var late <-chan time.Time
	if l.o.Timeout > 0 {
		timer := time.NewTimer(l.o.Timeout)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case r, ok = <-from:
		if err := ctx.Err(); !ok && err != nil {
			return result[B]{err: err}, true
		}
		return r, ok
	case <-ctx.Done():
		return result[B]{err: ctx.Err()}, true
	case <-late:
		return result[B]{err: &Error{Batch: n, Index: -1, Worker: -1,
			Err: fmt.Errorf("no batch within %v (Options.Timeout): the data set hangs or is too slow: %w", l.o.Timeout,
				context.DeadlineExceeded)}}, true
	}
}
