package ptfile_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch/serial/ptfile"
)

// counting is a reader that counts what is read of it.
type counting struct {
	io.ReaderAt
	calls, bytes atomic.Int64
}

func (c *counting) ReadAt(p []byte, off int64) (int, error) {
	c.calls.Add(1)
	c.bytes.Add(int64(len(p)))
	return c.ReaderAt.ReadAt(p, off)
}

// naive collects the elements of a tensor one after the other.
func naive(t *ptfile.Tensor, raw []byte) (out []byte) {
	width := t.DType.Size()
	var walk func(dim, at int)
	walk = func(dim, at int) {
		if dim == len(t.Shape) {
			out = append(out, raw[at*width:(at+1)*width]...)
			return
		}
		for i := range t.Shape[dim] {
			walk(dim+1, at+i*t.Strides[dim])
		}
	}
	walk(0, t.Offset)
	return out
}

func dense(t *testing.T, d *ptfile.Tensor) []byte {
	t.Helper()
	var out []byte
	require.NoError(t, d.Dense(func(p []byte) error { out = append(out, p...); return nil }))
	return out
}

// TestDenseOfAnyStrides compares random views, from memory and from a file, with a walk over single elements.
func TestDenseOfAnyStrides(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	raw := make([]byte, 3<<20)
	for i := range raw {
		raw[i] = byte(r.Uint32())
	}
	for range 300 {
		dtype := []ptfile.DType{"uint8", "bfloat16", "float32", "int64", "complex128"}[r.IntN(5)]
		d := &ptfile.Tensor{DType: dtype, Layout: ptfile.Strided, Offset: r.IntN(20)}
		room, elements := len(raw)/dtype.Size()-1-d.Offset, 1
		for range r.IntN(5) {
			n := 1 + r.IntN(40)
			if r.IntN(6) == 0 {
				n = 1 + r.IntN(3000)
			}
			stride := []int{0, 1, 2, 7, n, 640, 4096, 9999, 1 + r.IntN(100)}[r.IntN(9)]
			if elements*n > 200000 || (n-1)*stride > room {
				continue
			}
			room, elements = room-(n-1)*stride, elements*n
			d.Shape, d.Strides = append(d.Shape, n), append(d.Strides, stride)
		}
		want := naive(d, raw)
		d.Storage = ptfile.NewMemoryStorage(raw, dtype, "cpu")
		require.True(t, bytes.Equal(want, dense(t, d)), "in memory: %s %v %v", dtype, d.Shape, d.Strides)
		d.Storage = ptfile.NewReaderStorage(bytes.NewReader(raw), 0, int64(len(raw)), dtype, "cpu")
		require.True(t, bytes.Equal(want, dense(t, d)), "from a file: %s %v %v", dtype, d.Shape, d.Strides)
	}
}

// TestLargeBoxes: tensors of more than one block, exchanged in several ways.
func TestLargeBoxes(t *testing.T) {
	raw := make([]byte, 36<<20)
	for i := range raw {
		raw[i] = byte(i * 2654435761 >> 13)
	}
	for _, c := range []struct{ shape, strides []int }{
		{[]int{3000, 3000}, []int{1, 3000}},
		{[]int{300, 100, 300}, []int{1, 90000, 300}},
		{[]int{300, 100, 300}, []int{300, 90000, 1}},
		{[]int{9000000}, []int{1}},
		{[]int{4000000}, []int{2}},
		{[]int{9000, 1000}, []int{0, 9000}},
	} {
		d := &ptfile.Tensor{DType: "float32", Layout: ptfile.Strided, Shape: c.shape, Strides: c.strides}
		want := naive(d, raw)
		d.Storage = ptfile.NewMemoryStorage(raw, "float32", "cpu")
		require.True(t, bytes.Equal(want, dense(t, d)), "in memory: %v %v", c.shape, c.strides)
		d.Storage = ptfile.NewReaderStorage(bytes.NewReader(raw), 0, int64(len(raw)), "float32", "cpu")
		require.True(t, bytes.Equal(want, dense(t, d)), "from a file: %v %v", c.shape, c.strides)
	}
}

func transposed(n int, s *ptfile.Storage) *ptfile.Tensor {
	return &ptfile.Tensor{DType: "float32", Layout: ptfile.Strided, Shape: []int{n, n}, Strides: []int{1, n}, Storage: s}
}

// TestEachByteIsReadOnce: a transposed matrix of 64 MiB is gathered out of a file in long reads, in little memory.
func TestEachByteIsReadOnce(t *testing.T) {
	const n, size = 4096, 64 << 20
	f, err := os.Create(filepath.Join(t.TempDir(), "zeros"))
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, f.Truncate(size))
	c := &counting{ReaderAt: f}
	d := transposed(n, ptfile.NewReaderStorage(c, 0, size, "float32", "cpu"))
	total := 0
	memory := allocated(func() { require.NoError(t, d.Dense(func(p []byte) error { total += len(p); return nil })) })
	require.Equal(t, size, total)
	require.Equal(t, int64(size), c.bytes.Load())
	require.LessOrEqual(t, c.calls.Load(), int64(size/4096))
	require.Less(t, memory, uint64(20<<20))
}

func BenchmarkDenseTransposed(b *testing.B) {
	const n, size = 4096, 64 << 20
	mem := make([]byte, size)
	path := filepath.Join(b.TempDir(), "m")
	require.NoError(b, os.WriteFile(path, mem, 0o644))
	f, err := os.Open(path)
	require.NoError(b, err)
	defer f.Close()
	for name, s := range map[string]*ptfile.Storage{
		"memory": ptfile.NewMemoryStorage(mem, "float32", "cpu"), "file": ptfile.NewReaderStorage(f, 0, size, "float32",
			"cpu"),
	} {
		b.Run(fmt.Sprint(name), func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				require.NoError(b, transposed(n, s).Dense(func([]byte) error { return nil }))
			}
		})
	}
}
