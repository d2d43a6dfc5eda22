package torch

import (
	"fmt"
	"math"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/op"
)

// Scalar is a number of any kind, where libtorch's operators take one. Make it with Int, Float, Number or
// ComplexNumber. An integer keeps an integer tensor's type, a floating-point number makes it floating, as in Python.
type Scalar struct {
	tag  uint64
	a, b uint64
}

// Int is an integer scalar.
func Int[N ~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32](v N) Scalar {
	return Scalar{cgotorch.TagInt, uint64(int64(v)), 0}
}

// Float is a floating-point scalar, even if its value is whole.
func Float(v float64) Scalar { return Scalar{cgotorch.TagFloat, math.Float64bits(v), 0} }

// Boolean is a truth value as a scalar.
func Boolean(v bool) Scalar {
	if v {
		return Scalar{cgotorch.TagBool, 1, 0}
	}
	return Scalar{cgotorch.TagBool, 0, 0}
}

// ComplexNumber is a complex scalar.
func ComplexNumber(v complex128) Scalar {
	return Scalar{cgotorch.TagComplex, math.Float64bits(real(v)), math.Float64bits(imag(v))}
}

// Number is what the methods with a float64 operand use (AddScalar, MulScalar …): an integer if v is whole,
// so that an integer tensor stays one, else a floating-point number. For floating tensors it makes no difference.
func Number(v float64) Scalar {
	if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
		if v == 0 && math.Signbit(v) {
			return Float(v)
		}
		return Int(int64(v))
	}
	return Float(v)
}

// Float64 returns the value as a float64. It panics for a complex number whose imaginary part is not 0, as libtorch
// does: Complex128 gives both parts.
func (s Scalar) Float64() float64 {
	switch s.tag {
	case cgotorch.TagComplex:
		if math.Float64frombits(s.b) != 0 {
			Fail("torch.Scalar", "%s has an imaginary part, which a real number can't hold: Complex128 gives both parts", s)
		}
		return math.Float64frombits(s.a)
	case cgotorch.TagInt:
		return float64(int64(s.a))
	case cgotorch.TagUInt:
		return float64(s.a)
	case cgotorch.TagBool:
		return float64(s.a)
	default:
		return math.Float64frombits(s.a)
	}
}

// Int64 returns the value as an int64, cut towards zero; an unsigned number that is too large for it gives the largest.
// Of complex numbers it takes those that Float64 takes.
func (s Scalar) Int64() int64 {
	switch s.tag {
	case cgotorch.TagInt, cgotorch.TagBool:
		return int64(s.a)
	case cgotorch.TagUInt:
		return math.MaxInt64
	}
	return int64(s.Float64())
}

// uint64 is Int64 for numbers from 2^63, which only unsigned tensors hold.
func (s Scalar) uint64() uint64 {
	if s.tag == cgotorch.TagUInt {
		return s.a
	}
	return uint64(s.Int64())
}

// Complex128 returns the value as a complex number.
func (s Scalar) Complex128() complex128 {
	if s.tag == cgotorch.TagComplex {
		return complex(math.Float64frombits(s.a), math.Float64frombits(s.b))
	}
	return complex(s.Float64(), 0)
}

// Bool reports whether the value is not zero.
func (s Scalar) Bool() bool { return s.Complex128() != 0 }

// String prints the number.
func (s Scalar) String() string {
	switch s.tag {
	case cgotorch.TagInt:
		return fmt.Sprint(int64(s.a))
	case cgotorch.TagUInt:
		return fmt.Sprint(s.a)
	case cgotorch.TagBool:
		return fmt.Sprint(s.a != 0)
	case cgotorch.TagComplex:
		return fmt.Sprint(s.Complex128())
	default:
		return fmt.Sprint(s.Float64())
	}
}

// write puts the scalar into an argument list. The zero Scalar is the integer 0.
func (s Scalar) write(a *op.Args) {
	switch s.tag {
	case cgotorch.TagNone:
		a.Int(0)
	case cgotorch.TagComplex:
		a.Word(s.tag)
		a.Word(s.a)
		a.Word(s.b)
	default:
		a.Pair(s.tag, s.a)
	}
}

// writeNumber writes Number(v).
func writeNumber(a *op.Args, v float64) {
	if i := int64(v); float64(i) == v && i != 0 && -1<<53 < i && i < 1<<53 {
		a.Int(i)
		return
	}
	Number(v).write(a)
}

func readScalar(r *op.Results) Scalar {
	s := Scalar{tag: r.Word()}
	s.a = r.Word()
	if s.tag == cgotorch.TagComplex {
		s.b = r.Word()
	}
	return s
}
