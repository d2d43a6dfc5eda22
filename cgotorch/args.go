package cgotorch

// #include <stdint.h>
import "C"

import "unsafe"

// ArgWriter writes the flat arguments of a call. The zero value is empty; short lists need no memory of their own.
type ArgWriter struct {
	n    int
	buf  [24]uint64
	long []uint64 // all words, once buf is too small
}

// Words returns what was written.
func (a *ArgWriter) Words() []uint64 {
	if a.long != nil {
		return a.long
	}
	return a.buf[:a.n]
}

// Word writes one word as it is.
func (a *ArgWriter) Word(w uint64) {
	if a.n < len(a.buf) {
		a.buf[a.n] = w
		a.n++
		return
	}
	a.spill(w)
}

// Pair writes a tag and the one word of its value.
func (a *ArgWriter) Pair(tag, w uint64) {
	if n := a.n; n < len(a.buf)-1 {
		a.buf[n], a.buf[n+1] = tag, w
		a.n = n + 2
		return
	}
	a.Word(tag)
	a.Word(w)
}

func (a *ArgWriter) spill(w uint64) {
	if a.long == nil {
		a.long = append(make([]uint64, 0, 4*len(a.buf)), a.buf[:]...)
	}
	a.long = append(a.long, w)
}

// args begins the arguments of a function that takes no tags.
func args(words ...uint64) *ArgWriter {
	a := new(ArgWriter)
	for _, w := range words {
		a.Word(w)
	}
	return a
}

// PutInt writes a number, without a tag as all that follow.
func (a *ArgWriter) PutInt(v int) *ArgWriter { a.Word(uint64(v)); return a }

// PutBool writes a truth value.
func (a *ArgWriter) PutBool(v bool) *ArgWriter { a.Word(uint64(flag(v))); return a }

// PutText writes a text: its length, then its bytes.
func (a *ArgWriter) PutText(s string) *ArgWriter {
	a.Word(uint64(len(s)))
	for i := 0; i < len(s); i += 8 {
		var b [8]byte
		copy(b[:], s[i:])
		a.Word(*(*uint64)(unsafe.Pointer(&b)))
	}
	return a
}

// PutHandles writes a list of tensors.
func (a *ArgWriter) PutHandles(list []Handle) *ArgWriter {
	a.Word(uint64(len(list)))
	for _, h := range list {
		a.Word(uint64(h))
	}
	return a
}

// PutInts writes a list of numbers.
func (a *ArgWriter) PutInts(list []int) *ArgWriter {
	a.Word(uint64(len(list)))
	for _, n := range list {
		a.Word(uint64(n))
	}
	return a
}

func (a *ArgWriter) c() (*C.uint64_t, C.uint32_t) {
	w := a.Words()
	return (*C.uint64_t)(unsafe.SliceData(w)), C.uint32_t(len(w))
}

// cut splits a packed text off words.
func cut(w []uint64) (string, []uint64) {
	return text(w), w[1+(w[0]+7)/8:]
}
