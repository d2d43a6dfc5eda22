package torch

import (
	"unsafe"

	"github.com/golite/golite/internal/op"
)

// The helpers below are what the methods are made of. They take no closures: an argument list that a closure could
// keep would have to live on the heap, and a small operation is as fast as its allocations are few.

// put writes tensors that must be there; libtorch would say less about a missing one.
func put(a *op.Args, o *op.Op, tensors ...*Tensor) {
	for i, t := range tensors {
		if t == nil {
			nilTensor(o, i)
		}
		a.Keep(unsafe.Pointer(t), -1)
		a.Handle(t.h())
	}
}

//go:noinline
func nilTensor(o *op.Op, i int) { Fail(o.Name, "tensor argument %d is nil", i+1) }

// putAll writes a list of tensors (Tensor[]) that must all be there.
func putAll(a *op.Args, o *op.Op, list []*Tensor) {
	for i, t := range list {
		if t == nil {
			Fail(o.Name, "item %d of the list of %d tensors is nil", i, len(list))
		}
	}
	abi.Tensors(a, list)
}

// result calls an operator that returns one tensor.
func result(o *op.Op, a *op.Args) *Tensor {
	var r op.Results
	abi.Call(o, a, &r)
	return abi.Result(&r)
}

// pair calls an operator that returns two tensors.
func pair(o *op.Op, a *op.Args) (x, y *Tensor) {
	var r op.Results
	abi.Call(o, a, &r)
	x = abi.Result(&r)
	return x, abi.Result(&r)
}

// triple calls an operator that returns three tensors.
func triple(o *op.Op, a *op.Args) (x, y, z *Tensor) {
	var r op.Results
	abi.Call(o, a, &r)
	x = abi.Result(&r)
	y = abi.Result(&r)
	return x, y, abi.Result(&r)
}

// results calls an operator that returns a list of tensors.
func results(o *op.Op, a *op.Args) []*Tensor {
	var r op.Results
	abi.Call(o, a, &r)
	return abi.ResultList(&r)
}

// truth calls an operator that returns a truth value.
func truth(o *op.Op, a *op.Args) bool {
	var r op.Results
	abi.Call(o, a, &r)
	return r.Int() != 0
}

// inPlace calls an operator that writes t and returns t itself.
func inPlace(o *op.Op, a *op.Args, t *Tensor) *Tensor {
	var r op.Results
	abi.Call(o, a, &r)
	return t
}

// call calls an operator whose arguments are tensors.
func call(o *op.Op, tensors ...*Tensor) *Tensor {
	var a op.Args
	put(&a, o, tensors...)
	return result(o, &a)
}

// call_ is call for an operator that writes the first of them.
func call_(o *op.Op, tensors ...*Tensor) *Tensor {
	var a op.Args
	put(&a, o, tensors...)
	return inPlace(o, &a, tensors[0])
}

// callScalar calls an operator of one tensor and numbers.
func callScalar(o *op.Op, t *Tensor, numbers ...Scalar) *Tensor {
	var a op.Args
	put(&a, o, t)
	for _, s := range numbers {
		s.write(&a)
	}
	return result(o, &a)
}

// callScalar_ is callScalar for an operator that writes t.
func callScalar_(o *op.Op, t *Tensor, numbers ...Scalar) *Tensor {
	var a op.Args
	put(&a, o, t)
	for _, s := range numbers {
		s.write(&a)
	}
	return inPlace(o, &a, t)
}

// callInt calls an operator of one tensor and integers.
func callInt(o *op.Op, t *Tensor, numbers ...int) *Tensor {
	var a op.Args
	put(&a, o, t)
	for _, n := range numbers {
		a.Int(int64(n))
	}
	return result(o, &a)
}

// callInts calls an operator of one tensor and a list of integers.
func callInts(o *op.Op, t *Tensor, list []int) *Tensor {
	var a op.Args
	put(&a, o, t)
	a.Ints(list)
	return result(o, &a)
}

// callScaled calls an operator of tensors and a number that scales one of them (alpha, value).
func callScaled(o *op.Op, scale float64, tensors ...*Tensor) *Tensor {
	var a op.Args
	put(&a, o, tensors...)
	writeNumber(&a, scale)
	return result(o, &a)
}

// callScaled_ is callScaled for an operator that writes the first tensor.
func callScaled_(o *op.Op, scale float64, tensors ...*Tensor) *Tensor {
	var a op.Args
	put(&a, o, tensors...)
	writeNumber(&a, scale)
	return inPlace(o, &a, tensors[0])
}

// optDims writes dimensions, or None for none given.
func optDims(a *op.Args, dims []int) {
	if len(dims) == 0 {
		a.None()
		return
	}
	a.Ints(dims)
}

// optional returns the one element of a trailing parameter that may be left out, or what stands for it.
func optional[T any](o *op.Op, given []T, missing T) T {
	switch len(given) {
	case 0:
		return missing
	case 1:
		return given[0]
	}
	Fail(o.Name, "want at most one optional argument, got %d", len(given))
	return missing
}
