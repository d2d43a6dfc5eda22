package torch

import (
	"runtime"
	"unsafe"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/op"
)

// Elem is what a tensor can be made from and read as. int is int64.
type Elem interface {
	bool | uint8 | int8 | int16 | int32 | int64 | int | uint16 | uint32 | uint64 | float32 | float64 |
		complex64 | complex128
}

// elemType is the dtype that a Go type has in memory.
func elemType[E Elem]() DType {
	var e E
	switch any(e).(type) {
	case bool:
		return Bool
	case uint8:
		return UInt8
	case int8:
		return Int8
	case int16:
		return Int16
	case int32:
		return Int32
	case int64, int:
		return Int64
	case uint16:
		return UInt16
	case uint32:
		return UInt32
	case uint64:
		return UInt64
	case float32:
		return Float32
	case float64:
		return Float64
	case complex64:
		return Complex64
	default:
		return Complex128
	}
}

// From makes a tensor on the CPU that holds a copy of data, in row-major order (torch.tensor). Without a
// shape it has one dimension. The shape's product must be len(data).
//
//	torch.From([]float32{1, 2, 3, 4, 5, 6}, 2, 3)
func From[E Elem](data []E, shape ...int) *Tensor {
	if shape == nil {
		shape = []int{len(data)}
	}
	n := 1
	for _, s := range shape {
		n *= s
	}
	if n != len(data) {
		Fail("torch.From", "%d elements don't fill the shape %s", len(data), shapeString(shape))
	}
	t := Options{DType: elemType[E](), Device: CPU}.Empty(shape...)
	if n > 0 {
		first, _, err := cgotorch.Data(t.h())
		if err != nil {
			panic(opError("torch.From", err, nil, t))
		}
		copy(unsafe.Slice((*E)(first), n), data)
		runtime.KeepAlive(t)
	}
	return t
}

// FromBytes makes a tensor on the CPU from the bytes of its elements, little-endian and in row-major order.
func FromBytes(data []byte, dtype DType, shape ...int) *Tensor {
	t := Options{DType: dtype, Device: CPU}.Empty(shape...)
	if got, want := len(data), t.Numel()*dtype.Size(); got != want {
		Fail("torch.FromBytes", "%d bytes don't fill %s%s, which has %d", got, dtype, shapeString(shape), want)
	}
	t.bytes("torch.FromBytes", func(b []byte) { copy(b, data) })
	return t
}

// ToSlice returns a copy of the elements in row-major order (Tensor.tolist). The tensor may be on any device and need
// not be contiguous. A tensor of another type is converted if every value survives: floating types to float32 (from 16
// bits and fewer) and float64, integers to wider ones; else it panics; To converts.
func ToSlice[E Elem](t *Tensor) []E {
	want := elemType[E]()
	var f tensorMeta
	f.load(t, "torch.ToSlice")
	have := dtypeOf(f.at(cgotorch.InfoDType))
	n := f.at(cgotorch.InfoNumel)
	if n == 0 {
		return []E{}
	}
	if have != want && !widens(have, want) {
		Fail("torch.ToSlice", "a tensor of %s doesn't fit []%s: convert it first, with To(torch.%s)", have, want,
			dtypeGoNames[want])
	}
	flat := t.denseCPU(&f, want) // first: libtorch's allocation can fail with an error, Go's ends the process
	var out []E
	flat.withDataPtr("torch.ToSlice", func(first unsafe.Pointer) {
		out = make([]E, n)
		copy(out, unsafe.Slice((*E)(first), n))
	})
	if flat != t {
		flat.Release()
	}
	return out
}

// withDataPtr calls f with the address of the first element, and keeps the memory meanwhile, even if the tensor is
// released.
func (t *Tensor) withDataPtr(operation string, f func(first unsafe.Pointer)) {
	h := abi.Alias(operation, t)
	defer release(h)
	first, _, err := cgotorch.Data(h)
	if err != nil {
		panic(opError(operation, err, nil, t))
	}
	f(first)
}

var dtypeGoNames = map[DType]string{
	Bool: "Bool", UInt8: "UInt8", Int8: "Int8", Int16: "Int16", Int32: "Int32", Int64: "Int64", UInt16: "UInt16",
	UInt32: "UInt32",
	UInt64: "UInt64", Float32: "Float32", Float64: "Float64", Complex64: "Complex64", Complex128: "Complex128",
}

// widens reports whether every value of one type is a value of the other.
func widens(from, to DType) bool {
	switch {
	case from.IsFloating():
		return to.IsFloating() && to.Size() > from.Size()
	case from == Bool:
		return to != Bool
	case from.IsComplex():
		return to.IsComplex() && to.Size() > from.Size()
	case to == Float64 || to == Float32:
		return from.Size() < to.Size()
	case from == UInt8 || from == UInt16 || from == UInt32:
		return (to == Int16 || to == Int32 || to == Int64 || to == UInt16 || to == UInt32 || to == UInt64) &&
			to.Size() > from.Size()
	default:
		return (to == Int16 || to == Int32 || to == Int64) && to.Size() > from.Size()
	}
}

var (
	opToDevice     = op.Op{Name: "aten::to.device"}
	opContiguous   = op.Op{Name: "aten::contiguous"}
	opResolveNeg   = op.Op{Name: "aten::resolve_neg"}
	opResolveConj  = op.Op{Name: "aten::resolve_conj"}
	opToDense      = op.Op{Name: "aten::to_dense"}
	opEmptyOptions = op.Op{Name: "aten::empty.memory_format"}
)

// odd are the flags of tensors whose memory does not hold their values.
const odd = cgotorch.FlagNeg | cgotorch.FlagConj | cgotorch.FlagZero

// denseCPU gives t itself if it is a contiguous tensor of that type on the CPU, else a new one that is.
func (t *Tensor) denseCPU(f *tensorMeta, want DType) *Tensor {
	if f.at(cgotorch.InfoFlags)&cgotorch.FlagZero != 0 {
		return Options{DType: want, Device: CPU}.Zeros(ints(f.sizes())...)
	}
	if dtypeOf(f.at(cgotorch.InfoDType)) == want && f.at(cgotorch.InfoDeviceType) == 0 &&
		f.at(cgotorch.InfoFlags)&cgotorch.FlagContiguous != 0 && f.at(cgotorch.InfoFlags)&odd == 0 {
		return t
	}
	return ScopeOf(func() *Tensor {
		return NoGradOf(func() *Tensor {
			x := t
			if f.at(cgotorch.InfoLayout) != 0 {
				x = unary(&opToDense, x, func(a *op.Args) { a.None(); a.None() })
			}
			x = unary(&opResolveConj, unary(&opResolveNeg, x, nil), nil)
			x = unary(&opToDevice, x, func(a *op.Args) {
				abi.Device(a, CPU)
				abi.DType(a, want)
				a.Bool(false)
				a.Bool(false)
				a.None()
			})
			return unary(&opContiguous, x, func(a *op.Args) { abi.MemoryFormat(a, ContiguousFormat) })
		})
	})
}

// unary calls an operator of one tensor; rest writes the arguments after it.
func unary(o *op.Op, t *Tensor, rest func(*op.Args)) *Tensor {
	var a op.Args
	var r op.Results
	abi.Tensor(&a, t)
	if rest != nil {
		rest(&a)
	}
	abi.Call(o, &a, &r)
	return abi.Result(&r)
}

// bytes calls f with the memory of a contiguous tensor on the CPU.
func (t *Tensor) bytes(operation string, use func([]byte)) {
	var f tensorMeta
	f.load(t, operation)
	if f.at(cgotorch.InfoDeviceType) != 0 || f.at(cgotorch.InfoFlags)&cgotorch.FlagContiguous == 0 {
		Fail(operation, "want a contiguous tensor on the CPU, got %s", describe(t))
	}
	if f.at(cgotorch.InfoFlags)&odd&^cgotorch.FlagZero != 0 {
		Fail(operation, "%s is a conjugate or a negative view: its memory holds other numbers; Resolve gives it memory of "+
			"its own",
			describe(t))
	}
	n := int(f.at(cgotorch.InfoNumel)) * dtypeOf(f.at(cgotorch.InfoDType)).Size()
	if n == 0 {
		use(nil)
		return
	}
	t.withDataPtr(operation, func(first unsafe.Pointer) { use(unsafe.Slice((*byte)(first), n)) })
}

// Bytes gives the tensor's own memory, little-endian and in row-major order: writing it writes the tensor. The tensor
// must be contiguous and on the CPU, and have memory: no view by Conj, and none that only stands for zeros, as the
// gradient of Sgn does. The slice is valid while f runs; f must not keep it.
func (t *Tensor) Bytes(f func([]byte)) {
	notNil("Tensor.Bytes", f != nil)
	t.bytes("bytes", f)
}

// ToBytes returns a copy of the elements' bytes, little-endian and in row-major order, whatever the device and strides.
func (t *Tensor) ToBytes() []byte {
	var f tensorMeta
	f.load(t, "bytes")
	flat := t.denseCPU(&f, dtypeOf(f.at(cgotorch.InfoDType)))
	out := []byte{}
	flat.bytes("bytes", func(b []byte) { out = append(out, b...) })
	if flat != t {
		flat.Release()
	}
	return out
}

// Number returns the one element of a tensor, in its own kind; it waits for the device (Tensor.item).
func (t *Tensor) Number() Scalar {
	if t == nil {
		Fail("item", "the tensor is nil")
	}
	tag, a, b, err := cgotorch.Item(t.h())
	if err != nil {
		panic(opError("item", err, nil, t))
	}
	runtime.KeepAlive(t)
	return Scalar{tag, a, b}
}

// Item returns the one element of a tensor as a float64 (Tensor.item). It panics if there are more elements or none,
// and for a complex number whose imaginary part is not 0: torch.Item[complex128] gives both parts.
func (t *Tensor) Item() float64 { return t.Number().Float64() }

// Item returns the one element of a tensor as E; integers are exact.
func Item[E Elem](t *Tensor) E {
	s := t.Number()
	var e E
	switch p := any(&e).(type) {
	case *bool:
		*p = s.Bool()
	case *uint8:
		*p = uint8(s.Int64())
	case *int8:
		*p = int8(s.Int64())
	case *int16:
		*p = int16(s.Int64())
	case *int32:
		*p = int32(s.Int64())
	case *int64:
		*p = s.Int64()
	case *int:
		*p = int(s.Int64())
	case *uint16:
		*p = uint16(s.Int64())
	case *uint32:
		*p = uint32(s.Int64())
	case *uint64:
		*p = s.uint64()
	case *float32:
		*p = float32(s.Float64())
	case *float64:
		*p = s.Float64()
	case *complex64:
		*p = complex64(s.Complex128())
	case *complex128:
		*p = s.Complex128()
	}
	return e
}
