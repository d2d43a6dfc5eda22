package dist

import (
	"context"
	"sync"
	"time"
)

// patience is how long a group waits for its store: the store's keeper may be gone, and then it never answers.
const patience = time.Second

// asker is the one goroutine through which a group talks to its store once it is connected. Where the store is silent it
// alone waits, and not one thread more with each question. A nil asker knows nothing.
type asker struct {
	questions chan func()
	stop      chan struct{}
	over      chan struct{}
	closing   sync.Once
}

func newAsker() *asker {
	a := &asker{questions: make(chan func(), 16), stop: make(chan struct{}), over: make(chan struct{})}
	go a.run()
	return a
}

func (a *asker) run() {
	defer close(a.over)
	for {
		select {
		case <-a.stop:
			return
		case f := <-a.questions:
			f()
		}
	}
}

// close ends the goroutine and waits for it, unless the store is silent: then it ends when the store's own limit is over.
func (a *asker) close() {
	if a == nil {
		return
	}
	a.closing.Do(func() { close(a.stop) })
	select {
	case <-a.over:
	case <-time.After(patience):
	}
}

// put hands over a question. The channel gets the answer, and closes without one where the store gave an error.
func put[T any](a *asker, question func() (T, error)) <-chan T {
	answer := make(chan T, 1)
	if a == nil {
		close(answer)
		return answer
	}
	select {
	case a.questions <- func() {
		defer close(answer)
		if v, err := question(); err == nil {
			answer <- v
		}
	}:
	default: // the store is silent
		close(answer)
	}
	return answer
}

// ask puts a question and waits for the answer, as long as the patience lasts. ok tells that there is one.
func ask[T any](a *asker, question func() (T, error)) (v T, ok bool) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return await(ctx, a, put(a, question))
}

// await waits for an answer as long as the context lasts.
func await[T any](ctx context.Context, a *asker, answer <-chan T) (v T, ok bool) {
	if a == nil {
		return v, false
	}
	select {
	case v, ok = <-answer:
	case <-a.over:
	case <-ctx.Done():
	}
	return v, ok
}
