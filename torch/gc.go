package torch

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golite/golite/cgotorch"
)

// The collector knows a tensor's few words in Go and not its megabytes in libtorch. pacer makes up for
// that: when the bytes that only the collector can free have grown by a share of all live bytes, it
// collects, and waits until the tensors found dead are freed.
var pacer struct {
	sync.Mutex
	grown   atomic.Int64                 // bytes given to the collector since the last look
	base    int64                        // live bytes after the last collection
	tried   struct{ live, growth int64 } // as the last collection found them
	slack   int64                        // doublings of the share that is waited for: more where collections find little
	last    time.Time
	lasting time.Duration // how long a collection takes, as far as known
}

const (
	paceLook  = 4 << 20 // bytes between two looks
	paceShare = 12      // collect when live bytes have grown by 1/paceShare
	paceSlack = 3       // or by 2, 4, 8 times that
)

// paceGC takes note of bytes that were left to the collector.
func paceGC(n int64) {
	if pacer.grown.Add(n) < paceLook || !pacer.TryLock() {
		return
	}
	defer pacer.Unlock()
	pacer.grown.Store(0)
	live, onGPUs := liveBytes()
	if live < pacer.base {
		pacer.base = live
	}
	growth := live - pacer.base
	if growth < max(paceLook, pacer.base/paceShare<<pacer.slack) {
		return
	}
	// Collections may take a fifth of the time, unless memory has grown by a quarter meanwhile, or by half where one takes
	// long because the program's own heap is large.
	room := max(4*paceLook, pacer.base/4)
	if pacer.lasting > 5*time.Millisecond {
		room = max(16*paceLook, pacer.base/2)
	}
	if time.Since(pacer.last) < 5*pacer.lasting && growth < room {
		return
	}
	learn(live, growth, onGPUs)
	collect(50 * time.Millisecond)
	pacer.base, _ = liveBytes()
}

// learn judges the last collection by the least that was live since, for what it found is freed a little later. Where it was little, as in a forward
// pass that keeps all for its backward pass, the next ones wait for more: a GPU waits for kernels that the collector keeps from being started. The
// CPU's memory is dearer than its time.
func learn(live, growth, onGPUs int64) {
	switch freed := pacer.tried.live - pacer.base; {
	case onGPUs < live/2:
		pacer.slack = 0
	case freed < pacer.tried.growth/4:
		pacer.slack = min(pacer.slack+1, paceSlack)
	case freed > pacer.tried.growth/2:
		pacer.slack = max(pacer.slack-1, 0)
	}
	pacer.tried.live, pacer.tried.growth = live, growth
}

// liveBytes are those of tensors in use, on the CPU and on all GPUs.
func liveBytes() (all, onGPUs int64) {
	live, _, _ := cgotorch.Memory(false)
	onGPUs = cgotorch.CUDAAllocated()
	return live + onGPUs, onGPUs
}

// collectNow is for a failed allocation: it collects whatever the pace.
func collectNow() {
	pacer.Lock()
	defer pacer.Unlock()
	collect(time.Second)
}

// collect runs the collector and gives the cleanups that it found some time to run. The caller holds the pacer.
func collect(wait time.Duration) {
	start := time.Now()
	done := make(chan struct{})
	func() { runtime.AddCleanup(new([64]byte), func(c chan struct{}) { close(c) }, done) }()
	runtime.GC()
	select {
	case <-done:
		runtime.Gosched()
	case <-time.After(wait):
	}
	// One that took long was most likely kept waiting by other programs; a large heap shows in several.
	pacer.last, pacer.lasting = time.Now(), min(time.Since(start), 2*pacer.lasting+time.Millisecond/4)
}

// MemoryStats are figures of tensor memory on the CPU, in bytes.
type MemoryStats struct {
	Live  int64 // in use now
	Peak  int64 // the most that was in use at once
	Total int64 // the sum of all allocations so far
}

// Memory returns the figures of the process's CPU tensor memory. With resetPeak the peak starts anew from
// what is in use now, as torch.cuda.reset_peak_memory_stats does.
func Memory(resetPeak bool) MemoryStats {
	live, peak, total := cgotorch.Memory(resetPeak)
	return MemoryStats{live, peak, total}
}
