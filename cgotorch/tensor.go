package cgotorch

// #include <stdlib.h>
// #include "cgotorch.h"
import "C"

import "unsafe"

// Info writes what a tensor is: the words of the constants Info..., then from InfoFixed on its sizes and (strided
// tensors) its strides. A nested tensor has no strides, and the size -1 where those of its parts differ.
func Info(h Handle, out []int64) ([]int64, *Error) {
	status := int64(C.gl_info(C.gl_handle(h), (*C.int64_t)(&out[0]), C.uint32_t(len(out))))
	if status >= 0 {
		return out[:status], nil
	}
	w, err := result(status, unsafe.Slice((*uint64)(unsafe.Pointer(&out[0])), len(out)))
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*int64)(unsafe.Pointer(&w[0])), len(w)), nil
}

// Data returns the address of a tensor's first element and that of its storage. Where the tensor has elements, both
// lead to memory, which holds all of them; else it fails: for tensors that stand for zeros, on the meta device, sparse
// and nested ones. The memory is the tensor's: it must be kept alive, and unreleased, while the address is used.
func Data(h Handle) (first, storage unsafe.Pointer, err *Error) {
	var out [Room]uint64
	w, err := result(int64(C.gl_data(C.gl_handle(h), (*C.uint64_t)(&out[0]), Room)), out[:])
	if err != nil {
		return nil, nil, err
	}
	return pointer(w[0]), pointer(w[1]), nil
}

// TensorVersion returns a tensor's version counter; tensors of inference mode have none, and it fails.
func TensorVersion(h Handle) (version uint64, err *Error) {
	var out [Room]uint64
	w, err := result(int64(C.gl_tensor_version(C.gl_handle(h), (*C.uint64_t)(&out[0]), Room)), out[:])
	if err != nil {
		return 0, err
	}
	return w[0], nil
}

// Storage returns a number that all tensors of one storage have, and no others while it lives.
func Storage(h Handle) (id uint64, err *Error) {
	var out [Room]uint64
	w, err := result(int64(C.gl_storage(C.gl_handle(h), (*C.uint64_t)(&out[0]), Room)), out[:])
	if err != nil {
		return 0, err
	}
	return w[0], nil
}

// Item returns the one element of a tensor, tagged.
func Item(h Handle) (tag, a, b uint64, err *Error) {
	var out [Room]uint64
	status := int64(C.gl_item(C.gl_handle(h), (*C.uint64_t)(&out[0]), Room))
	if status < 0 {
		return 0, 0, 0, failure(status, out[:])
	}
	return out[0], out[1], out[2], nil
}

// Alias gives a second handle to the same tensor, with the bytes of its storage. Its owner is the caller.
func Alias(h Handle) (alias Handle, bytes int64, err *Error) {
	var out [Room]uint64
	status := int64(C.gl_alias(C.gl_handle(h), (*C.uint64_t)(&out[0]), Room))
	if status < 0 {
		return 0, 0, failure(status, out[:])
	}
	return Handle(out[0]), int64(out[1]), nil
}

// StorageResize gives the storage of a tensor another size in bytes.
func StorageResize(h Handle, bytes int) *Error {
	var out [Room]uint64
	_, err := result(int64(C.gl_storage_resize(C.gl_handle(h), C.int64_t(bytes), (*C.uint64_t)(&out[0]), Room)), out[:])
	return err
}

// SetData makes a tensor share another's memory, as an assignment to .data does in Python.
func SetData(h, data Handle) *Error {
	var out [Room]uint64
	_, err := result(int64(C.gl_set_data(C.gl_handle(h), C.gl_handle(data), (*C.uint64_t)(&out[0]), Room)), out[:])
	return err
}
