package shard

import (
	"io"

	"github.com/golite/golite/torch/serial/ptfile"
)

// Tensor returns a whole tensor as one that can be read in constant memory, its chunks put together on the way. Checksums are not
// checked while it is read: call Verify first.
func (d *Dir) Tensor(e *Entry) (*ptfile.Tensor, error) {
	r := &assembler{e: e, width: e.DType.Size()}
	for i := range e.Chunks {
		t, err := d.tensor(e, &e.Chunks[i])
		if err != nil {
			return nil, err
		}
		if t, err = t.Compact(); err != nil {
			return nil, err
		}
		r.chunks = append(r.chunks, t.Storage)
	}
	size := int64(product(e.Shape) * r.width)
	s := ptfile.NewReaderStorage(r, 0, size, e.DType, "cpu")
	s.Describe(d.Path, e.Name)
	return &ptfile.Tensor{DType: e.DType, Shape: e.Shape, Strides: ptfile.ContiguousStrides(e.Shape), Storage: s, Layout: ptfile.Strided}, nil
}

// assembler reads the row-major bytes of a tensor out of its chunks.
type assembler struct {
	e      *Entry
	width  int
	chunks []*ptfile.Storage
}

// ReadAt implements io.ReaderAt: it goes row by row, where a row is a run of the last dimension.
func (r *assembler) ReadAt(p []byte, off int64) (int, error) {
	shape := r.e.Shape
	if len(shape) == 0 {
		return r.chunks[0].ReadAt(p, off)
	}
	row := int64(shape[len(shape)-1] * r.width)
	done := 0
	for done < len(p) {
		if off >= row*int64(product(shape[:len(shape)-1])) {
			return done, io.EOF
		}
		from := off % row
		n := int(min(row-from, int64(len(p)-done)))
		if err := r.readRow(p[done:done+n], off/row, from); err != nil {
			return done, err
		}
		done, off = done+n, off+int64(n)
	}
	return done, nil
}

// readRow reads the bytes from of one row.
func (r *assembler) readRow(p []byte, row, from int64) error {
	shape := r.e.Shape
	last := len(shape) - 1
	at := make([]int, len(shape))
	for i := last - 1; i >= 0; i-- {
		at[i] = int(row % int64(shape[i]))
		row /= int64(shape[i])
	}
	for k, c := range r.e.Chunks {
		place, inside := int64(0), true
		for i := range last {
			x := at[i] - c.Offsets[i]
			inside = inside && x >= 0 && x < c.Sizes[i]
			place = place*int64(c.Sizes[i]) + int64(x)
		}
		if !inside {
			continue
		}
		left, right := int64(c.Offsets[last]*r.width), int64((c.Offsets[last]+c.Sizes[last])*r.width)
		lo, hi := max(left, from), min(right, from+int64(len(p)))
		if lo >= hi {
			continue
		}
		if _, err := r.chunks[k].ReadAt(p[lo-from:hi-from], place*int64(c.Sizes[last]*r.width)+lo-left); err != nil {
			return err
		}
	}
	return nil
}
