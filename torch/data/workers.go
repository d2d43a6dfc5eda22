package data

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// stopGrace is how long a pass that ends waits for workers that are still reading, before it leaves them. Tests shorten
// it.
var stopGrace = 5 * time.Second

// ErrGoexit is the cause where a Dataset, an Iterable, a collate function or a WorkerInit ended a worker's goroutine by
// runtime.Goexit, which t.FailNow and the functions of testify's require call.
var ErrGoexit = errors.New("runtime.Goexit ended the worker (t.FailNow and require call it): return an error in its " +
	"place")

// workerGroup is the workers of one pass.
type workerGroup struct {
	size  int
	ended chan struct{} // buffered for all
}

func newWorkerGroup(size int) *workerGroup { return &workerGroup{ended: make(chan struct{}, size)} }

// start runs a worker. One that doesn't end by returning calls failed with the reason, as its goroutine's last act.
func (c *workerGroup) start(work func(), failed func(err error)) {
	c.size++
	go func() {
		defer func() { c.ended <- struct{}{} }()
		returned := false
		defer func() {
			// An exit can't be recovered from: its error is delivered from here.
			if v := recover(); v != nil {
				failed(&PanicError{v, debug.Stack()})
			} else if !returned {
				failed(fmt.Errorf("%w\n%s", ErrGoexit, debug.Stack()))
			}
		}()
		work()
		returned = true
	}()
}

// wait waits until all workers have ended, and is false where the grace period was over before.
func (c *workerGroup) wait() bool {
	late := time.NewTimer(stopGrace)
	defer late.Stop()
	for range c.size {
		select {
		case <-c.ended:
		case <-late.C:
			return false
		}
	}
	return true
}
