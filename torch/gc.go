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
	grown    atomic.Int64 // bytes given to the collector since the last look
	cpu, gpu int64        // live bytes on the CPU and on all GPUs after the last collection, or the least since
	last     time.Time
	lasting  time.Duration // how long a collection takes, as far as known
}

const (
	paceLook  = 4 << 20 // bytes between two looks
	paceShare = 12      // collect when live bytes have grown by 1/paceShare
)

// paceGC takes note of bytes that were left to the collector.
func paceGC(n int64) {
	if pacer.grown.Add(n) < paceLook || !pacer.TryLock() {
		return
	}
	defer pacer.Unlock()
	pacer.grown.Store(0)
	onCPU, onGPUs, reserved := liveBytes()
	pacer.cpu, pacer.gpu = min(pacer.cpu, onCPU), min(pacer.gpu, onGPUs)
	// Collections may take a fifth of the time, unless much has grown meanwhile.
	soon := time.Since(pacer.last) < 5*pacer.lasting
	if !worthIt(pacer.cpu, onCPU, soon) && (!worthIt(pacer.gpu, onGPUs, soon) || roomOnGPUs(onGPUs, reserved)) {
		return
	}
	collect(50 * time.Millisecond)
	pacer.cpu, pacer.gpu, _ = liveBytes()
}

// worthIt tells whether so much has grown that a collection is called for: a share of what there was, and where there was one lately a
// quarter, or half where one takes long because the program's own heap is large. The caller holds the pacer.
func worthIt(base, live int64, soon bool) bool {
	enough := max(paceLook, base/paceShare)
	if soon {
		enough = max(4*paceLook, base/4)
		if pacer.lasting > 5*time.Millisecond {
			enough = max(16*paceLook, base/2)
		}
	}
	return live-base >= enough
}

// roomOnGPUs tells that the memory which libtorch has on GPUs holds some more than there is: nothing is to be saved then, and a GPU would
// wait for the kernels that nobody starts during a collection. The first step of a training loop is collected as it goes, the next ones
// where they come near what that one took.
func roomOnGPUs(live, reserved int64) bool { return live < reserved-reserved/paceShare }

// liveBytes are those of tensors in use, and what libtorch has reserved for them on GPUs.
func liveBytes() (onCPU, onGPUs, reserved int64) {
	onCPU, _, _ = cgotorch.Memory(false)
	onGPUs, reserved = cgotorch.CUDAAllocated()
	return onCPU, onGPUs, reserved
}

// collectNow is for a failed allocation: it collects whatever the pace.
func collectNow() {
	pacer.Lock()
	defer pacer.Unlock()
	collect(time.Second)
}

// collect runs the collector and gives the cleanups that it found some time to run. The caller holds the pacer.
func collect(wait time.Duration) {
	if !cgotorch.Overridden("gc") {
		return
	}
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
