package health

import (
	"context"
	"sync"
	"time"
)

// storeClient serializes store requests on one goroutine, so an unresponsive store blocks that goroutine only. Calls on
// a nil storeClient report ok=false.
type storeClient struct {
	requests chan func()
	stop     chan struct{}
	stopped  chan struct{}
	closing  sync.Once
}

func newStoreClient() *storeClient {
	c := &storeClient{requests: make(chan func(), 16), stop: make(chan struct{}), stopped: make(chan struct{})}
	go c.run()
	return c
}

func (c *storeClient) run() {
	defer close(c.stopped)
	for {
		select {
		case <-c.stop:
			return
		case f := <-c.requests:
			f()
		}
	}
}

// close ends the goroutine and waits for it; where the store does not answer it ends at the store's own timeout.
func (c *storeClient) close() {
	if c == nil {
		return
	}
	c.closing.Do(func() { close(c.stop) })
	select {
	case <-c.stopped:
	case <-time.After(storeTimeout):
	}
}

// submit queues a request. The channel gets the answer, and closes without one where the store gave an error.
func submit[T any](c *storeClient, request func() (T, error)) <-chan T {
	answer := make(chan T, 1)
	if c == nil {
		close(answer)
		return answer
	}
	select {
	case c.requests <- func() {
		defer close(answer)
		if v, err := request(); err == nil {
			answer <- v
		}
	}:
	default: // the store does not answer
		close(answer)
	}
	return answer
}

// call submits a request and waits for the answer, up to storeTimeout. ok reports whether there is one.
func call[T any](c *storeClient, request func() (T, error)) (v T, ok bool) {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	return wait(ctx, c, submit(c, request))
}

// wait waits for an answer until the context ends.
func wait[T any](ctx context.Context, c *storeClient, answer <-chan T) (v T, ok bool) {
	if c == nil {
		return v, false
	}
	select {
	case v, ok = <-answer:
	case <-c.stopped:
	case <-ctx.Done():
	}
	return v, ok
}
