// Package aten has one Go function for each operator of libtorch's namespace aten, generated from libtorch's own
// schemas, and Call, which reaches any operator of any namespace by name. Package torch, nn/functional and optim are
// written with it; use it where they have no method or function for what you need.
//
// # Names
//
// A function is called what the operator is called, in Go's case, followed by the overload:
//
//	aten::relu              Relu
//	aten::add.Tensor        AddTensor
//	aten::add_.Tensor       AddTensor_     an underscore at the end: in place
//	aten::add.out           AddOut
//	aten::sum.dim_IntList   SumDimIntList
//	aten::__and__.Scalar    AndScalar
//	aten::_foreach_mul_.Scalar   ForeachMulScalar_
//	aten::_softmax          InternalSoftmax
//
// The underscore with which the name of a private operator begins is dropped. Where a public operator has the same
// name otherwise (aten::softmax), the private one's begins with Internal. Words keep the case that libtorch gives
// them, but for the first letter: conv2d is Conv2d, linalg_qr LinalgQr.
//
// # Arguments and results
//
// All arguments are positional, in the schema's order, those with defaults and the keyword-only ones (out too)
// included. The schema stands in each function's comment and shows the defaults. The types:
//
//	Tensor, Tensor?         *torch.Tensor      nil is None, and an error where None isn't allowed
//	Tensor[], Tensor?[]     []*torch.Tensor
//	int, SymInt             int                int? is *int, int[] and int[]? are []int, where nil is None
//	float                   float64            float? is *float64, float[] and float[]? are []float64
//	bool, bool?, bool[3]    bool, *bool, []bool
//	Scalar, Scalar?         torch.Scalar, *torch.Scalar
//	str, str?               string, *string
//	ScalarType, Device, Layout, MemoryFormat   torch.DType, torch.Device …, whose zero value is None
//	Generator?              *torch.Generator   nil is the default generator
//
// Results come in the schema's order; an undefined tensor is nil. An in-place or out= operator returns the tensor that
// the caller gave it, so that calls chain.
//
// A list of a fixed size, int[2], may also have one item, which stands for all. The stride of a pooling, also of its
// backward, may be empty: it is the window's size then.
//
// Every function panics with a *torch.Error if an argument that must be there is nil, or libtorch refuses the call.
// libtorch itself does not check everything: of its 3,500 operators some sixty, most of them private, end the process
// or write memory that is not theirs when they are called on tensors that make no sense together (the backwards of
// batch norm without saved statistics, of an embedding with indices beyond its rows, foreach operators on lists of
// different lengths). Call checks the arguments of those that it takes first, and leaves private ones to CallPrivate;
// the typed functions check nothing of it, as from Python.
//
// Operators that take or return what has no form in Go (TorchBind objects, streams, storages, dimension names) have no
// function; Refused lists them with the reason.
package aten

//go:generate go run ../../internal/genaten
