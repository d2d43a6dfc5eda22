package ptfile

import (
	"io"

	"github.com/golite/golite/torch/serial/errs"
)

// Dense calls f with the bytes of t's elements in row-major order, piece by piece, whatever its strides; conjugation and
// negation bits are applied. Memory is constant: a contiguous tensor is streamed, another is gathered through a cache of
// pages. f must not keep p. Checksums are not checked; call Storage.Verify first where they matter.
func (t *Tensor) Dense(f func(p []byte) error) error {
	if t.Layout != Strided {
		return &errs.ErrUnsupported{What: "a tensor of layout " + string(t.Layout) + " as plain elements"}
	}
	emit := f
	if t.Conj || t.Neg {
		emit = func(p []byte) error { t.applyBits(p); return f(p) }
	}
	size := int64(t.DType.Size())
	if t.Contiguous() {
		return t.denseRun(int64(t.Offset)*size, t.Bytes(), emit)
	}
	g := &gather{t: t, size: int(size), pages: map[int64][]byte{}, out: make([]byte, 0, chunkSize), emit: emit}
	if err := g.walk(0, int64(t.Offset)); err != nil {
		return err
	}
	return g.flush()
}

func (t *Tensor) denseRun(off, n int64, f func([]byte) error) error {
	buf := make([]byte, min(chunkSize, n))
	for n > 0 {
		p := buf[:min(n, chunkSize)]
		if _, err := t.Storage.ReadAt(p, off); err != nil {
			return err
		}
		if err := f(p); err != nil {
			return err
		}
		off, n = off+int64(len(p)), n-int64(len(p))
	}
	return nil
}

// applyBits flips the sign bits that a lazy conjugation or negation stands for: of imaginary parts, of both parts.
func (t *Tensor) applyBits(p []byte) {
	half := t.DType.SwapUnit()
	complexNumber := half < t.DType.Size()
	for i := 0; i+half <= len(p); i += half {
		imaginary := complexNumber && (i/half)%2 == 1
		if (t.Conj && imaginary) != t.Neg {
			p[i+half-1] ^= 0x80
		}
	}
}

// gather collects the elements of a tensor with any strides.
type gather struct {
	t     *Tensor
	size  int
	pages map[int64][]byte
	out   []byte
	emit  func([]byte) error
}

const (
	pageSize = 16 << 10
	maxPages = 2048 // 32 MB
)

func (g *gather) walk(dim int, at int64) error {
	if dim == len(g.t.Shape) {
		return g.element(at * int64(g.size))
	}
	for range g.t.Shape[dim] {
		if err := g.walk(dim+1, at); err != nil {
			return err
		}
		at += int64(g.t.Strides[dim])
	}
	return nil
}

func (g *gather) element(off int64) error {
	page, err := g.page(off / pageSize)
	if err != nil {
		return err
	}
	i := int(off % pageSize)
	g.out = append(g.out, page[i:i+g.size]...)
	if len(g.out)+g.size > cap(g.out) {
		return g.flush()
	}
	return nil
}

func (g *gather) page(n int64) ([]byte, error) {
	if p, ok := g.pages[n]; ok {
		return p, nil
	}
	var p []byte
	if len(g.pages) >= maxPages {
		for k, old := range g.pages { // any page will do
			p = old[:pageSize]
			delete(g.pages, k)
			break
		}
	} else {
		p = make([]byte, pageSize)
	}
	p = p[:min(pageSize, g.t.Storage.Size-n*pageSize)]
	if _, err := g.t.Storage.ReadAt(p, n*pageSize); err != nil && err != io.EOF {
		return nil, err
	}
	g.pages[n] = p
	return p, nil
}

func (g *gather) flush() error {
	if len(g.out) == 0 {
		return nil
	}
	err := g.emit(g.out)
	g.out = g.out[:0]
	return err
}
