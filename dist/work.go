package dist

import (
	"context"
	"fmt"
	"runtime"

	"github.com/golite/golite/cgotorch"
)

// Work is a collective under way (torch.distributed.Work). Its tensors are neither read nor written until Wait has
// returned.
type Work struct {
	o    *operation
	c    cgotorch.Work
	free runtime.Cleanup
	over bool
}

func newWork(o *operation, c cgotorch.Work) *Work {
	w := &Work{o: o, c: c}
	w.free = runtime.AddCleanup(w, cgotorch.Work.Free, c)
	return w
}

// Done reports whether Wait would return at once.
func (w *Work) Done() bool {
	if w.over {
		return true
	}
	done, err := w.c.Done()
	return done || err != nil
}

// Wait waits for the end and returns nil, or the *RankError. When ctx ends before the collective does, the group is
// aborted: a collective can't end on the others once one rank leaves it.
func (w *Work) Wait(ctx context.Context) error {
	if !w.Done() {
		defer context.AfterFunc(ctx, func() {
			if done, err := w.c.Done(); !done && err == nil {
				w.o.g.Abort(fmt.Sprintf("the wait for %s was cancelled: %v", w.o.name, context.Cause(ctx)))
			}
		})()
	}
	return Try(func() { w.finish() })
}

// finish waits, and panics with a *RankError.
func (w *Work) finish() (source int) {
	if w.over {
		return 0
	}
	out, err := w.c.Wait(0)
	runtime.KeepAlive(w)
	w.over = true
	w.free.Stop()
	w.c.Free()
	if err != nil {
		argumentError(w.o.name, err, w.o.in...)
	}
	if out.Failed != nil {
		panic(w.o.g.failure(w.o.name, w.o.call.Site, out.Failed))
	}
	for _, f := range w.o.after {
		f()
	}
	return out.Source
}
