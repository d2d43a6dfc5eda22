package lite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/supervisor"
	"github.com/golite/golite/torch"
)

// ErrStopped is what a run returns that ended early because it was asked to, by SIGTERM or Ctrl-C: on one device as on
// several. A process that golite started ends with exit code 75 then; see ExitCode.
var ErrStopped = errors.New("lite: the run was stopped by a signal")

// stopGrace is how long a run may go on after a signal, to save what it has, before its context is cancelled.
const stopGrace = 30 * time.Second

// stopper carries the request to stop to the ranks of one process.
type stopper struct {
	asked  atomic.Bool // a signal has come
	begun  atomic.Bool // the function given to Run was called
	polled atomic.Bool // and has called Stopping
	cut    atomic.Bool // a loader's pass has ended because of the request
	cancel context.CancelCauseFunc
	done   chan struct{}
	agreed func() // called when the ranks have agreed to stop; nil: nothing to do
}

// newStopper makes a stopper whose requests end the context that it returns.
func newStopper(ctx context.Context) (context.Context, *stopper) {
	ctx, cancel := context.WithCancelCause(ctx)
	return ctx, &stopper{cancel: cancel, done: make(chan struct{})}
}

// watchSignals makes ctx end a grace period after the first signal, or at the second.
func watchSignals(ctx context.Context, log *zap.Logger) (context.Context, *stopper) {
	ctx, s := newStopper(ctx)
	signals := make(chan os.Signal, 2)
	supervisor.Notify(signals, syscall.SIGTERM, os.Interrupt)
	go func() {
		defer signal.Stop(signals) // a third one ends the process
		for range 2 {
			select {
			case sig := <-signals:
				if !s.asked.Load() {
					log.Warn(supervisor.StopNotice(sig.String(), stopGrace, "its context is cancelled"))
				}
				s.ask()
			case <-s.done:
				return
			}
		}
	}()
	return ctx, s
}

// ask takes a request to stop. The first one cancels the context when the grace period is over, any other at once, and
// so does the first where the function given to Run was not called yet: there is nothing to save.
func (s *stopper) ask() {
	if s.asked.Swap(true) || !s.begun.Load() {
		s.cancel(ErrStopped)
		return
	}
	time.AfterFunc(stopGrace, func() { s.cancel(ErrStopped) })
}

// begin tells that the function given to Run is called next.
func (s *stopper) begin() {
	if s == nil {
		return
	}
	s.begun.Store(true)
	if s.asked.Load() {
		s.cancel(ErrStopped)
	}
}

// atBatch ends a loader's pass when the run was asked to stop and nothing in it has called Stopping so far: a program
// that does decides by itself.
func (s *stopper) atBatch() error {
	if s == nil || !s.asked.Load() || s.polled.Load() {
		return nil
	}
	s.cut.Store(true)
	return ErrStopped
}

// outcome is the error of a rank: ErrStopped where the request to stop has ended it, though its function returned its
// context's error, or none.
func (s *stopper) outcome(err error) error {
	switch {
	case s == nil || !s.asked.Load() || errors.Is(err, ErrStopped):
		return err
	case err == nil && s.cut.Load():
		return ErrStopped
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%w: %w", ErrStopped, err)
	}
	return err
}

func (s *stopper) close() {
	close(s.done)
	s.cancel(nil)
}

// Stopping reports whether the run was asked to end, by SIGTERM or Ctrl-C. It turns true at the same call on every
// rank: on several ranks it is a collective, to be called by all of them once a step. The context is cancelled only
// when the grace period of 30 s ends, or at a second signal, so that a last Save still works; the function then returns
// ErrStopped.
//
// In a run that has not called Stopping yet the passes of the loaders that were set up end at the next batch, with
// ErrStopped, and Run returns ErrStopped.
func (l *Lite) Stopping() bool {
	stopping := false
	if l.stop != nil {
		l.stop.polled.Store(true)
		stopping = l.stop.asked.Load()
	}
	if l.place.world > 1 {
		stopping = l.anyRank(stopping)
	}
	if stopping && l.stop != nil && l.stop.agreed != nil {
		l.stop.agreed()
	}
	return stopping
}

// anyRank reports whether a condition holds on any rank, with one collective.
func (l *Lite) anyRank(here bool) bool {
	n := int64(0)
	if here {
		n = 1
	}
	t := torch.From([]int64{n}, 1)
	defer t.Release()
	l.group.AllReduce(t, dist.Max)
	return t.Item() > 0
}
