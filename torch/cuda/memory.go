package cuda

import (
	"math"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/torch"
)

// Figure is one figure of the caching allocator: what it is now, the most that it was, and the sums of what came and
// went.
type Figure struct{ Current, Peak, Allocated, Freed int64 }

// Stats are the caching allocator's figures of a device (torch.cuda.memory_stats): bytes, but for the counts.
type Stats struct {
	Allocated     Figure // of tensors
	Reserved      Figure // held from CUDA, in use or not
	Active        Figure // in use by tensors or by work under way
	InactiveSplit Figure // free parts of blocks that can't be given back
	Requested     Figure // what was requested, before rounding
	Allocations   Figure // the number of tensors' blocks

	Retries      int64 // allocations that worked after the cache was emptied
	OutOfMemory  int64 // allocations that failed
	DeviceAllocs int64 // calls of cudaMalloc
	DeviceFrees  int64 // calls of cudaFree
}

// MemoryStats returns a device's figures, all 0 without one.
func MemoryStats(device int) Stats {
	if !IsAvailable() {
		return Stats{}
	}
	w := call("MemoryStats", cgotorch.CUDAStats, check("MemoryStats", device))
	var s Stats
	for _, f := range []*Figure{&s.Allocated, &s.Reserved, &s.Active, &s.InactiveSplit, &s.Requested, &s.Allocations} {
		*f, w = Figure{int64(w[0]), int64(w[1]), int64(w[2]), int64(w[3])}, w[4:]
	}
	for _, n := range []*int64{&s.Retries, &s.OutOfMemory, &s.DeviceAllocs, &s.DeviceFrees} {
		*n, w = int64(w[0]), w[1:]
	}
	return s
}

// MemoryAllocated returns the bytes that tensors have in use on a device (torch.cuda.memory_allocated).
func MemoryAllocated(device int) int64 { return MemoryStats(device).Allocated.Current }

// MaxMemoryAllocated returns the most bytes that tensors had in use at once (torch.cuda.max_memory_allocated).
func MaxMemoryAllocated(device int) int64 { return MemoryStats(device).Allocated.Peak }

// MemoryReserved returns the bytes that the caching allocator holds (torch.cuda.memory_reserved).
func MemoryReserved(device int) int64 { return MemoryStats(device).Reserved.Current }

// MaxMemoryReserved returns the most bytes that it held (torch.cuda.max_memory_reserved).
func MaxMemoryReserved(device int) int64 { return MemoryStats(device).Reserved.Peak }

// ResetPeakMemoryStats starts the peaks anew from what is now (torch.cuda.reset_peak_memory_stats).
func ResetPeakMemoryStats(device int) { resetStats("ResetPeakMemoryStats", device, 1) }

// ResetAccumulatedMemoryStats starts the sums and counts anew from 0 (torch.cuda.reset_accumulated_memory_stats).
func ResetAccumulatedMemoryStats(device int) { resetStats("ResetAccumulatedMemoryStats", device, 2) }

func resetStats(name string, device int, which uint64) {
	if IsAvailable() {
		call(name, cgotorch.CUDAResetStats, check(name, device), which)
	}
}

// MemoryInfo returns the free and all bytes of a device, as CUDA reports them (torch.cuda.mem_get_info): other
// programs' use counts.
func MemoryInfo(device int) (free, total int64) {
	w := call("MemoryInfo", cgotorch.CUDAMemory, check("MemoryInfo", device))
	return int64(w[0]), int64(w[1])
}

// EmptyCache gives memory that no tensor uses back to CUDA, for other programs (torch.cuda.empty_cache). Without a
// device it does nothing.
func EmptyCache() {
	if IsAvailable() {
		call("EmptyCache", cgotorch.CUDAEmptyCache)
	}
}

// SetMemoryFraction limits what this process may take of a device's memory, from 0 to 1
// (torch.cuda.set_per_process_memory_fraction).
func SetMemoryFraction(device int, fraction float64) {
	if !(fraction >= 0 && fraction <= 1) {
		torch.Fail("cuda.SetMemoryFraction", "the fraction is %v: want 0 to 1", fraction)
	}
	call("SetMemoryFraction", cgotorch.CUDAMemoryFraction, check("SetMemoryFraction", device), math.Float64bits(fraction))
}
