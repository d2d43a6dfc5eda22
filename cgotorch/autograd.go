package cgotorch

// #include <stdlib.h>
// #include "cgotorch.h"
import "C"

import "unsafe"

// Backward accumulates gradients. in holds: retain (0 no, 1 yes, 2 as create), create, then three lists
// of (count, handles): outputs, their gradients, and the inputs to accumulate into (none: all leaves).
// It runs the hooks and Go functions of the graph on the calling thread.
func Backward(in []uint64) *Error {
	var out [Room]uint64
	_, err := result(int64(C.gl_backward((*C.uint64_t)(&in[0]), C.uint32_t(len(in)), (*C.uint64_t)(&out[0]), Room)),
		out[:])
	return err
}

// Gradients computes gradients without accumulating them. in holds: retain, create, allow unused, then
// three lists: outputs, inputs, gradients of the outputs. The result has Call's form, one list of tensors.
func Gradients(in, out []uint64) ([]uint64, *Error) {
	return result(int64(C.gl_gradients((*C.uint64_t)(&in[0]), C.uint32_t(len(in)), (*C.uint64_t)(&out[0]),
		C.uint32_t(len(out)))), out)
}

// Grads gives the accumulated gradients of a list (count, handles), in Call's form; undefined where there is none.
func Grads(in, out []uint64) ([]uint64, *Error) {
	return result(int64(C.gl_grads((*C.uint64_t)(&in[0]), C.uint32_t(len(in)), (*C.uint64_t)(&out[0]),
		C.uint32_t(len(out)))), out)
}

// SetGrad replaces a tensor's accumulated gradient; grad 0 removes it.
func SetGrad(h, grad Handle) *Error {
	var out [Room]uint64
	_, err := result(int64(C.gl_set_grad(C.gl_handle(h), C.gl_handle(grad), (*C.uint64_t)(&out[0]), Room)), out[:])
	return err
}

// ClearGrads removes the accumulated gradients of all of h.
func ClearGrads(h []Handle) *Error {
	if len(h) == 0 {
		return nil
	}
	var out [Room]uint64
	_, err := result(int64(C.gl_clear_grads((*C.gl_handle)(unsafe.Pointer(&h[0])), C.uint32_t(len(h)),
		(*C.uint64_t)(&out[0]), Room)), out[:])
	return err
}

// RequiresGrad says whether autograd is to record what happens to a leaf.
func RequiresGrad(h Handle, on bool) *Error {
	var out [Room]uint64
	_, err := result(int64(C.gl_requires_grad(C.gl_handle(h), flag(on), (*C.uint64_t)(&out[0]), Room)), out[:])
	return err
}

// RetainGrad keeps the gradient of a tensor that is no leaf.
func RetainGrad(h Handle) *Error {
	var out [Room]uint64
	_, err := result(int64(C.gl_retain_grad(C.gl_handle(h), (*C.uint64_t)(&out[0]), Room)), out[:])
	return err
}

// GradFn names the node that made a tensor ("AddBackward0"), "" for a leaf.
func GradFn(h Handle) (string, *Error) {
	var out [Room]uint64
	w, err := result(int64(C.gl_grad_fn(C.gl_handle(h), (*C.uint64_t)(&out[0]), Room)), out[:])
	if err != nil {
		return "", err
	}
	return text(w), nil
}

// Apply gives the outputs of a forward that Go ran their place in the graph: f is their backward. in holds five lists:
// inputs, outputs, saved, written in place, not differentiable; then 1 where f is to get zeros in the place of
// undefined gradients. The result has Call's form.
func Apply(name string, f BackwardFunc, in, out []uint64) ([]uint64, *Error) {
	id := closures.put(f)
	n := C.CString(name)
	defer C.free(unsafe.Pointer(n))
	w, err := result(int64(C.gl_apply(C.uint64_t(id), n, (*C.uint64_t)(&in[0]), C.uint32_t(len(in)),
		(*C.uint64_t)(&out[0]), C.uint32_t(len(out)))), out)
	DrainClosures() // the graph may not have wanted f: its node is gone again then
	return w, err
}

// Saved gives what the node saved in its forward, in Call's form. It is for use inside a BackwardFunc.
func Saved(node uint64, out []uint64) ([]uint64, *Error) {
	return result(int64(C.gl_saved(C.uint64_t(node), (*C.uint64_t)(&out[0]), C.uint32_t(len(out)))), out)
}

// GradMode reports whether autograd records on the calling thread.
func GradMode() bool { return C.gl_grad_mode(-1) != 0 }

// SetGradMode sets it and returns what it was. The goroutine must be locked to its thread.
func SetGradMode(on bool) bool { return C.gl_grad_mode(flag(on)) != 0 }

// EnterInference enters inference mode on the calling thread; LeaveInference undoes the last one.
func EnterInference() { C.gl_inference(1) }

// EnterNormal enters the normal mode on the calling thread, within inference mode; LeaveInference undoes it.
func EnterNormal() { C.gl_inference(2) }

// LeaveInference undoes the last EnterInference or EnterNormal of this thread.
func LeaveInference() { C.gl_inference(0) }

// Inference reports whether the calling thread is in inference mode.
func Inference() bool { return C.gl_inference(-1) != 0 }

func flag(b bool) C.int32_t {
	if b {
		return 1
	}
	return 0
}
