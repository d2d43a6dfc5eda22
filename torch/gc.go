package torch

import (
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golite/golite/cgotorch"
)

// Go's collector counts a tensor's few words in Go and not its memory in libtorch. Two mechanisms make up for that.
//
// Big tensors on the CPU: libtorch's allocator has a collection run before their memory grows beyond the most that was
// needed so far (cgotorch/collect.h); collectForAllocator runs it.
//
// All others: pacer. When what they cost has grown by a share, it collects and waits until the tensors found dead are
// freed. Goroutines that make tensors faster than they are freed wait for that as well, for a bounded time.
var pacer struct {
	sync.Mutex
	grown atomic.Int64 // bytes and objects given to the collector since the last check
	fresh atomic.Int64 // the part of it that is the cost of small tensors
	// the cost of small tensors and the live bytes on all GPUs after the last collection, or the least since
	small, gpu   int64
	last         time.Time
	lastDuration time.Duration // how long a collection takes, as far as known
}

const (
	objectBytes = 1 << 10 // what a tensor costs besides its elements: libtorch's objects and Go's
	paceLook    = 4 << 20 // cost between two checks
	paceShare   = 12      // collect when the cost has grown by 1/paceShare
	paceAhead   = 8       // goroutines wait where they are so many checks ahead of a running collection
	longest     = 20 * time.Millisecond
)

func init() { cgotorch.Collect = collectForAllocator }

// collectForAllocator runs a collection that the allocator requests, and reports whether it did. Where collections take
// long, as with a large Go heap, they take a fifth of the time at most.
func collectForAllocator() bool {
	pacer.Lock()
	defer pacer.Unlock()
	run := pacer.lastDuration < longest || time.Since(pacer.last) > 4*pacer.lastDuration
	if run {
		collectAll(cleanupsWait)
	}
	return run
}

// paceGC counts a tensor that was left to the collector.
func paceGC(bytes int64) {
	fresh := int64(objectBytes)
	if bytes < cgotorch.BigTensor {
		fresh += bytes
	}
	fresh = pacer.fresh.Add(fresh)
	if pacer.grown.Add(bytes+objectBytes) < paceLook || !takeTurn(fresh) {
		return
	}
	defer pacer.Unlock()
	pacer.grown.Store(0)
	pacer.fresh.Store(0)
	small, onGPUs, reserved := liveCosts()
	pacer.small, pacer.gpu = min(pacer.small, small), min(pacer.gpu, onGPUs)
	// Collections may take a fifth of the time, unless much has grown meanwhile.
	soon := time.Since(pacer.last) < 5*pacer.lastDuration
	if shouldCollect(pacer.small, small, soon) || onGPUs > 0 && worthOnGPUs(onGPUs, reserved, soon) {
		collectAll(cleanupsWait)
	}
}

// takeTurn locks the pacer, and reports whether it did. Where another goroutine has it and tensors come faster than
// that one's collection frees them, it waits, for about a second at most.
func takeTurn(fresh int64) bool {
	if pacer.TryLock() {
		return true
	}
	if fresh < paceAhead*paceLook {
		return false
	}
	for range 1000 {
		time.Sleep(time.Millisecond)
		if pacer.TryLock() {
			return true
		}
	}
	return false
}

// shouldCollect reports whether the cost has grown enough for a collection: by 1/paceShare of base; by 1/4 within five
// times the last collection's duration; by 1/2 where that took more than 5 ms, as with a large Go heap. The caller
// holds the pacer.
func shouldCollect(base, live int64, soon bool) bool {
	enough := max(paceLook, base/paceShare)
	if soon {
		enough = max(4*paceLook, base/4)
		if pacer.lastDuration > 5*time.Millisecond {
			enough = max(16*paceLook, base/2)
		}
	}
	return live-base >= enough
}

// worthOnGPUs reports whether a collection is called for on GPUs: libtorch's reserve would have to grow, and either
// tensors that nothing else holds are a 64th of what there is, or as much has grown as for others. The caller holds the
// pacer.
func worthOnGPUs(live, reserved int64, soon bool) bool {
	if gpuCacheHasRoom(live, reserved) {
		return false
	}
	code, _ := Device{Type: CUDAType}.code()
	return cgotorch.Collectable(int32(code)) >= max(paceLook, live/64) || shouldCollect(pacer.gpu, live, soon)
}

// gpuCacheHasRoom reports whether libtorch's reserved memory on GPUs has free space: a collection saves nothing then,
// and the GPU would idle while no kernels are started. The first step of a training loop is collected as it goes, the
// next ones where they come near what that one took.
func gpuCacheHasRoom(live, reserved int64) bool { return live < reserved-reserved/paceShare }

// liveCosts are the cost of tensors below cgotorch.BigTensor on the CPU, with the objects of all tensors, the bytes of
// tensors on GPUs, and what libtorch has reserved for them there.
func liveCosts() (small, onGPUs, reserved int64) {
	m := cgotorch.Memory(false)
	onGPUs, reserved = cgotorch.CUDAAllocated()
	return m.Live - m.Big + m.Handles*objectBytes, onGPUs, reserved
}

// collectNow is for a failed allocation: it collects whatever the pace.
func collectNow() {
	pacer.Lock()
	defer pacer.Unlock()
	collectAll(time.Second)
}

// cleanupsWait is how long a collection waits for the tensors that it found dead to be freed.
const cleanupsWait = 500 * time.Millisecond

// collectAll collects and takes note of what is left. The caller holds the pacer.
func collectAll(wait time.Duration) {
	pacer.fresh.Store(0)
	collect(wait)
	pacer.small, pacer.gpu, _ = liveCosts()
	pacer.small = max(0, pacer.small-pacer.fresh.Load()) // others made tensors meanwhile, which it could not find dead
}

// collect runs the collector and waits until the cleanups that it found have run. The caller holds the pacer.
func collect(wait time.Duration) {
	if !cgotorch.Overridden("gc") {
		return
	}
	start := time.Now()
	done := make(chan struct{})
	func() { runtime.AddCleanup(new([64]byte), func(c chan struct{}) { close(c) }, done) }()
	cgotorch.DrainClosures() // what graphs that are gone held by way of Go is dead as well
	runtime.GC()
	lasting := time.Since(start)
	select {
	case <-done:
		// Cleanups run in no order.
		for !cleanupsRan() && time.Since(start) < wait {
			time.Sleep(50 * time.Microsecond)
		}
	case <-time.After(wait):
	}
	// One that took long was most likely kept waiting by other programs; a large heap shows in several.
	pacer.last, pacer.lastDuration = time.Now(), min(lasting, 2*pacer.lastDuration+time.Millisecond/4)
}

// cleanupsRan reports whether all cleanups that collections have found have run.
func cleanupsRan() bool {
	s := [2]metrics.Sample{{Name: "/gc/cleanups/queued:cleanups"}, {Name: "/gc/cleanups/executed:cleanups"}}
	metrics.Read(s[:])
	return s[0].Value.Kind() != metrics.KindUint64 || s[1].Value.Uint64() >= s[0].Value.Uint64()
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
	m := cgotorch.Memory(resetPeak)
	return MemoryStats{m.Live, m.Peak, m.Total}
}
