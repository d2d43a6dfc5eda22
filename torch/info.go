package torch

import (
	"slices"

	"github.com/golite/golite/cgotorch"
)

// facts are the words of cgotorch.Info.
type facts struct {
	buf  [48]int64
	n    int
	long []int64 // all words, where buf is too small; a copy, so that facts stay on the stack
}

func (f *facts) words() []int64 {
	if f.long != nil {
		return f.long
	}
	return f.buf[:f.n]
}

func (f *facts) at(i int) int64 { return f.words()[i] }

func (f *facts) load(t *Tensor, operation string) {
	if t == nil {
		Fail(operation, "the tensor is nil")
	}
	w, err := cgotorch.Info(t.h(), f.buf[:])
	if err != nil {
		panic(opError(operation, err, nil, t))
	}
	if f.n = len(w); f.n > len(f.buf) {
		f.long = slices.Clone(w)
	}
}

func (f *facts) sizes() []int64 { return f.words()[cgotorch.InfoFixed : cgotorch.InfoFixed+f.at(8)] }

// one panics for a nested tensor, which has no one size of each dimension.
func (f *facts) one(operation string, t *Tensor) {
	if f.at(4)&cgotorch.FlagNested != 0 {
		Fail(operation, "%s has no one size of each dimension: aten.Unbind gives its parts, aten.NestedTensorSize their sizes", describe(t))
	}
}

// Shape returns the sizes of all dimensions (Tensor.shape); empty for a scalar tensor. It panics for a nested tensor.
func (t *Tensor) Shape() []int {
	var f facts
	f.load(t, "shape")
	f.one("shape", t)
	return ints(f.sizes())
}

// Size returns the size of a dimension, counted from the end if negative (Tensor.size).
func (t *Tensor) Size(dim int) int {
	var f facts
	f.load(t, "size")
	f.one("size", t)
	s := f.sizes()
	i := dim
	if i < 0 {
		i += len(s)
	}
	if i < 0 || i >= len(s) {
		Fail("size", "dimension %d of a tensor of shape %s", dim, shapeString(s))
	}
	return int(s[i])
}

// Dim returns the number of dimensions (Tensor.dim).
func (t *Tensor) Dim() int {
	var f facts
	f.load(t, "dim")
	return int(f.at(8))
}

// Numel returns the number of elements (Tensor.numel).
func (t *Tensor) Numel() int {
	var f facts
	f.load(t, "numel")
	return int(f.at(6))
}

// Strides returns, for each dimension, how many elements lie between neighbours (Tensor.stride); nil unless strided.
func (t *Tensor) Strides() []int {
	var f facts
	f.load(t, "stride")
	rest := f.words()[cgotorch.InfoFixed+f.at(8):]
	if len(rest) == 0 && f.at(8) > 0 {
		return nil
	}
	return ints(rest)
}

// StorageOffset returns the place of the first element in the storage, in elements (Tensor.storage_offset).
func (t *Tensor) StorageOffset() int {
	var f facts
	f.load(t, "storage_offset")
	return int(f.at(5))
}

// StorageBytes returns the size of the memory that the tensor lives in, which views share.
func (t *Tensor) StorageBytes() int {
	var f facts
	f.load(t, "storage")
	return int(f.at(7))
}

// DType returns the type of the elements.
func (t *Tensor) DType() DType {
	var f facts
	f.load(t, "dtype")
	return dtypeOf(f.at(0))
}

// Device returns where the tensor lives.
func (t *Tensor) Device() Device {
	var f facts
	f.load(t, "device")
	return deviceOf(f.at(1), f.at(2))
}

// Layout returns how the elements are stored.
func (t *Tensor) Layout() Layout {
	var f facts
	f.load(t, "layout")
	return Layout(f.at(3) + 1)
}

func (t *Tensor) flag(flag int64) bool {
	var f facts
	f.load(t, "tensor")
	return f.at(4)&flag != 0
}

// RequiresGrad tells whether autograd records what happens to the tensor (Tensor.requires_grad).
func (t *Tensor) RequiresGrad() bool { return t.flag(cgotorch.FlagRequiresGrad) }

// IsLeaf tells whether the tensor was made by the user and not by an operation that autograd recorded (Tensor.is_leaf).
func (t *Tensor) IsLeaf() bool { return t.flag(cgotorch.FlagLeaf) }

// IsContiguous tells whether the elements lie in memory in the order of their indices (Tensor.is_contiguous).
func (t *Tensor) IsContiguous() bool { return t.flag(cgotorch.FlagContiguous) }

// IsInference tells a tensor made in inference mode, which autograd can't use (Tensor.is_inference).
func (t *Tensor) IsInference() bool { return t.flag(cgotorch.FlagInference) }

// IsView tells a tensor that autograd knows as a view of another.
func (t *Tensor) IsView() bool { return t.flag(cgotorch.FlagView) }

// SameStorage tells whether both tensors live in the same memory, so that writing one may change the other.
func (t *Tensor) SameStorage(o *Tensor) bool {
	return t.storage() == o.storage()
}

// storage tells the tensor's storage from all others.
func (t *Tensor) storage() uint64 {
	if t == nil {
		Fail("storage", "the tensor is nil")
	}
	id, err := cgotorch.Storage(t.h())
	if err != nil {
		panic(opError("storage", err, nil, t))
	}
	return id
}

// Version counts the writes in place to the tensor and to all that share its memory (Tensor._version).
func (t *Tensor) Version() int {
	if t == nil {
		Fail("version", "the tensor is nil")
	}
	v, err := cgotorch.TensorVersion(t.h())
	if err != nil {
		panic(opError("version", err, nil, t))
	}
	return int(v)
}

func ints(v []int64) []int {
	out := make([]int, len(v))
	for i, n := range v {
		out[i] = int(n)
	}
	return out
}
