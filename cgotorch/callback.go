package cgotorch

// #include "cgotorch.h"
import "C"

import (
	"runtime"
	"runtime/debug"
	"sync"
	"unsafe"
)

// Hook is called with a gradient's handle (0: undefined), which it owns, and returns the handle of what
// is to replace it, or 0; that handle is the shim's from then on.
type Hook func(grad Handle) Handle

// BackwardFunc computes the gradients of a function's inputs from those of its outputs. It owns the handles
// it is given; the results (0: none) are the shim's. node is for Saved.
type BackwardFunc func(node uint64, grads []Handle, results []Handle)

// registry holds Go closures that C++ refers to by number.
type registry struct {
	mu   sync.Mutex
	last uint64
	m    map[uint64]any
}

var (
	closures = registry{m: map[uint64]any{}}
	panics   = registry{m: map[uint64]any{}}
)

func (r *registry) put(v any) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	r.m[r.last] = v
	return r.last
}

func (r *registry) get(id uint64) any {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.m[id]
}

func (r *registry) remove(id uint64) any {
	r.mu.Lock()
	defer r.mu.Unlock()
	v := r.m[id]
	delete(r.m, id)
	return v
}

type panicked struct {
	value any
	stack []byte
}

func takePanic(id uint64) panicked {
	p, _ := panics.remove(id).(panicked)
	return p
}

// DrainClosures drops the Go closures whose graphs are gone.
func DrainClosures() {
	var ids [256]uint64
	for {
		n := C.gl_dead_closures((*C.uint64_t)(&ids[0]), C.uint32_t(len(ids)))
		for _, id := range ids[:n] {
			closures.remove(id)
		}
		if int(n) < len(ids) {
			return
		}
	}
}

// Closures returns how many Go closures C++ graphs hold: a figure for leak tests.
func Closures() int {
	closures.mu.Lock()
	defer closures.mu.Unlock()
	return len(closures.m)
}

//export goliteHook
func goliteHook(closure, grad C.uint64_t, replacement *C.uint64_t) (id C.uint64_t) {
	ended := false
	defer catch(&id, &ended)
	if f, ok := closures.get(uint64(closure)).(Hook); ok {
		*replacement = C.uint64_t(f(Handle(grad)))
	}
	ended = true
	return 0
}

//export goliteBackward
func goliteBackward(closure, node C.uint64_t, grads *C.uint64_t, n C.int64_t, results *C.uint64_t,
	m C.int64_t) (id C.uint64_t) {
	ended := false
	defer catch(&id, &ended)
	if f, ok := closures.get(uint64(closure)).(BackwardFunc); ok {
		f(uint64(node), unsafe.Slice((*Handle)(unsafe.Pointer(grads)), int(n)),
			unsafe.Slice((*Handle)(unsafe.Pointer(results)), int(m)))
	}
	ended = true
	return 0
}

//export golitePack
func golitePack(closure, tensor C.uint64_t, packed *C.uint64_t) (id C.uint64_t) {
	ended := false
	defer catch(&id, &ended)
	if f, ok := closures.get(uint64(closure)).(Pack); ok {
		*packed = C.uint64_t(closures.put(f(Handle(tensor))))
	}
	ended = true
	return 0
}

//export goliteUnpack
func goliteUnpack(packed C.uint64_t, tensor *C.uint64_t) (id C.uint64_t) {
	ended := false
	defer catch(&id, &ended)
	if f, ok := closures.get(uint64(packed)).(func() Handle); ok {
		*tensor = C.uint64_t(f())
	}
	ended = true
	return 0
}

//export goliteRecompute
func goliteRecompute(closure, frame C.uint64_t, inputs *C.uint64_t, n C.int64_t) (id C.uint64_t) {
	ended := false
	defer catch(&id, &ended)
	if f, ok := closures.get(uint64(closure)).(Recompute); ok {
		f(uint64(frame), unsafe.Slice((*Handle)(unsafe.Pointer(inputs)), int(n)))
	}
	ended = true
	return 0
}

// catch keeps a panic from unwinding into C++: it waits under a number until the outer call returns. runtime.Goexit
// can't be kept: it leaves the C++ frames behind, and what libtorch noted of them on this thread, so the thread ends
// with the goroutine.
func catch(id *C.uint64_t, ended *bool) {
	if v := recover(); v != nil {
		*id = C.uint64_t(panics.put(panicked{v, debug.Stack()}))
	} else if !*ended {
		runtime.LockOSThread()
	}
}
