package op

import (
	"math"
	"unsafe"

	"github.com/golite/golite/cgotorch"
)

// Args is the arguments of one call, written in the schema's order. The zero value is empty; short
// argument lists need no memory of their own.
type Args struct {
	n    int
	nref int
	buf  [24]uint64
	long []uint64 // all words, once buf is too small
	refs [6]Ref
	more []Ref
}

// Ref keeps what an argument was made from alive until the call has returned, and finds it again for an
// error message: one object (N < 0) or the first of N.
type Ref struct {
	P unsafe.Pointer
	N int
}

// Words returns what was written.
func (a *Args) Words() []uint64 {
	if a.long != nil {
		return a.long
	}
	return a.buf[:a.n]
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

// Word writes one word as it is.
func (a *Args) Word(w uint64) {
	if a.n < len(a.buf) {
		a.buf[a.n] = w
		a.n++
		return
	}
	a.spill(w)
}

// Pair writes a tag and the one word of its value.
func (a *Args) Pair(tag, w uint64) {
	if n := a.n; n < len(a.buf)-1 {
		a.buf[n], a.buf[n+1] = tag, w
		a.n = n + 2
		return
	}
	a.Word(tag)
	a.Word(w)
}

func (a *Args) spill(w uint64) {
	if a.long == nil {
		a.long = append(make([]uint64, 0, 4*len(a.buf)), a.buf[:]...)
	}
	a.long = append(a.long, w)
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
	a.Word(uint64(len(v)))
	for _, i := range v {
		a.Word(uint64(i))
	}
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
func (a *Args) String(s string) { a.Word(cgotorch.TagString); a.text(s) }

// Strings writes a list of texts.
func (a *Args) Strings(v []string) {
	a.Word(cgotorch.TagStrings)
	a.Word(uint64(len(v)))
	for _, s := range v {
		a.text(s)
	}
}

// Device writes a device: libtorch's number of its type, and its index (-1: the current one).
func (a *Args) Device(kind, index int) {
	a.Word(cgotorch.TagDevice)
	a.Word(uint64(kind)<<8 | uint64(index)&0xff)
}

// Invalid writes what is wrong with an argument in the place of its value; the call then fails with that text.
func (a *Args) Invalid(problem string) { a.Word(cgotorch.TagInvalid); a.text(problem) }

// Generator writes a generator.
func (a *Args) Generator(g cgotorch.Gen) { a.Word(cgotorch.TagGenerator); a.Word(uint64(g)) }

func (a *Args) text(s string) {
	a.Word(uint64(len(s)))
	for i := 0; i < len(s); i += 8 {
		var b [8]byte
		copy(b[:], s[i:])
		a.Word(*(*uint64)(unsafe.Pointer(&b)))
	}
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
