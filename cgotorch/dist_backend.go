package cgotorch

// #include <stdlib.h>
// #include "dist.h"
import "C"

import (
	"fmt"
	"unsafe"
)

// GoBackend makes collectives of a group in Go. Collective owns the handles that it is given.
type GoBackend struct {
	Collective func(kind, op, root int, in, out []Handle) error
	Abort      func(reason string)
}

// AttachGo gives the group a backend for a type of device. forget releases b once the group is freed.
func (g Group) AttachGo(name string, device int32, b *GoBackend) (forget func(), err *Error) {
	n := C.CString(name)
	defer C.free(unsafe.Pointer(n))
	id := closures.put(b)
	var out [Room]uint64
	_, err = result(int64(C.gl_group_attach_go(C.uint64_t(g), n, C.int32_t(device), C.uint64_t(id), (*C.uint64_t)(&out[0]),
		Room)), out[:])
	if err != nil {
		closures.remove(id)
		return nil, err
	}
	return func() { closures.remove(id) }, nil
}

//export goliteCollective
func goliteCollective(closure C.uint64_t, kind, op, root C.int64_t, in *C.uint64_t, n C.int64_t, to *C.uint64_t,
	m C.int64_t) (wrong *C.char) {
	ended := false
	defer func() { // no panic may unwind into C++
		if v := recover(); v != nil {
			wrong = C.CString(fmt.Sprintf("it panicked: %v", v))
		} else if !ended {
			wrong = C.CString("it ended its goroutine")
		}
	}()
	b, ok := closures.get(uint64(closure)).(*GoBackend)
	if !ok {
		ended = true
		return C.CString("it was closed")
	}
	list := func(p *C.uint64_t, n C.int64_t) []Handle { return unsafe.Slice((*Handle)(unsafe.Pointer(p)), int(n)) }
	err := b.Collective(int(kind), int(op), int(root), list(in, n), list(to, m))
	ended = true
	if err != nil {
		return C.CString(err.Error())
	}
	return nil
}

//export goliteAbortBackend
func goliteAbortBackend(closure C.uint64_t, reason *C.char) {
	if b, ok := closures.get(uint64(closure)).(*GoBackend); ok {
		b.Abort(C.GoString(reason))
	}
}
