package dist

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/text"
)

// storeTimeout is how long a group waits for its store, which never answers once the process that keeps it has exited.
const storeTimeout = time.Second

// connection is a store's client in libtorch, which a Store shares with its views. libtorch gives its requests no
// deadline, and makes one at a time: where the process that keeps the store is stopped, a request never returns.
type connection struct {
	busy    chan struct{} // capacity 1: full while a request is under way
	timeout time.Duration // of a request
}

func newConnection(timeout time.Duration) *connection {
	return &connection{busy: make(chan struct{}, 1), timeout: timeout}
}

// timeUp is the cause of a wait that ended because its time was over. It is a context.DeadlineExceeded.
type timeUp time.Duration

func (t timeUp) Error() string { return fmt.Sprintf("time is up after %v", time.Duration(t)) }

// Is makes it a context.DeadlineExceeded.
func (timeUp) Is(target error) bool { return target == context.DeadlineExceeded }

// bounded is the context of a request: it ends with ctx, and when the connection's timeout is over.
func (c *connection) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, c.timeout, timeUp(c.timeout))
}

// unanswered is the error of a request whose context has ended.
func unanswered(ctx context.Context) error {
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return context.Cause(ctx)
	}
	return fmt.Errorf("no answer: %w; the process that keeps the store is stopped, hangs, or can't be reached",
		context.Cause(ctx))
}

// request makes one request, and returns when it was answered or when ctx ends, at most after the connection's timeout.
// A request that isn't answered is left on a goroutine, which ends with it; later requests wait for it up to their own
// deadline, so that one thread at most is blocked.
func request[T any](ctx context.Context, c *connection, f func() (T, *cgotorch.Error)) (v T, err error) {
	if c == nil { // of a store in memory: there is nothing to wait for
		return inWords(f())
	}
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	select {
	case c.busy <- struct{}{}:
	case <-ctx.Done():
		return v, unanswered(ctx)
	}
	type answer struct {
		v   T
		err error
	}
	done := make(chan answer, 1)
	go func() {
		defer func() { <-c.busy }()
		v, err := inWords(f())
		done <- answer{v, err}
	}()
	select {
	case a := <-done:
		return a.v, a.err
	case <-ctx.Done():
		return v, unanswered(ctx)
	}
}

// inWords makes an error of libtorch's, of which the first line is the message.
func inWords[T any](v T, err *cgotorch.Error) (T, error) {
	if err != nil {
		return v, errors.New(text.FirstLine(err.Message))
	}
	return v, nil
}

// beside returns a view like this one of the same TCP store, over a connection of its own: it does not wait for what is
// under way on this one. It is closed on its own.
func (s *Store) beside(ctx context.Context) (*Store, error) {
	whole, err := NewTCPStore(ctx, s.host, s.port, TCPStoreOptions{Timeout: storeTimeout})
	if err != nil {
		return nil, err
	}
	defer whole.Close()
	return whole.Prefix(strings.TrimSuffix(s.path, "/"))
}

// openStore makes a store in libtorch, at most until ctx ends: the client's constructor waits for the server's answer
// without a deadline. A store that is made later is released.
func openStore(ctx context.Context, f func() (cgotorch.Store, *cgotorch.Error)) (cgotorch.Store, error) {
	type outcome struct {
		s   cgotorch.Store
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		s, err := inWords(f())
		done <- outcome{s, err}
	}()
	select {
	case o := <-done:
		return o.s, o.err
	case <-ctx.Done():
		go func() {
			if o := <-done; o.err == nil {
				o.s.Free()
			}
		}()
		return 0, context.Cause(ctx)
	}
}
