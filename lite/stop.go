package lite

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/golite/golite/ddp"
	"github.com/golite/golite/torch"
)

// ErrStopped is what a run returns that ended early because it was asked to, by SIGTERM or Ctrl-C. A process that
// golite started ends with exit code 75 then.
var ErrStopped = errors.New("lite: the run was stopped by a signal")

// stopGrace is how long a run may go on after a signal, to save what it has, before its context is cancelled.
const stopGrace = 30 * time.Second

// stopper hears the signals that ask a run to end.
type stopper struct {
	asked  atomic.Bool
	cancel context.CancelCauseFunc
	done   chan struct{}
	agreed func() // is called when the ranks have agreed to stop; nil: nobody wants to know
}

// watchSignals makes ctx end a grace period after the first signal, or at the second.
func watchSignals(ctx context.Context) (context.Context, *stopper) {
	ctx, cancel := context.WithCancelCause(ctx)
	s := &stopper{cancel: cancel, done: make(chan struct{})}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	go func() {
		defer signal.Stop(signals)
		var late <-chan time.Time
		for {
			select {
			case <-signals:
				if s.asked.Swap(true) {
					cancel(ErrStopped)
					return
				}
				late = time.After(stopGrace)
			case <-late:
				cancel(ErrStopped)
				return
			case <-s.done:
				return
			}
		}
	}()
	return ctx, s
}

func (s *stopper) close() {
	close(s.done)
	s.cancel(nil)
}

// Stopping tells whether the run was asked to end, by SIGTERM or Ctrl-C. It turns true at the same call on every rank:
// on several ranks it is a collective, to be called by all of them once a step. The context is cancelled only when the
// grace period of 30 s ends, or at a second signal, so that a last Save still works; the function then returns ErrStopped.
func (l *Lite) Stopping() bool {
	stopping := l.stop != nil && l.stop.asked.Load()
	if l.peers != nil {
		stopping = l.anyRank(stopping)
	}
	if stopping && l.stop != nil && l.stop.agreed != nil {
		l.stop.agreed()
	}
	return stopping
}

// anyRank tells whether a condition holds on any rank, with one collective.
func (l *Lite) anyRank(here bool) bool {
	n := int64(0)
	if here {
		n = 1
	}
	t := torch.From([]int64{n}, 1)
	defer t.Release()
	l.peers.allReduce(t, ddp.Max)
	return t.Item() > 0
}
