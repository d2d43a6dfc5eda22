package shard

import (
	"io"
	"sync"

	"github.com/golite/golite/torch/serial/ptfile"
)

// Tensor returns a whole tensor as one that can be read in constant memory, its chunks put together on the way; none is
// opened before it is read. Checksums are not checked while it is read: call Verify first.
func (d *Dir) Tensor(e *Entry) *ptfile.Tensor {
	r := &assembler{e: e, width: e.DType.Size()}
	for i := range e.Chunks {
		r.chunks = append(r.chunks, sync.OnceValues(func() (*ptfile.Storage, error) { return d.chunk(e, &e.Chunks[i]) }))
	}
	size := int64(product(e.Shape) * r.width)
	s := ptfile.NewReaderStorage(r, 0, size, e.DType, "cpu")
	s.Describe(d.Path, e.Name)
	return &ptfile.Tensor{DType: e.DType, Shape: e.Shape, Strides: ptfile.ContiguousStrides(e.Shape), Storage: s,
		Layout: ptfile.Strided}
}

// chunk opens a chunk's bytes in row-major order.
func (d *Dir) chunk(e *Entry, c *Chunk) (*ptfile.Storage, error) {
	t, err := d.tensor(e, c)
	if err == nil {
		t, err = t.Compact()
	}
	if err != nil {
		return nil, err
	}
	return t.Storage, nil
}

// assembler reads the row-major bytes of a tensor out of its chunks.
type assembler struct {
	e      *Entry
	width  int
	chunks []func() (*ptfile.Storage, error)
}

// readChunk reads a piece of one chunk.
func (r *assembler) readChunk(k int, p []byte, off int64) (int, error) {
	s, err := r.chunks[k]()
	if err != nil {
		return 0, err
	}
	return s.ReadAt(p, off)
}

// ReadAt implements io.ReaderAt: it copies runs that are contiguous in a chunk and in the whole tensor.
func (r *assembler) ReadAt(p []byte, off int64) (int, error) {
	at := make([]int, len(r.e.Shape))
	end := int64(product(r.e.Shape) * r.width)
	for done, k := 0, 0; ; {
		if done == len(p) {
			return done, nil
		}
		if off >= end {
			return done, io.EOF
		}
		place := int(off) / r.width
		for i := len(at) - 1; i >= 0; i-- {
			at[i] = place % r.e.Shape[i]
			place /= r.e.Shape[i]
		}
		k = r.find(at, k)
		from, n := r.e.Chunks[k].run(at, r.e.Shape)
		size := min(n*r.width, len(p)-done)
		if _, err := r.readChunk(k, p[done:done+size], int64(from*r.width)); err != nil {
			return done, err
		}
		done, off = done+size, off+int64(size)
	}
}

// find returns the chunk that an element is in, looking first where the one before was: the chunks tile the tensor.
func (r *assembler) find(at []int, k int) int {
	for !r.e.Chunks[k].contains(at) {
		k = (k + 1) % len(r.e.Chunks)
	}
	return k
}

func (c *Chunk) contains(at []int) bool {
	for i, x := range at {
		if x < c.Offsets[i] || x >= c.Offsets[i]+c.Sizes[i] {
			return false
		}
	}
	return true
}

// run returns an element's place in the chunk, and how many from there on follow each other in the whole tensor as
// well.
func (c *Chunk) run(at, shape []int) (from, n int) {
	n = 1
	whole := true // the dimensions so far are the tensor's own
	after := 1    // elements in a step of the dimension
	for i := len(at) - 1; i >= 0; i-- {
		inside := at[i] - c.Offsets[i]
		from += inside * after
		if whole {
			n = (c.Sizes[i]-inside-1)*after + n
			whole = c.Sizes[i] == shape[i]
		}
		after *= c.Sizes[i]
	}
	return from, n
}
