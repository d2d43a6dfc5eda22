package cgotorch

// #include "cgotorch.h"
import "C"

import (
	"fmt"
	"unsafe"
)

// Error is what libtorch, or the shim, refused.
type Error struct {
	// Message is libtorch's own text, with its C++ trace if CPPTraces is on.
	Message string
	// Stale is the handle that was used after its tensor was released, if that is what happened.
	Stale Handle
	// OutOfMemory reports that an allocation failed; the same call may work once memory is free again.
	OutOfMemory bool
	// Panic is the value with which a Go callback panicked, if one did, and Stack where.
	Panic any
	Stack []byte
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// failure turns a status below zero, and what stands in out, into an *Error. It panics with Stopped where a second run
// of a checkpointed function ends early: no error for the function to see.
func failure(status int64, out []uint64) *Error {
	switch status {
	case C.GL_STALE:
		return &Error{Stale: Handle(out[0]), Message: "the tensor was released"}
	case C.GL_CALLBACK:
		p := takePanic(out[0])
		if stopped, ok := p.value.(Stopped); ok {
			panic(stopped)
		}
		return &Error{Panic: p.value, Stack: p.stack, Message: fmt.Sprintf("a Go callback panicked: %v", p.value)}
	case C.GL_STOPPED:
		panic(Stopped{out[0]})
	case C.GL_ERROR:
		text := "out of memory"
		if out[0] != 0 {
			text = C.GoStringN((*C.char)(pointer(out[0])), C.int(out[1]))
			C.gl_free_text(C.uint64_t(out[0]))
		}
		return &Error{Message: text, OutOfMemory: out[2] != 0}
	default:
		return &Error{Message: fmt.Sprintf("the shim returned status %d", status)}
	}
}

// pointer turns a C address that travelled in a word back into a pointer. It never holds a Go address.
func pointer(w uint64) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&w)) }

// result is the common end of calls: the words of out that were filled, however many they were.
func result(status int64, out []uint64) ([]uint64, *Error) {
	if status >= 0 {
		return out[:status], nil
	}
	if status == C.GL_SPILLED {
		words := make([]uint64, out[1])
		C.gl_take(C.uint64_t(out[0]), (*C.uint64_t)(&words[0]))
		return words, nil
	}
	return nil, failure(status, out)
}
