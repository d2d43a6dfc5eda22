package op

import (
	"math"
	"slices"
	"unsafe"

	"github.com/golite/golite/cgotorch"
)

// Results is what a call returned, read in the schema's order.
type Results struct {
	buf  [cgotorch.Room]uint64
	n    int      // words in buf
	long []uint64 // all words, if buf is too small
	at   int
	// Scope is the scope that the calling thread was in.
	Scope uint64
}

// Buffer is where a call may write. It moves r to the heap, which a call that runs Go code needs: a goroutine's stack
// may move meanwhile.
func (r *Results) Buffer() []uint64 { return r.buf[:] }

// Set takes over the words of a call: the scope first, then the results.
func (r *Results) Set(w []uint64) {
	r.Scope, r.at = w[0], 1
	r.long = nil
	if r.n = len(w); unsafe.SliceData(w) != &r.buf[0] {
		r.long = w
	}
}

// take is Set for what a call wrote into buf. It keeps no slice of it, so that r may stay on the stack: a longer
// result, which has memory of its own, is copied.
func (r *Results) take(w []uint64) {
	r.Scope, r.at = w[0], 1
	r.n, r.long = len(w), nil
	if len(w) > len(r.buf) {
		r.long = slices.Clone(w)
	}
}

// word returns word i.
func (r *Results) word(i int) uint64 {
	if r.long != nil {
		return r.long[i]
	}
	return r.buf[i]
}

// More reports whether there is another result.
func (r *Results) More() bool { return r.at < r.n }

// Tag returns the next result's tag without reading it.
func (r *Results) Tag() uint64 { return r.word(r.at) }

// Handle reads a tensor: its handle, 0 if undefined, and the bytes of its storage.
func (r *Results) Handle() (h cgotorch.Handle, bytes int64) {
	if r.Word() != cgotorch.TagTensor {
		return 0, 0
	}
	return r.Item()
}

// List reads the length of a list of tensors; Item then reads each.
func (r *Results) List() int {
	if r.Word() != cgotorch.TagTensors {
		return 0
	}
	return int(r.Word())
}

// Item reads one tensor of a list.
func (r *Results) Item() (h cgotorch.Handle, bytes int64) {
	h, bytes = cgotorch.Handle(r.word(r.at)), int64(r.word(r.at+1))
	r.at += 2
	return h, bytes
}

// Word reads one word as it is.
func (r *Results) Word() uint64 {
	w := r.word(r.at)
	r.at++
	return w
}

// Int reads an integer or truth value.
func (r *Results) Int() int64 { r.at++; return int64(r.Word()) }

// Float reads a floating-point number.
func (r *Results) Float() float64 { r.at++; return math.Float64frombits(r.Word()) }

// Complex reads a complex number.
func (r *Results) Complex() complex128 {
	r.at++
	re := math.Float64frombits(r.Word())
	return complex(re, math.Float64frombits(r.Word()))
}

// Ints reads a list of integers.
func (r *Results) Ints() []int {
	r.at++
	v := make([]int, r.Word())
	for i := range v {
		v[i] = int(r.Word())
	}
	return v
}

// Floats reads a list of floating-point numbers.
func (r *Results) Floats() []float64 {
	r.at++
	v := make([]float64, r.Word())
	for i := range v {
		v[i] = math.Float64frombits(r.Word())
	}
	return v
}

// Bools reads a list of truth values.
func (r *Results) Bools() []bool {
	r.at++
	v := make([]bool, r.Word())
	for i := range v {
		v[i] = r.Word() != 0
	}
	return v
}

// String reads a text.
func (r *Results) String() string {
	r.at++
	n := int(r.Word())
	b := make([]byte, (n+7)/8*8)
	for i := 0; i < len(b); i += 8 {
		*(*uint64)(unsafe.Pointer(&b[i])) = r.Word()
	}
	return string(b[:n])
}
