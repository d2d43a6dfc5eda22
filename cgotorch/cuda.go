package cgotorch

/*
#cgo linux LDFLAGS: -ldl
#include <stdlib.h>
#include "cuda.h"
#cgo noescape gl_cuda
#cgo nocallback gl_cuda
#cgo nocallback gl_cuda_allocated
#cgo noescape gl_cuda_allocated
*/
import "C"

import (
	"math"
	"unsafe"
)

// CUDA runs a function of libcgotorch_cuda.so. What depends on the thread (device, stream, a graph being recorded)
// needs a goroutine that is locked to one.
func CUDA(function uint32, in ...uint64) ([]uint64, *Error) {
	var out [Room * 3]uint64
	return result(int64(C.gl_cuda(C.uint32_t(function), (*C.uint64_t)(unsafe.SliceData(in)), C.uint32_t(len(in)),
		(*C.uint64_t)(&out[0]), C.uint32_t(len(out)))), out[:])
}

// CUDAText reads the text at the end of a result.
func CUDAText(w []uint64) string { return text(w) }

// CUDAAllocated returns the bytes that tensors have in use on all GPUs, and those that libtorch has of the GPUs for
// them; 0 without any.
func CUDAAllocated() (allocated, reserved int64) {
	allocated = int64(C.gl_cuda_allocated((*C.int64_t)(&reserved)))
	return allocated, reserved
}

// NCCL returns SetMaker's argument for NCCL's backend, nil without libcgotorch_cuda.so.
func NCCL() unsafe.Pointer { return C.gl_nccl() }

// Switch sets one of the process's switches and returns what it was.
func Switch(which int, on bool) (before bool) { return C.gl_switch(C.int32_t(which), flag(on)) > 0 }

// SwitchState returns a switch's value.
func SwitchState(which int) bool { return C.gl_switch(C.int32_t(which), -1) > 0 }

// ProfilerStart starts libtorch's profiler: on the calling thread, which must be locked, or with ProfileAllThreads on
// all.
func ProfilerStart(flags uint32) *Error {
	var out [Room]uint64
	_, err := result(int64(C.gl_profiler_start(C.uint32_t(flags), (*C.uint64_t)(&out[0]), Room)), out[:])
	return err
}

// Profiled is one event of a profile; times are in nanoseconds.
type Profiled struct {
	Name            string
	Device          int32 // libtorch's number of the device's type
	Thread          uint64
	Start, Duration int64
}

// ProfilerStop ends it on the same thread, writes its trace to path, unless that is empty, and returns the events.
func ProfilerStop(path string) ([]Profiled, *Error) {
	p := C.CString(path)
	defer C.free(unsafe.Pointer(p))
	var out [Room]uint64
	w, err := result(int64(C.gl_profiler_stop(p, (*C.uint64_t)(&out[0]), Room)), out[:])
	if err != nil {
		return nil, err
	}
	list := make([]Profiled, w[0])
	w = w[1:]
	for i := range list {
		e := &list[i]
		e.Name, w = cut(w)
		e.Device, e.Thread, e.Start, e.Duration = int32(w[0]), w[1], int64(w[2]), int64(w[3])
		w = w[4:]
	}
	return list, nil
}

// EnterRange begins a named range in the profile; ExitRange ends it, on the same thread. It is 0 where no profiler
// records.
func EnterRange(name string) uint64 {
	n := C.CString(name)
	defer C.free(unsafe.Pointer(n))
	return uint64(C.gl_range_enter(n))
}

// ExitRange ends a range.
func ExitRange(r uint64) {
	if r != 0 {
		C.gl_range_exit(C.uint64_t(r))
	}
}

// Float64 is the number whose bits a word holds.
func Float64(w uint64) float64 { return math.Float64frombits(w) }
