package torch

import (
	"slices"

	"github.com/golite/golite/cgotorch"
)

// tensorMeta is what cgotorch.Info returns, with names for its words.
type tensorMeta struct {
	buf  [48]int64
	n    int
	long []int64 // all words, where buf is too small; a copy, so that a tensorMeta stays on the stack
}

func (f *tensorMeta) words() []int64 {
	if f.long != nil {
		return f.long
	}
	return f.buf[:f.n]
}

func (f *tensorMeta) at(i int) int64 { return f.words()[i] }

func (f *tensorMeta) load(t *Tensor, operation string) {
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

func (f *tensorMeta) sizes() []int64 {
	return f.words()[cgotorch.InfoFixed : cgotorch.InfoFixed+f.at(cgotorch.InfoDim)]
}

// one panics for a nested tensor, which has no one size of each dimension.
func (f *tensorMeta) one(operation string, t *Tensor) {
	if f.at(cgotorch.InfoFlags)&cgotorch.FlagNested != 0 {
		Fail(operation, "%s has no one size of each dimension: aten.Unbind gives its parts, aten.NestedTensorSize "+
			"their sizes", describe(t))
	}
}

// Shape returns the sizes of all dimensions (Tensor.shape); empty for a scalar tensor. It panics for a nested tensor.
func (t *Tensor) Shape() []int {
	var f tensorMeta
	f.load(t, "shape")
	f.one("shape", t)
	return ints(f.sizes())
}

// Size returns the size of a dimension, counted from the end if negative (Tensor.size).
func (t *Tensor) Size(dim int) int {
	var f tensorMeta
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
	var f tensorMeta
	f.load(t, "dim")
	return int(f.at(cgotorch.InfoDim))
}

// Numel returns the number of elements (Tensor.numel).
func (t *Tensor) Numel() int {
	var f tensorMeta
	f.load(t, "numel")
	return int(f.at(cgotorch.InfoNumel))
}

// Strides returns, for each dimension, how many elements lie between neighbours (Tensor.stride); nil unless strided.
func (t *Tensor) Strides() []int {
	var f tensorMeta
	f.load(t, "stride")
	rest := f.words()[cgotorch.InfoFixed+f.at(cgotorch.InfoDim):]
	if len(rest) == 0 && f.at(cgotorch.InfoDim) > 0 {
		return nil
	}
	return ints(rest)
}

// StorageOffset returns the place of the first element in the storage, in elements (Tensor.storage_offset).
func (t *Tensor) StorageOffset() int {
	var f tensorMeta
	f.load(t, "storage_offset")
	return int(f.at(cgotorch.InfoStorageOffset))
}

// StorageBytes returns the size of the tensor's storage, which views share.
func (t *Tensor) StorageBytes() int {
	var f tensorMeta
	f.load(t, "storage")
	return int(f.at(cgotorch.InfoStorageBytes))
}

// DType returns the type of the elements.
func (t *Tensor) DType() DType {
	var f tensorMeta
	f.load(t, "dtype")
	return dtypeOf(f.at(cgotorch.InfoDType))
}

// Device returns the tensor's device.
func (t *Tensor) Device() Device {
	var f tensorMeta
	f.load(t, "device")
	return deviceOf(f.at(cgotorch.InfoDeviceType), f.at(cgotorch.InfoDeviceIndex))
}

// Layout returns how the elements are stored.
func (t *Tensor) Layout() Layout {
	var f tensorMeta
	f.load(t, "layout")
	return Layout(f.at(cgotorch.InfoLayout) + 1)
}

func (t *Tensor) flag(flag int64) bool {
	var f tensorMeta
	f.load(t, "tensor")
	return f.at(cgotorch.InfoFlags)&flag != 0
}

// RequiresGrad reports whether autograd records operations on the tensor (Tensor.requires_grad).
func (t *Tensor) RequiresGrad() bool { return t.flag(cgotorch.FlagRequiresGrad) }

// IsLeaf reports whether the tensor was made by the user and not by an operation that autograd recorded
// (Tensor.is_leaf).
func (t *Tensor) IsLeaf() bool { return t.flag(cgotorch.FlagLeaf) }

// IsContiguous reports whether the elements lie in memory in the order of their indices (Tensor.is_contiguous).
func (t *Tensor) IsContiguous() bool { return t.flag(cgotorch.FlagContiguous) }

// IsInference reports whether the tensor was made in inference mode; autograd can't use such a tensor
// (Tensor.is_inference).
func (t *Tensor) IsInference() bool { return t.flag(cgotorch.FlagInference) }

// IsView reports whether autograd treats the tensor as a view of another.
func (t *Tensor) IsView() bool { return t.flag(cgotorch.FlagView) }

// SameStorage reports whether both tensors share their memory, so that writing one may change the other.
func (t *Tensor) SameStorage(o *Tensor) bool {
	return t.storage() == o.storage()
}

// storage returns a number that identifies the tensor's storage.
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
