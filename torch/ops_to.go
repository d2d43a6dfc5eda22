package torch

import "github.com/golite/golite/internal/op"

var (
	opTo        = op.Op{Name: "aten::to.dtype_layout"}
	opClone     = op.Op{Name: "aten::clone"}
	opDetach    = op.Op{Name: "aten::detach"}
	opDetach_   = op.Op{Name: "aten::detach_"}
	opCopy_     = op.Op{Name: "aten::copy_"}
	opIsPinned  = op.Op{Name: "aten::is_pinned"}
	opPinMemory = op.Op{Name: "aten::pin_memory"}
	opAlias     = op.Op{Name: "aten::alias"}
)

// Target is what Tensor.To converts to: a DType, a Device, or a *Tensor, which stands for both of its own.
type Target interface{ place(*DType, *Device) }

func (t *Tensor) place(dt *DType, d *Device) { *dt, *d = t.DType(), t.Device() }

// To converts to a type, a device or both, and shares t's memory where there is nothing to do (Tensor.to):
//
//	x.To(torch.Float32)
//	x.To(l.Device(), torch.BFloat16)
func (t *Tensor) To(targets ...Target) *Tensor {
	dt, d := destination(targets)
	return t.convert(dt, d, false, false)
}

// ToNonBlocking is To that doesn't wait for a copy between page-locked memory and a GPU (non_blocking=True).
func (t *Tensor) ToNonBlocking(targets ...Target) *Tensor {
	dt, d := destination(targets)
	return t.convert(dt, d, true, false)
}

// ToCopy is To that always copies (copy=True).
func (t *Tensor) ToCopy(targets ...Target) *Tensor {
	dt, d := destination(targets)
	return t.convert(dt, d, false, true)
}

func destination(targets []Target) (dt DType, d Device) {
	for _, x := range targets {
		if p, ok := x.(*Tensor); x == nil || ok && p == nil {
			Fail(opTo.Name, "a target is nil: want a DType, a Device or a tensor")
		}
		x.place(&dt, &d)
	}
	return dt, d
}

func (t *Tensor) convert(dt DType, d Device, nonBlocking, always bool) *Tensor {
	var a op.Args
	var r op.Results
	put(&a, &opTo, t)
	abi.DType(&a, dt)
	a.None()
	abi.Device(&a, d)
	a.None()
	a.Bool(nonBlocking)
	a.Bool(always)
	a.None()
	abi.Call(&opTo, &a, &r)
	return abi.Result(&r)
}

// ToMemoryFormat returns the tensor with its dimensions in that order in memory (Tensor.to with memory_format).
func (t *Tensor) ToMemoryFormat(f MemoryFormat) *Tensor {
	var a op.Args
	put(&a, &opTo, t)
	for range 4 {
		a.None()
	}
	a.Bool(false)
	a.Bool(false)
	abi.MemoryFormat(&a, f)
	return result(&opTo, &a)
}

// Float converts to Float32 (Tensor.float).
func (t *Tensor) Float() *Tensor { return t.convert(Float32, Device{}, false, false) }

// Double converts to Float64 (Tensor.double).
func (t *Tensor) Double() *Tensor { return t.convert(Float64, Device{}, false, false) }

// Half converts to Float16 (Tensor.half).
func (t *Tensor) Half() *Tensor { return t.convert(Float16, Device{}, false, false) }

// BFloat16 converts to BFloat16 (Tensor.bfloat16).
func (t *Tensor) BFloat16() *Tensor { return t.convert(BFloat16, Device{}, false, false) }

// Long converts to Int64 (Tensor.long).
func (t *Tensor) Long() *Tensor { return t.convert(Int64, Device{}, false, false) }

// Int converts to Int32 (Tensor.int).
func (t *Tensor) Int() *Tensor { return t.convert(Int32, Device{}, false, false) }

// Short converts to Int16 (Tensor.short).
func (t *Tensor) Short() *Tensor { return t.convert(Int16, Device{}, false, false) }

// Char converts to Int8 (Tensor.char).
func (t *Tensor) Char() *Tensor { return t.convert(Int8, Device{}, false, false) }

// Byte converts to UInt8 (Tensor.byte).
func (t *Tensor) Byte() *Tensor { return t.convert(UInt8, Device{}, false, false) }

// Bool converts to Bool (Tensor.bool).
func (t *Tensor) Bool() *Tensor { return t.convert(Bool, Device{}, false, false) }

// CPU brings the tensor to the CPU's memory (Tensor.cpu).
func (t *Tensor) CPU() *Tensor { return t.convert(0, CPU, false, false) }

// CUDA brings the tensor to a GPU, 0 unless an index is given (Tensor.cuda).
func (t *Tensor) CUDA(index ...int) *Tensor {
	return t.convert(0, CUDA(optional(&opTo, index, 0)), false, false)
}

// TypeAs converts to other's type (Tensor.type_as).
func (t *Tensor) TypeAs(other *Tensor) *Tensor {
	return t.convert(other.DType(), Device{}, false, false)
}

// IsPinned reports whether the tensor is in page-locked memory, which is copied to a GPU without waiting
// (Tensor.is_pinned).
func (t *Tensor) IsPinned() bool {
	var a op.Args
	put(&a, &opIsPinned, t)
	abi.Device(&a, Device{})
	return truth(&opIsPinned, &a)
}

// PinMemory returns the tensor in page-locked memory (Tensor.pin_memory). It needs a GPU.
func (t *Tensor) PinMemory() *Tensor { return callDType(&opPinMemory, t) }

// Clone copies the tensor; autograd records it (torch.clone).
func (t *Tensor) Clone() *Tensor { return callDType(&opClone, t) }

// CloneFormat is Clone into that order in memory.
func (t *Tensor) CloneFormat(f MemoryFormat) *Tensor {
	var a op.Args
	put(&a, &opClone, t)
	abi.MemoryFormat(&a, f)
	return result(&opClone, &a)
}

// Contiguous returns the tensor with its elements in the order of their indices, t's memory if it has it already
// (Tensor.contiguous).
func (t *Tensor) Contiguous() *Tensor { return t.ContiguousFormat(ContiguousFormat) }

// ContiguousFormat is Contiguous for another order in memory.
func (t *Tensor) ContiguousFormat(f MemoryFormat) *Tensor {
	var a op.Args
	put(&a, &opContiguous, t)
	abi.MemoryFormat(&a, f)
	return result(&opContiguous, &a)
}

// Detach returns the tensor without its place in autograd's graph; the memory is shared (Tensor.detach).
func (t *Tensor) Detach() *Tensor { return call(&opDetach, t) }

// Detach_ takes t itself out of the graph (Tensor.detach_).
func (t *Tensor) Detach_() *Tensor { return call_(&opDetach_, t) }

// Copy_ writes src, converted and broadcast, into t (Tensor.copy_).
func (t *Tensor) Copy_(src *Tensor) *Tensor { return copyInto(t, src, false) }

// CopyNonBlocking_ is Copy_ that doesn't wait for a copy between page-locked memory and a GPU.
func (t *Tensor) CopyNonBlocking_(src *Tensor) *Tensor { return copyInto(t, src, true) }

func copyInto(t, src *Tensor, nonBlocking bool) *Tensor {
	var a op.Args
	put(&a, &opCopy_, t, src)
	a.Bool(nonBlocking)
	return inPlace(&opCopy_, &a, t)
}

// Alias returns another tensor that shares t's memory and its place in autograd's graph.
func (t *Tensor) Alias() *Tensor { return call(&opAlias, t) }

// Resolve returns the tensor with conjugation and negation that complex views only note carried out
// (Tensor.resolve_conj, Tensor.resolve_neg).
func (t *Tensor) Resolve() *Tensor { return call(&opResolveNeg, call(&opResolveConj, t)) }

// ToDense returns a sparse tensor as an ordinary one (Tensor.to_dense).
func (t *Tensor) ToDense() *Tensor {
	var a op.Args
	put(&a, &opToDense, t)
	a.None()
	a.None()
	return result(&opToDense, &a)
}
