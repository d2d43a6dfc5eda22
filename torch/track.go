package torch

import (
	"sync"
	"sync/atomic"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/callsite"
)

// tracker records where every tensor is made, while it is on.
var tracker struct {
	on   atomic.Bool
	lock sync.Mutex
	made map[cgotorch.Handle]callsite.Origin
}

// TrackOrigins starts (or stops) remembering where tensors are made, for LiveByOrigin. It costs a microsecond a tensor
// and is for hunting leaks, not for production.
func TrackOrigins(on bool) {
	tracker.lock.Lock()
	defer tracker.lock.Unlock()
	tracker.made = map[cgotorch.Handle]callsite.Origin{}
	tracker.on.Store(on)
}

func track(t *Tensor, h cgotorch.Handle) {
	tracker.lock.Lock()
	defer tracker.lock.Unlock()
	tracker.made[h] = t.origin
	if len(tracker.made)&(1<<16-1) == 0 {
		forgetReleased()
	}
}

func forgetReleased() {
	for h := range tracker.made {
		if !cgotorch.Alive(h) {
			delete(tracker.made, h)
		}
	}
}

// LiveByOrigin returns, for each place that made tensors since TrackOrigins(true), how many of them are still alive: a
// place whose number grows from step to step leaks.
func LiveByOrigin() map[string]int {
	tracker.lock.Lock()
	defer tracker.lock.Unlock()
	forgetReleased()
	counts := map[string]int{}
	for _, o := range tracker.made {
		counts[orUnknown(o.String())]++
	}
	return counts
}
