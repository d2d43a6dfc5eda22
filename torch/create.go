package torch

import (
	"fmt"

	"github.com/golite/golite/internal/op"
)

// Options are the properties of a new tensor. The zero value is PyTorch's default: the default floating type, on the
// CPU, from the default generator, not recorded by autograd. Its methods make the tensors:
//
//	on := torch.Options{Device: l.Device(), DType: torch.Float64}
//	sum := on.Zeros()
type Options struct {
	DType        DType
	Device       Device
	Generator    *Generator // for Rand, Randn, RandInt, RandPerm
	Layout       Layout     // default: Strided
	PinMemory    bool       // page-locked memory on the CPU, for copies to a GPU that don't wait
	RequiresGrad bool       // autograd records what happens to the tensor
}

var (
	opZeros        = op.Op{Name: "aten::zeros"}
	opOnes         = op.Op{Name: "aten::ones"}
	opFull         = op.Op{Name: "aten::full"}
	opRand         = op.Op{Name: "aten::rand.generator"}
	opRandn        = op.Op{Name: "aten::randn.generator"}
	opRandint      = op.Op{Name: "aten::randint.low_generator"}
	opRandperm     = op.Op{Name: "aten::randperm.generator"}
	opArange       = op.Op{Name: "aten::arange.start_step"}
	opLinspace     = op.Op{Name: "aten::linspace"}
	opEye          = op.Op{Name: "aten::eye.m"}
	opScalarTensor = op.Op{Name: "aten::scalar_tensor"}
)

// write puts dtype, layout, device and pin_memory, with which all factories' schemas end.
func (o Options) write(a *op.Args) {
	abi.DType(a, o.DType)
	abi.Layout(a, o.Layout)
	if o.Generator != nil && o.Device == (Device{}) {
		o.Device = o.Generator.device
	}
	if o.Device == (Device{}) {
		o.Device = defaultDevice()
	}
	abi.Device(a, o.Device)
	if o.PinMemory {
		a.Bool(true)
	} else {
		a.None()
	}
}

func (o Options) call(f *op.Op, a *op.Args) *Tensor {
	var r op.Results
	abi.Call(f, a, &r)
	t := abi.Result(&r)
	if o.RequiresGrad {
		t.RequiresGrad_(true)
	}
	return t
}

// Empty makes a tensor whose elements are whatever the memory held (torch.empty).
func (o Options) Empty(shape ...int) *Tensor {
	var a op.Args
	a.Ints(shape)
	o.write(&a)
	a.None()
	return o.call(&opEmptyOptions, &a)
}

// Zeros makes a tensor of zeros (torch.zeros); without a shape, a scalar.
func (o Options) Zeros(shape ...int) *Tensor {
	var a op.Args
	a.Ints(shape)
	o.write(&a)
	return o.call(&opZeros, &a)
}

// Ones makes a tensor of ones (torch.ones).
func (o Options) Ones(shape ...int) *Tensor {
	var a op.Args
	a.Ints(shape)
	o.write(&a)
	return o.call(&opOnes, &a)
}

// Full makes a tensor with every element v (torch.full), of the default floating type unless o sets another.
func (o Options) Full(v float64, shape ...int) *Tensor {
	if o.DType == 0 {
		o.DType = DefaultDType()
	}
	var a op.Args
	a.Ints(shape)
	Number(v).write(&a)
	o.write(&a)
	return o.call(&opFull, &a)
}

// Scalar makes a tensor of no dimensions that holds v (torch.scalar_tensor).
func (o Options) Scalar(v float64) *Tensor {
	var a op.Args
	Number(v).write(&a)
	o.write(&a)
	return o.call(&opScalarTensor, &a)
}

// Rand draws uniformly from [0, 1) (torch.rand).
func (o Options) Rand(shape ...int) *Tensor {
	var a op.Args
	a.Ints(shape)
	abi.Generator(&a, o.Generator)
	o.write(&a)
	return o.call(&opRand, &a)
}

// Randn draws from the normal distribution of mean 0 and deviation 1 (torch.randn).
func (o Options) Randn(shape ...int) *Tensor {
	var a op.Args
	a.Ints(shape)
	abi.Generator(&a, o.Generator)
	o.write(&a)
	return o.call(&opRandn, &a)
}

// RandInt draws integers from [low, high) (torch.randint), of type Int64 unless o sets another.
func (o Options) RandInt(low, high int, shape ...int) *Tensor {
	if o.DType == 0 {
		o.DType = Int64
	}
	var a op.Args
	a.Int(int64(low))
	a.Int(int64(high))
	a.Ints(shape)
	abi.Generator(&a, o.Generator)
	o.write(&a)
	return o.call(&opRandint, &a)
}

// RandPerm makes a random order of the numbers from 0 to n-1 (torch.randperm), of type Int64 unless o sets another.
func (o Options) RandPerm(n int) *Tensor {
	if o.DType == 0 {
		o.DType = Int64
	}
	var a op.Args
	a.Int(int64(n))
	abi.Generator(&a, o.Generator)
	o.write(&a)
	return o.call(&opRandperm, &a)
}

// Arange makes the numbers of a half-open range: Arange(end), Arange(start, end) or Arange(start, end, step)
// (torch.arange). They are of type Int64 if all bounds are whole, as in Python with integers, unless o sets another.
func (o Options) Arange(bounds ...float64) *Tensor {
	start, step := Number(0), Number(1)
	var end Scalar
	switch len(bounds) {
	case 1:
		end = Number(bounds[0])
	case 2:
		start, end = Number(bounds[0]), Number(bounds[1])
	case 3:
		start, end, step = Number(bounds[0]), Number(bounds[1]), Number(bounds[2])
	default:
		Fail("torch.Arange", "want an end, a start and an end, or a start, an end and a step; got %d numbers", len(bounds))
	}
	if o.DType != 0 && !o.DType.IsFloating() && !o.DType.IsComplex() && step.Int64() == 0 {
		Fail("torch.Arange", "the step is %s, which is 0 in %s", step, o.DType)
	}
	var a op.Args
	start.write(&a)
	end.write(&a)
	step.write(&a)
	o.write(&a)
	return o.call(&opArange, &a)
}

// Linspace makes n numbers from start to end, both included, evenly spaced (torch.linspace).
func (o Options) Linspace(start, end float64, n int) *Tensor {
	var a op.Args
	Float(start).write(&a)
	Float(end).write(&a)
	a.Int(int64(n))
	o.write(&a)
	return o.call(&opLinspace, &a)
}

// Eye makes a matrix with ones on the diagonal (torch.eye).
func (o Options) Eye(rows, cols int) *Tensor {
	var a op.Args
	a.Int(int64(rows))
	a.Int(int64(cols))
	o.write(&a)
	return o.call(&opEye, &a)
}

// Empty makes a tensor of the default type whose elements are whatever the memory held (torch.empty).
func Empty(shape ...int) *Tensor { return Options{}.Empty(shape...) }

// Zeros makes a tensor of zeros of the default type on the CPU (torch.zeros); without a shape, a scalar.
func Zeros(shape ...int) *Tensor { return Options{}.Zeros(shape...) }

// Ones makes a tensor of ones of the default type on the CPU (torch.ones).
func Ones(shape ...int) *Tensor { return Options{}.Ones(shape...) }

// Full makes a tensor of the default type with every element v (torch.full).
func Full(v float64, shape ...int) *Tensor { return Options{}.Full(v, shape...) }

// Rand draws uniformly from [0, 1) with the default generator (torch.rand).
func Rand(shape ...int) *Tensor { return Options{}.Rand(shape...) }

// Randn draws from the normal distribution with the default generator (torch.randn).
func Randn(shape ...int) *Tensor { return Options{}.Randn(shape...) }

// RandInt draws integers from [low, high) with the default generator (torch.randint).
func RandInt(low, high int, shape ...int) *Tensor { return Options{}.RandInt(low, high, shape...) }

// RandPerm makes a random order of 0 … n-1 with the default generator (torch.randperm).
func RandPerm(n int) *Tensor { return Options{}.RandPerm(n) }

// Arange makes the numbers of a half-open range: see Options.Arange.
func Arange(bounds ...float64) *Tensor { return Options{}.Arange(bounds...) }

// Linspace makes n numbers from start to end, both included (torch.linspace).
func Linspace(start, end float64, n int) *Tensor { return Options{}.Linspace(start, end, n) }

// Eye makes the identity matrix of n rows (torch.eye).
func Eye(n int) *Tensor { return Options{}.Eye(n, n) }

func shapeVersion(major, minor, patch int) string {
	return fmt.Sprintf("%d.%d.%d", major, minor, patch)
}
