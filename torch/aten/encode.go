package aten

import (
	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/op"
	"github.com/golite/golite/torch"
)

// abi writes and reads what package torch knows.
var abi torch.ABI

// need writes a tensor that must be there. libtorch would not say which argument is missing.
func need(a *op.Args, o *op.Op, t *torch.Tensor, name string) {
	if t == nil {
		missing(o, name, "Tensor")
	}
	abi.Tensor(a, t)
}

// needAll writes a list of tensors that must all be there.
func needAll(a *op.Args, o *op.Op, list []*torch.Tensor, name string) {
	for i, t := range list {
		if t == nil {
			torch.Fail(o.Name, "argument %s is a Tensor[], whose item %d is nil", name, i)
		}
	}
	abi.Tensors(a, list)
}

func needDType(a *op.Args, o *op.Op, d torch.DType, name string) {
	if d == 0 {
		missing(o, name, "ScalarType")
	}
	abi.DType(a, d)
}

func needDevice(a *op.Args, o *op.Op, d torch.Device, name string) {
	if d == (torch.Device{}) {
		missing(o, name, "Device")
	}
	abi.Device(a, d)
}

func needLayout(a *op.Args, o *op.Op, v torch.Layout, name string) {
	if v == 0 {
		missing(o, name, "Layout")
	}
	abi.Layout(a, v)
}

func needMemoryFormat(a *op.Args, o *op.Op, v torch.MemoryFormat, name string) {
	if v == 0 {
		missing(o, name, "MemoryFormat")
	}
	abi.MemoryFormat(a, v)
}

//go:noinline
func missing(o *op.Op, name, typ string) {
	torch.Fail(o.Name, "argument %s must be a %s, and is nil or the zero value", name, typ)
}

func optInt(a *op.Args, v *int) {
	if v == nil {
		a.None()
		return
	}
	a.Int(int64(*v))
}

func optFloat(a *op.Args, v *float64) {
	if v == nil {
		a.None()
		return
	}
	a.Float(*v)
}

func optBool(a *op.Args, v *bool) {
	if v == nil {
		a.None()
		return
	}
	a.Bool(*v)
}

func optString(a *op.Args, v *string) {
	if v == nil {
		a.None()
		return
	}
	a.String(*v)
}

func optScalar(a *op.Args, v *torch.Scalar) {
	if v == nil {
		a.None()
		return
	}
	abi.Scalar(a, *v)
}

func optInts(a *op.Args, v []int) {
	if v == nil {
		a.None()
		return
	}
	a.Ints(v)
}

func optFloats(a *op.Args, v []float64) {
	if v == nil {
		a.None()
		return
	}
	a.Floats(v)
}

// sizedInts writes an int[n]: n integers, or one that stands for all, or none at all where least is 0.
func sizedInts(a *op.Args, o *op.Op, v []int, least, n int, optional bool, name string) {
	switch {
	case v == nil && optional:
		a.None()
	case len(v) == n || len(v) == 0 && least == 0:
		a.Ints(v)
	case len(v) == 1:
		a.Word(cgotorch.TagInts)
		a.Word(uint64(n))
		for range n {
			a.Word(uint64(v[0]))
		}
	default:
		wrongLength(o, name, "int", n, len(v))
	}
}

func sizedBools(a *op.Args, o *op.Op, v []bool, n int, name string) {
	if len(v) != n {
		wrongLength(o, name, "bool", n, len(v))
	}
	a.Bools(v)
}

//go:noinline
func wrongLength(o *op.Op, name, typ string, n, got int) {
	torch.Fail(o.Name, "argument %s is %s[%d]: want %d values, got %d", name, typ, n, n, got)
}
