package ptfile

import (
	"fmt"
	"math/bits"
	"strings"

	"github.com/golite/golite/torch/serial/pickle"
)

// Tensor describes a tensor in a file. Its bytes stay where they are until Storage is read.
type Tensor struct {
	// DType is its elements' type.
	DType DType
	// Shape has the sizes, Strides the steps between elements, Offset the first element's place in the
	// storage, all in elements.
	Shape, Strides []int
	Offset         int
	// Storage holds the bytes; tensors that share one alias each other. nil for sparse tensors.
	Storage *Storage
	// Layout is Strided, or a sparse layout, whose tensors are Parts: (indices, values) for sparse_coo,
	// else (compressed indices, plain indices, values).
	Layout Layout
	Parts  []*Tensor
	// Coalesced is sparse_coo's flag; nil where the file does not say.
	Coalesced *bool
	// Parameter marks an nn.Parameter.
	Parameter, RequiresGrad bool
	// Conj and Neg are the lazy conjugation and negation bits: the stored bytes are before them.
	Conj, Neg bool
	// Attrs holds Python attributes set on the tensor, or nil.
	Attrs any
}

// String is the tensor's type and shape, as "float32 [128, 784]".
func (t *Tensor) String() string {
	if t == nil {
		return "<nil>"
	}
	shape := strings.Trim(strings.ReplaceAll(fmt.Sprint(t.Shape), " ", ", "), "[]")
	return strings.TrimPrefix(t.DType.String(), "torch.") + " [" + shape + "]"
}

// Elements returns the number of elements, 1 for a scalar.
func (t *Tensor) Elements() int {
	n := 1
	for _, s := range t.Shape {
		n *= s
	}
	return n
}

// Bytes returns what the elements of a dense tensor take when they are laid out one after the other.
func (t *Tensor) Bytes() int64 {
	if t.Layout != Strided {
		var n int64
		for _, p := range t.Parts {
			n += p.Bytes()
		}
		return n
	}
	return int64(t.Elements()) * int64(t.DType.Size())
}

// Contiguous reports whether the elements lie one after the other in row-major order.
func (t *Tensor) Contiguous() bool {
	step := 1
	for i := len(t.Shape) - 1; i >= 0; i-- {
		if t.Shape[i] == 0 {
			return true
		}
		if t.Shape[i] != 1 && t.Strides[i] != step {
			return false
		}
		step *= t.Shape[i]
	}
	return true
}

// ContiguousStrides returns the row-major strides of a shape.
func ContiguousStrides(shape []int) []int {
	strides := make([]int, len(shape))
	step := 1
	for i := len(shape) - 1; i >= 0; i-- {
		strides[i] = step
		step *= max(shape[i], 1)
	}
	return strides
}

// Resolve lets the pickle reader settle the attributes.
func (t *Tensor) Resolve(f func(any) (any, error)) (err error) {
	t.Attrs, err = f(t.Attrs)
	return err
}

// SetState refuses state: tensors in files are complete when they are made.
func (t *Tensor) SetState(state any) error {
	d, ok := state.(*pickle.Dict)
	if !ok {
		return fmt.Errorf("the state of a tensor is %s", pickle.Describe(state))
	}
	t.Attrs = d
	return nil
}

const maxDims = 64

// check verifies that the tensor lies within its storage, without overflow.
func (t *Tensor) check() error {
	if !t.DType.Known() {
		return fmt.Errorf("dtype %q", string(t.DType))
	}
	if len(t.Shape) != len(t.Strides) || len(t.Shape) > maxDims {
		return fmt.Errorf("%d sizes and %d strides", len(t.Shape), len(t.Strides))
	}
	if t.Offset < 0 {
		return fmt.Errorf("storage offset %d", t.Offset)
	}
	last, ok := uint64(t.Offset), true
	empty, elements := false, uint64(1)
	for i, n := range t.Shape {
		if n < 0 || t.Strides[i] < 0 {
			return fmt.Errorf("size %d with stride %d", n, t.Strides[i])
		}
		if n == 0 {
			empty = true
			continue
		}
		last, ok = addMul(last, uint64(n-1), uint64(t.Strides[i]))
		hi, lo := bits.Mul64(elements, uint64(n))
		if !ok || hi != 0 || lo > 1<<62 {
			return fmt.Errorf("sizes %v with strides %v overflow", t.Shape, t.Strides)
		}
		elements = lo
	}
	capacity := uint64(t.Storage.Size) / uint64(t.DType.Size())
	if !empty && last >= capacity || uint64(t.Offset) > capacity {
		return fmt.Errorf("sizes %v, strides %v and offset %d reach beyond the %d elements of storage %s",
			t.Shape, t.Strides, t.Offset, capacity, t.Storage.Key)
	}
	return nil
}

// addMul returns a + b*c, and whether it fits.
func addMul(a, b, c uint64) (uint64, bool) {
	hi, lo := bits.Mul64(b, c)
	sum, carry := bits.Add64(a, lo, 0)
	return sum, hi == 0 && carry == 0 && sum < 1<<62
}
