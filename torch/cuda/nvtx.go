package cuda

import (
	"runtime"

	"github.com/golite/golite/cgotorch"
)

// Range runs f as a named range on the timeline of NVIDIA's tools (torch.cuda.nvtx.range). Without a GPU it runs f.
// Ranges of libtorch's own profiler are package profiler's. The goroutine is locked to its thread while f runs: ranges
// are the thread's.
func Range(name string, f func()) {
	if !IsAvailable() {
		f()
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	call("Range", cgotorch.CUDANVTXPush, new(cgotorch.ArgWriter).PutText(name).Words()...)
	defer call("Range", cgotorch.CUDANVTXPop)
	f()
}

// Mark puts a named point on the timeline of NVIDIA's tools (torch.cuda.nvtx.mark).
func Mark(name string) {
	if IsAvailable() {
		call("Mark", cgotorch.CUDANVTXMark, new(cgotorch.ArgWriter).PutText(name).Words()...)
	}
}
