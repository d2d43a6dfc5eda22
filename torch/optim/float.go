package optim

import (
	"math"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// pow is C's pow, which Python computes with: Go's differs from it in the last bit now and then. libtorch's logspace
// calls it.
func pow(base, exponent float64) (p float64) {
	if exponent == 1 {
		return base
	}
	torch.Scope(func() {
		e := torch.Float(exponent)
		p = aten.Logspace(e, e, 1, base, torch.Float64, 0, torch.Device{}, nil).Item()
	})
	return p
}

// cos is C's cos, which libtorch's polar calls.
func cos(x float64) (c float64) {
	torch.NoGrad(func() {
		torch.Scope(func() {
			angle := torch.Options{DType: torch.Float64}.Scalar(x)
			one := torch.Options{DType: torch.Float64}.Scalar(1)
			c = aten.Real(aten.Polar(one, angle)).Item()
		})
	})
	return c
}

// counter makes the tensor that counts steps: on the CPU, where reading it is cheap, but for fused kernels.
func counter(g *ParamGroup, p *torch.Tensor) *torch.Tensor {
	o := torch.Options{DType: torch.Float32}
	if g.Fused {
		o.Device = p.Device()
	}
	return o.Zeros()
}

// fusedFlag is the value of a group's "fused" in a state dict: true, or None as in Python where it is not set.
func fusedFlag(g *ParamGroup) any {
	if g.Fused {
		return true
	}
	return nil
}

// scale multiplies tensors of one type by a number, in place. libtorch's foreach kernel rounds the number to 16 bits
// for tensors of 16 bits, which PyTorch's loop doesn't; given as a tensor of 64 bits it stays what it is.
func scale(list []*torch.Tensor, by float64) {
	if d := list[0].DType(); d == torch.Float16 || d == torch.BFloat16 {
		aten.ForeachMulTensor_(list, torch.Options{DType: torch.Float64}.Scalar(by))
		return
	}
	aten.ForeachMulScalar_(list, torch.Float(by))
}

// num is a number of the line search. Python computes with floats, with tensors of no dimensions, and with both
// together: the sum of a float and a float32 tensor is a float32 tensor. dtype is 0 for a float, and the tensor's
// type otherwise; these functions round as PyTorch does.
type num struct {
	v     float64
	dtype torch.DType
}

func scalar(v float64) num { return num{v: v} }

func numOf(t *torch.Tensor) num { return num{t.Item(), t.DType()} }

// round gives v as a number of the type that a and b have together.
func round(v float64, a, b num) num {
	n := num{v, a.dtype}
	if n.dtype == 0 {
		n.dtype = b.dtype
	}
	if n.dtype == torch.Float32 {
		n.v = float64(float32(v))
	}
	return n
}

// both rounds two operands to their common type. The results of float32 operations on them, computed in float64 and
// rounded once more, are float32's: 53 bits are more than twice 24.
func both(a, b num) (x, y float64) { return round(a.v, a, b).v, round(b.v, a, b).v }

func plus(a, b num) num    { x, y := both(a, b); return round(x+y, a, b) }
func minus(a, b num) num   { x, y := both(a, b); return round(x-y, a, b) }
func product(a, b num) num { x, y := both(a, b); return round(x*y, a, b) }

// quotient divides; a float by a tensor is the tensor's reciprocal times the float.
func quotient(a, b num) num {
	if a.dtype == 0 && b.dtype != 0 {
		return product(round(1/b.v, b, b), a)
	}
	x, y := both(a, b)
	return round(x/y, a, b)
}

func root(a num) num { return round(math.Sqrt(a.v), a, a) }

func absolute(a num) num { return num{math.Abs(a.v), a.dtype} }

func less(a, b num) bool { x, y := both(a, b); return x < y }

func atMost(a, b num) bool { x, y := both(a, b); return x <= y }

// lesser and greater return the first of two that are equal, as Python's min and max.
func lesser(a, b num) num {
	if less(b, a) {
		return b
	}
	return a
}

func greater(a, b num) num {
	if less(a, b) {
		return b
	}
	return a
}
