package cgotorch

// #include <stdlib.h>
// #include "cgotorch.h"
import "C"

import (
	"slices"
	"strings"
	"sync/atomic"
	"unsafe"
)

// Room is the least number of words of a result buffer.
const Room = 16

// Find looks an operator up by name ("aten::add") and overload ("Tensor", or "" for the plain one).
// The id holds for the life of the process; ok is false if libtorch has no such operator.
func Find(name, overload string) (id uint32, ok bool) {
	n, o := C.CString(name), C.CString(overload)
	defer C.free(unsafe.Pointer(n))
	defer C.free(unsafe.Pointer(o))
	i := C.gl_find(n, o)
	return uint32(i), i >= 0
}

// Schema returns an operator's schema as libtorch writes it.
func Schema(id uint32) (string, error) {
	var out [Room]uint64
	w, err := result(int64(C.gl_schema(C.uint32_t(id), (*C.uint64_t)(&out[0]), Room)), out[:])
	if err != nil {
		return "", err
	}
	return text(w), nil
}

// Schemas returns the schemas of all registered operators, one a line, in no order.
func Schemas() (string, error) {
	var out [Room]uint64
	w, err := result(int64(C.gl_schemas((*C.uint64_t)(&out[0]), Room)), out[:])
	if err != nil {
		return "", err
	}
	return text(w), nil
}

// Call runs operator id with the arguments in in, tagged and in the schema's order. The first word of
// the result is the scope that the calling thread is in, the rest its tagged results, less those
// that are arguments written in place. out holds at least Room words; a longer result has a slice of its own.
func Call(id uint32, in []uint64, out []uint64) ([]uint64, *Error) {
	if packing.Load() != 0 {
		return callWithHooks(id, in, out)
	}
	status := int64(C.gl_call(C.uint32_t(id), (*C.uint64_t)(unsafe.SliceData(in)), C.uint32_t(len(in)),
		(*C.uint64_t)(unsafe.SliceData(out)), C.uint32_t(len(out))))
	if status >= 0 {
		return out[:status], nil
	}
	return result(status, out)
}

// packing counts the uses of SavedHooks under way. Operators call Go only during one.
var packing atomic.Int32

// callWithHooks is Call for operators that may call Go, whose stack may move meanwhile: its buffers lie on the heap.
func callWithHooks(id uint32, in []uint64, out []uint64) ([]uint64, *Error) {
	args, results := slices.Clone(in), make([]uint64, len(out))
	status := int64(C.gl_call_with_hooks(C.uint32_t(id), (*C.uint64_t)(unsafe.SliceData(args)), C.uint32_t(len(args)),
		(*C.uint64_t)(unsafe.SliceData(results)), C.uint32_t(len(results))))
	copy(out, results)
	return result(status, out)
}

// Drop releases handles, passing over those already released, and returns how many it released.
func Drop(h []Handle) int {
	if len(h) == 0 {
		return 0
	}
	return int(C.gl_drop((*C.gl_handle)(unsafe.Pointer(&h[0])), C.uint64_t(len(h))))
}

// Sift moves the handles in use to the front of h and returns how many there are.
func Sift(h []Handle) int {
	if len(h) == 0 {
		return 0
	}
	return int(C.gl_sift((*C.gl_handle)(unsafe.Pointer(&h[0])), C.uint64_t(len(h))))
}

// Alive reports whether a handle's tensor is not released.
func Alive(h Handle) bool { return C.gl_alive(C.gl_handle(h)) != 0 }

// Live returns the number of handles in use in the whole process.
func Live() int64 { return int64(C.gl_live()) }

// SetScope makes token the scope of the calling thread and returns the one before; 0 is none.
// The goroutine must be locked to its thread.
func SetScope(token uint64) uint64 { return uint64(C.gl_scope(C.uint64_t(token))) }

// Scope returns the calling thread's scope.
func Scope() uint64 { return uint64(C.gl_scope_now()) }

// text reads a packed string: its length in bytes, then words.
func text(w []uint64) string {
	if len(w) == 0 || w[0] == 0 {
		return ""
	}
	return strings.Clone(unsafe.String((*byte)(unsafe.Pointer(&w[1])), int(w[0])))
}
