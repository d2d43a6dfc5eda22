package torch

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
)

// PoolOptions are the properties of a Pool.
type PoolOptions struct {
	Threads int  // how many functions run at once; at least 1
	IntraOp int  // threads for each operation; 0: 1
	NoGrad  bool // functions run without autograd
}

// Pool is a fixed number of OS threads that run functions with tensors. libtorch keeps caches and thread pools for each
// thread, so that the goroutines of a server, which run on ever new threads, should run their work in a pool.
type Pool struct {
	jobs   chan poolJob
	closed chan struct{}
	once   sync.Once
	wg     sync.WaitGroup
	noGrad bool
	own    sync.Map // the goroutines of its threads, by number
}

type poolJob struct {
	f    func()
	done chan error
}

// ErrPoolClosed is what Do returns after Close.
var ErrPoolClosed = errors.New("torch: the pool is closed")

// NewPool starts the threads of a pool.
func NewPool(o PoolOptions) *Pool {
	p := &Pool{jobs: make(chan poolJob), closed: make(chan struct{}), noGrad: o.NoGrad}
	for range max(o.Threads, 1) {
		p.wg.Go(func() { p.work(o) })
	}
	return p
}

func (p *Pool) work(o PoolOptions) {
	self := goroutineID()
	p.own.Store(self, true)
	defer p.own.Delete(self)
	RunRank(func() {
		WithNumThreads(max(o.IntraOp, 1), func() {
			for {
				select {
				case j := <-p.jobs:
					p.serve(j, o)
				case <-p.closed:
					return
				}
			}
		})
	})
}

// serve runs one job. A function that ends its goroutine (runtime.Goexit, as testing's FailNow does) gets another one
// started.
func (p *Pool) serve(j poolJob, o PoolOptions) {
	err := errors.New("torch: a function of the pool ended its goroutine (runtime.Goexit)")
	ended := false
	defer func() {
		j.done <- err
		if !ended {
			p.wg.Go(func() { p.work(o) })
		}
	}()
	err = runJob(j.f, o.NoGrad)
	ended = true
}

func runJob(f func(), noGrad bool) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("torch: a function of the pool panicked: %v\n%s", v, debug.Stack())
		}
	}()
	return Try(func() {
		Scope(func() {
			if noGrad {
				NoGrad(f)
			} else {
				f()
			}
		})
	})
}

// Do runs f on one of the pool's threads, in a scope, and waits for its end. It returns the error that f panicked with,
// ctx's if no thread came free in time, or ErrPoolClosed. What f makes is released at its end: it hands on Go data, or
// tensors that it Keeps. A function of the pool that calls Do goes on in its own thread where no other is free.
func (p *Pool) Do(ctx context.Context, f func()) error {
	if f == nil {
		return errors.New("torch: Pool.Do was given no function: it is nil")
	}
	if ctx == nil {
		return errors.New("torch: Pool.Do was given no context: it is nil; context.Background() never ends")
	}
	select {
	case <-p.closed:
		return ErrPoolClosed
	default:
	}
	j := poolJob{f, make(chan error, 1)}
	select {
	case p.jobs <- j:
		return <-j.done
	default:
	}
	if p.inside() {
		return runJob(f, p.noGrad)
	}
	select {
	case p.jobs <- j:
		return <-j.done
	case <-p.closed:
		return ErrPoolClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// inside reports whether the caller is a function that the pool runs.
func (p *Pool) inside() bool {
	_, own := p.own.Load(goroutineID())
	return own
}

// Close waits for the functions that are running and ends the threads. A function of the pool can't wait for its own
// end: there Close panics with an *Error, which Do returns, and the pool stays open.
func (p *Pool) Close() {
	if p.inside() {
		Fail("torch.Pool.Close", "it was called by a function that the pool runs, whose end it would wait for: call it "+
			"where Do has returned")
	}
	p.once.Do(func() { close(p.closed) })
	p.wg.Wait()
}
