package zero

import (
	"fmt"
	"io"
	"slices"

	"github.com/golite/golite/torch/serial/pickle"
	"github.com/golite/golite/torch/serial/ptfile"
)

// pieces is a run of bytes from several places, one after the other.
type pieces struct {
	list []piece
	size int64
}

// piece is bytes of a storage, or zeros.
type piece struct {
	from   io.ReaderAt // nil: zeros
	off, n int64
	at     int64 // within the run
}

func (p *pieces) add(from io.ReaderAt, off, n int64) {
	if n > 0 {
		p.list = append(p.list, piece{from, off, n, p.size})
		p.size += n
	}
}

// ReadAt reads across pieces (io.ReaderAt).
func (p *pieces) ReadAt(dst []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("zero: a read at %d", off)
	}
	i, _ := slices.BinarySearchFunc(p.list, off, func(x piece, off int64) int {
		if x.at+x.n <= off {
			return -1
		}
		if x.at > off {
			return 1
		}
		return 0
	})
	for ; i < len(p.list) && n < len(dst); i++ {
		x := p.list[i]
		skip := off + int64(n) - x.at
		part := dst[n : n+int(min(int64(len(dst)-n), x.n-skip))]
		if x.from == nil {
			clear(part)
		} else if got, err := x.from.ReadAt(part, x.off+skip); got < len(part) {
			return n + got, fmt.Errorf("zero: %w", err)
		}
		n += len(part)
	}
	if n < len(dst) {
		return n, io.EOF
	}
	return n, nil
}

// tensor makes a tensor of the run.
func (p *pieces) tensor(d ptfile.DType, shape []int) *ptfile.Tensor {
	return &ptfile.Tensor{DType: d, Shape: shape, Strides: ptfile.ContiguousStrides(shape), Layout: ptfile.Strided,
		Storage: ptfile.NewReaderStorage(p, 0, p.size, d, "cpu")}
}

// vector checks that a value is a vector whose elements lie one after the other.
func vector(v any) (*ptfile.Tensor, error) {
	t, ok := v.(*ptfile.Tensor)
	switch {
	case !ok:
		return nil, fmt.Errorf("it is %s: want a tensor", pickle.Describe(v))
	case t.Layout != ptfile.Strided || t.Storage == nil || len(t.Shape) != 1 || !t.Contiguous():
		return nil, fmt.Errorf("it is a tensor of shape %v: want a dense vector", t.Shape)
	}
	return t, nil
}

// take adds elements from to from+n of a dense tensor.
func (p *pieces) take(t *ptfile.Tensor, from, n int) {
	size := int64(t.DType.Size())
	p.add(t.Storage, int64(t.Offset+from)*size, int64(n)*size)
}

// elements is the product of sizes; ok: it is a sensible number.
func elements(shape []int) (n int, ok bool) {
	n = 1
	for _, s := range shape {
		if s < 0 || s > 0 && n > (1<<46)/s {
			return 0, false
		}
		n *= s
	}
	return n, true
}
