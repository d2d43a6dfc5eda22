package torch

import (
	"math"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// lockedThreads counts the outermost scopes, each of which holds an OS thread.
var lockedThreads atomic.Int64

// fewThreads are so many that no limit is near.
const fewThreads = 256

// mostThreads leaves the runtime a tenth of the threads that Go allows (debug.SetMaxThreads, 10,000 unless the program
// has changed it): it ends the process when it needs one more.
var mostThreads = sync.OnceValue(func() int64 {
	limit := debug.SetMaxThreads(math.MaxInt32)
	debug.SetMaxThreads(limit)
	return int64(limit - limit/10)
})

// enterThread counts a goroutine that locks its thread for a scope, and panics where that would be one too many.
func enterThread() {
	if n := lockedThreads.Add(1); n > fewThreads && n > mostThreads() {
		lockedThreads.Add(-1)
		Fail("torch.Scope", "%d goroutines are in scopes at once, each on an OS thread of its own, and Go ends the "+
			"process beyond its limit of "+
			"threads (debug.SetMaxThreads): a torch.Pool runs any number of functions on a few threads", n-1)
	}
}
