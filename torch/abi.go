package torch

import (
	"fmt"
	"runtime"
	"unsafe"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/op"
)

// ABI is the interface by which generated code and golite's own packages call operators on tensors. It is not for
// programs, which have the methods of Tensor, torch/aten and aten.Call: it changes with the shim.
type ABI struct{}

// Call runs an operator and panics with an *Error if it fails. A failed allocation collects once and tries again.
func (ABI) Call(o *op.Op, a *op.Args, r *op.Results) {
	err := o.Call(a, r)
	if err != nil {
		if err.OutOfMemory {
			collectNow()
			err = o.Call(a, r)
		}
		if err != nil {
			panic(opError(o.Name, err, a))
		}
	}
	runtime.KeepAlive(a)
}

// TrainableDiffers returns a function that reports whether any of the tensors requires a gradient and did not when
// TrainableDiffers was called, or the other way round. A call costs a few nanoseconds a tensor. The tensors stay alive
// until free is called.
func (ABI) TrainableDiffers(list []*Tensor) (differs func() bool, free func()) {
	handles := make([]cgotorch.Handle, len(list))
	for i, t := range list {
		handles[i] = t.h()
	}
	trainable, err := cgotorch.NewTrainable(handles)
	runtime.KeepAlive(list)
	if err != nil {
		panic(opError("requires_grad", err, nil, list...))
	}
	return trainable.Differs, trainable.Free
}

// Tensor writes a tensor argument; nil is refused by libtorch's schema where it isn't optional.
func (ABI) Tensor(a *op.Args, t *Tensor) {
	if t == nil {
		a.None()
		return
	}
	a.Keep(unsafe.Pointer(t), -1)
	a.Handle(t.h())
}

// Tensors writes a list of tensors (Tensor[]); none may be nil.
func (ABI) Tensors(a *op.Args, list []*Tensor) { writeList(a, cgotorch.TagTensors, list) }

// OptTensors writes a list in which nil stands for None (Tensor?[]).
func (ABI) OptTensors(a *op.Args, list []*Tensor) { writeList(a, cgotorch.TagOptTensors, list) }

func writeList(a *op.Args, tag uint64, list []*Tensor) {
	a.Keep(unsafe.Pointer(unsafe.SliceData(list)), len(list))
	a.Word(tag)
	a.Word(uint64(len(list)))
	for _, t := range list {
		a.Word(uint64(t.h()))
	}
}

// Scalar writes a scalar.
func (ABI) Scalar(a *op.Args, s Scalar) { s.write(a) }

// Scalars writes a list of scalars.
func (ABI) Scalars(a *op.Args, list []Scalar) {
	a.Word(cgotorch.TagScalars)
	a.Word(uint64(len(list)))
	for _, s := range list {
		s.write(a)
	}
}

// DType writes an element type; the zero value is None. Here and below a value that libtorch does not have makes the
// call fail: its kernels index tables by such numbers, unchecked.
func (ABI) DType(a *op.Args, d DType) {
	switch {
	case d == 0:
		a.None()
	case d >= dtypeCount:
		a.Invalid(d.problem())
	default:
		a.Int(d.code())
	}
}

// Device writes a device; the zero value is None.
func (ABI) Device(a *op.Args, d Device) {
	if d.Type == 0 && d.Index == 0 {
		a.None()
		return
	}
	if problem := d.problem(); problem != "" {
		a.Invalid(problem)
		return
	}
	a.Device(d.code())
}

// Layout writes a layout; the zero value is None.
func (ABI) Layout(a *op.Args, l Layout) { enum(a, int(l), int(Jagged), "layout") }

// MemoryFormat writes a memory format; the zero value is None.
func (ABI) MemoryFormat(a *op.Args, f MemoryFormat) {
	enum(a, int(f), int(ChannelsLast3d), "memory format")
}

// enum writes a value that is libtorch's number plus one; 0 is None.
func enum(a *op.Args, v, last int, what string) {
	switch {
	case v == 0:
		a.None()
	case v > last:
		a.Invalid(fmt.Sprintf("%d is not a %s: want one of package torch's constants", v, what))
	default:
		a.Int(int64(v) - 1)
	}
}

// Generator writes a generator; nil is None, the default one.
func (ABI) Generator(a *op.Args, g *Generator) {
	if g == nil {
		a.None()
		return
	}
	a.Keep(unsafe.Pointer(g), 0)
	a.Generator(g.gen)
}

// Result reads a tensor; an undefined one is nil.
func (ABI) Result(r *op.Results) *Tensor {
	h, bytes := r.Handle()
	if h == 0 {
		return nil
	}
	return newTensor(h, bytes, r.Scope)
}

// ResultList reads a list of tensors; undefined ones are nil.
func (ABI) ResultList(r *op.Results) []*Tensor {
	list := make([]*Tensor, r.List())
	for i := range list {
		if h, bytes := r.Item(); h != 0 {
			list[i] = newTensor(h, bytes, r.Scope)
		}
	}
	return list
}

// ResultScalar reads a scalar.
func (ABI) ResultScalar(r *op.Results) Scalar { return readScalar(r) }

// ResultDType reads an element type.
func (ABI) ResultDType(r *op.Results) DType { return dtypeOf(r.Int()) }

// IsZeroTensor reports whether a tensor has a shape, and no memory for the zeros that it consists of: nothing can be
// written to it.
func (ABI) IsZeroTensor(t *Tensor) bool { return t.flag(cgotorch.FlagZero) }

// IsNested reports whether a tensor is a nested one.
func (ABI) IsNested(t *Tensor) bool { return t.flag(cgotorch.FlagNested) }

// Handle gives a tensor's handle to packages of golite that call the shim themselves. The tensor must be kept
// alive until the call is over.
func (ABI) Handle(t *Tensor) cgotorch.Handle { return t.h() }

// Handles is Handle for each tensor of a list.
func (ABI) Handles(list []*Tensor) []cgotorch.Handle {
	h := make([]cgotorch.Handle, len(list))
	for i, t := range list {
		h[i] = t.h()
	}
	return h
}

// Alias gives the shim a handle of its own to a tensor.
func (ABI) Alias(operation string, t *Tensor) cgotorch.Handle {
	h, _, err := cgotorch.Alias(t.h())
	if err != nil {
		panic(opError(operation, err, nil, t))
	}
	runtime.KeepAlive(t)
	return h
}

// Wrap makes a tensor of a handle that the shim returned, with the size of its storage and the thread's scope.
func (ABI) Wrap(h cgotorch.Handle, bytes int64, scope uint64) *Tensor {
	if h == 0 {
		return nil
	}
	return newTensor(h, bytes, scope)
}

// Replace makes t refer to with's tensor, for all holders of t; t's own is released, and with must not be used any
// more. By it a parameter on the meta device gets memory and stays the parameter of its optimizers.
func (ABI) Replace(t, with *Tensor) {
	with.moveTo(0)
	old := t.handle.Swap(uint64(with.h()))
	release(cgotorch.Handle(old))
	runtime.AddCleanup(t, func(w *Tensor) { runtime.KeepAlive(w) }, with)
}

// Error makes an *Error of a failed call of the shim.
func (ABI) Error(name string, err *cgotorch.Error, tensors ...*Tensor) *Error {
	return opError(name, err, nil, tensors...)
}

// GeneratorHandle gives a generator's address to the shim's callers.
func (ABI) GeneratorHandle(g *Generator) cgotorch.Gen {
	if g == nil {
		return 0
	}
	return g.gen
}

var abi ABI

// Flags returns the shim's flags of a tensor, such as cgotorch.FlagConj.
func (ABI) Flags(operation string, t *Tensor) int64 {
	var f tensorMeta
	f.load(t, operation)
	return f.at(cgotorch.InfoFlags)
}

// NormalMode runs f outside of inference mode, where the calling goroutine is in it (torch.inference_mode(False)): what
// f makes has a version counter, and can be written and trained later. Autograd records in f, unless NoGrad is within.
func (ABI) NormalMode(f func()) {
	if !InferenceEnabled() {
		f()
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cgotorch.EnterNormal()
	defer cgotorch.LeaveInference()
	f()
}

// ResizeStorage changes the size in bytes of the memory that t and its views share, and keeps what fits of it
// (UntypedStorage.resize_). With 0 it is freed; shapes, views and what autograd saved stay, and are valid again once it
// has its size back. Version counters do not change.
func (ABI) ResizeStorage(t *Tensor, bytes int) {
	if err := cgotorch.StorageResize(t.h(), bytes); err != nil {
		panic(opError("storage.resize_", err, nil, t))
	}
	runtime.KeepAlive(t)
}

// AfterBackward runs f once when the backward pass that the calling goroutine is in, in a hook or a Function's
// Backward, has ended (Engine.queue_callback). Callbacks run in the order of their registration; a panic of f comes out
// of Backward. It panics outside of a backward pass.
func (ABI) AfterBackward(f func()) {
	if err := cgotorch.QueueCallback(func() { Scope(f) }); err != nil {
		panic(opError("queue_callback", err, nil))
	}
}
