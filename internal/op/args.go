package op

import (
	"math"
	"unsafe"

	"github.com/golite/golite/cgotorch"
)

// Args is the arguments of one call, written in the schema's order. The zero value is empty; short
// argument lists need no memory of their own.
type Args struct {
	cgotorch.ArgWriter
	nref int
	refs [6]Ref
	more []Ref
}

// Ref keeps what an argument was made from alive until the call has returned, and finds it again for an
// error message: one object (N < 0) or the first of N.
type Ref struct {
	P unsafe.Pointer
	N int
}

// Refs calls f with everything that Keep was given.
func (a *Args) Refs(f func(Ref)) {
	for _, r := range a.refs[:a.nref] {
		f(r)
	}
	for _, r := range a.more {
		f(r)
	}
}

// Keep holds on to what p points at until the call is over.
func (a *Args) Keep(p unsafe.Pointer, n int) {
	if a.nref < len(a.refs) {
		a.refs[a.nref] = Ref{p, n}
		a.nref++
		return
	}
	a.more = append(a.more, Ref{p, n})
}

// None writes None.
func (a *Args) None() { a.Word(cgotorch.TagNone) }

// Handle writes a tensor.
func (a *Args) Handle(h cgotorch.Handle) { a.Pair(cgotorch.TagTensor, uint64(h)) }

// Int writes an integer.
func (a *Args) Int(v int64) { a.Pair(cgotorch.TagInt, uint64(v)) }

// Float writes a floating-point number.
func (a *Args) Float(v float64) { a.Pair(cgotorch.TagFloat, math.Float64bits(v)) }

// Complex writes a complex number.
func (a *Args) Complex(v complex128) {
	a.Word(cgotorch.TagComplex)
	a.Word(math.Float64bits(real(v)))
	a.Word(math.Float64bits(imag(v)))
}

// Bool writes a truth value.
func (a *Args) Bool(v bool) { a.Pair(cgotorch.TagBool, bit(v)) }

// Ints writes a list of integers.
func (a *Args) Ints(v []int) {
	a.Word(cgotorch.TagInts)
	a.PutInts(v)
}

// Floats writes a list of floating-point numbers.
func (a *Args) Floats(v []float64) {
	a.Word(cgotorch.TagFloats)
	a.Word(uint64(len(v)))
	for _, f := range v {
		a.Word(math.Float64bits(f))
	}
}

// Bools writes a list of truth values.
func (a *Args) Bools(v []bool) {
	a.Word(cgotorch.TagBools)
	a.Word(uint64(len(v)))
	for _, b := range v {
		a.Word(bit(b))
	}
}

// String writes a text.
func (a *Args) String(s string) { a.Word(cgotorch.TagString); a.PutText(s) }

// Strings writes a list of texts.
func (a *Args) Strings(v []string) {
	a.Word(cgotorch.TagStrings)
	a.Word(uint64(len(v)))
	for _, s := range v {
		a.PutText(s)
	}
}

// Device writes a device: libtorch's number of its type, and its index (-1: the current one).
func (a *Args) Device(kind, index int) {
	a.Word(cgotorch.TagDevice)
	a.Word(uint64(kind)<<8 | uint64(index)&0xff)
}

// Invalid writes what is wrong with an argument in the place of its value; the call then fails with that text.
func (a *Args) Invalid(problem string) { a.Word(cgotorch.TagInvalid); a.PutText(problem) }

// Generator writes a generator.
func (a *Args) Generator(g cgotorch.Gen) { a.Word(cgotorch.TagGenerator); a.Word(uint64(g)) }

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
