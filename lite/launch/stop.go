package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/golite/golite/internal/supervisor"
)

// stopGrace is how long a run may go on after a signal, to save what it has, before its context is cancelled.
const stopGrace = 30 * time.Second

// Stop carries a request to stop to the ranks of one process. Its methods may be called from any goroutine; a nil Stop
// is one that never has a request.
type Stop struct {
	asked  atomic.Bool // a request has come
	begun  atomic.Bool // the function given to Run was called
	polled atomic.Bool // and has called Stopping
	cut    atomic.Bool // a loader's pass has ended because of the request
	cancel context.CancelCauseFunc
	done   chan struct{}
	close  func()
	agreed func()
}

// NewStop returns a Stop, whose requests end the context that is returned with it. agreed is called once, when the ranks
// have agreed to stop; it may be nil.
func NewStop(ctx context.Context, agreed func()) (context.Context, *Stop) {
	ctx, cancel := context.WithCancelCause(ctx)
	s := &Stop{cancel: cancel, done: make(chan struct{}), agreed: func() {}}
	if agreed != nil {
		s.agreed = sync.OnceFunc(agreed)
	}
	s.close = sync.OnceFunc(func() {
		close(s.done)
		cancel(nil)
	})
	return ctx, s
}

// WatchSignals is NewStop with SIGTERM and SIGINT as requests: at the first signal the run is asked to stop, and the
// context ends a grace period later, or at the second signal; a third one ends the process. Close ends the watch.
func WatchSignals(ctx context.Context, log *zap.Logger) (context.Context, *Stop) {
	ctx, s := NewStop(ctx, nil)
	signals := make(chan os.Signal, 2)
	supervisor.Notify(signals, syscall.SIGTERM, os.Interrupt)
	go func() {
		defer signal.Stop(signals)
		for range 2 {
			select {
			case sig := <-signals:
				if !s.asked.Load() {
					log.Warn(supervisor.StopNotice(sig.String(), stopGrace, "its context is cancelled"))
				}
				s.Ask()
			case <-s.done:
				return
			}
		}
	}()
	return ctx, s
}

// Close releases the context and ends the watch for signals.
func (s *Stop) Close() {
	if s != nil {
		s.close()
	}
}

// Ask requests a stop. The first request cancels the context when the grace period is over, any other at once, and so
// does the first where the function given to Run was not called yet: there is nothing to save.
func (s *Stop) Ask() {
	if s.asked.Swap(true) || !s.begun.Load() {
		s.cancel(ErrStopped)
		return
	}
	time.AfterFunc(stopGrace, func() { s.cancel(ErrStopped) })
}

// Cancel ends the context with a cause.
func (s *Stop) Cancel(cause error) { s.cancel(cause) }

// Begin marks that the function given to Run is called next.
func (s *Stop) Begin() {
	if s == nil {
		return
	}
	s.begun.Store(true)
	if s.asked.Load() {
		s.cancel(ErrStopped)
	}
}

// Poll reports whether a stop was requested, to a function that decides itself when it stops: AtBatch ends no pass from
// then on.
func (s *Stop) Poll() bool {
	if s == nil {
		return false
	}
	s.polled.Store(true)
	return s.asked.Load()
}

// Agree marks that the ranks have agreed to stop.
func (s *Stop) Agree() {
	if s != nil {
		s.agreed()
	}
}

// AtBatch returns ErrStopped, which ends a loader's pass, when a stop was requested and Poll was never called.
func (s *Stop) AtBatch() error {
	if s == nil || !s.asked.Load() || s.polled.Load() {
		return nil
	}
	s.cut.Store(true)
	return ErrStopped
}

// Outcome returns a rank's error for that of its function: ErrStopped where the request to stop has ended the function,
// though it returned its context's error, or none.
func (s *Stop) Outcome(err error) error {
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
