package shard

import (
	"bytes"
	"io"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/atomicfile"
	"github.com/golite/golite/torch/serial/ptfile"
)

// view is a box of a row-major int16 tensor, on its memory.
func view(mem []byte, shape, at, sizes []int) *ptfile.Tensor {
	strides := ptfile.ContiguousStrides(shape)
	t := &ptfile.Tensor{DType: "int16", Shape: sizes, Strides: strides, Layout: ptfile.Strided,
		Storage: ptfile.NewMemoryStorage(mem, "int16", "cpu")}
	for i := range at {
		t.Offset += at[i] * strides[i]
	}
	return t
}

// TestPutTogetherInAnyPieces cuts tensors at random, writes the pieces, and reads them back: whole, from any place, and
// in boxes.
func TestPutTogetherInAnyPieces(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 9))
	for round := range 30 {
		shape := []int{1 + r.IntN(12), 1 + r.IntN(9), 1 + r.IntN(7)}[:1+r.IntN(3)]
		mem := make([]byte, 2*product(shape))
		for i := range mem {
			mem[i] = byte(r.Uint32())
		}
		dir := filepath.Join(t.TempDir(), "c")
		var indexes [][]byte
		for rank, box := range cut(r, make([]int, len(shape)), shape, 3) {
			item := Item{Path: []any{"x"}, Tensor: view(mem, shape, box[0], box[1]), Offsets: box[0], Shape: shape}
			index, err := WritePart(atomicfile.OS, dir, rank, "s", []Item{item}, nil)
			require.NoError(t, err)
			indexes = append(indexes, index)
		}
		require.NoError(t, Commit(atomicfile.OS, dir, indexes))
		d, err := Open(dir)
		require.NoError(t, err)
		e := d.Entries[0]
		whole := d.Tensor(e)
		got := make([]byte, len(mem))
		n, err := whole.Storage.ReadAt(got, 0)
		require.NoError(t, err)
		require.Equal(t, len(mem), n)
		require.True(t, bytes.Equal(mem, got), "round %d: %v in %d pieces", round, shape, len(e.Chunks))
		for range 20 {
			from := r.IntN(len(mem)/2 + 1)
			size := r.IntN(len(mem)/2 - from + 1)
			_, err := whole.Storage.ReadAt(got[:2*size], int64(2*from))
			require.NoError(t, err)
			require.Equal(t, mem[2*from:2*(from+size)], got[:2*size])
			at, sizes := make([]int, len(shape)), make([]int, len(shape))
			for i := range shape {
				at[i] = r.IntN(shape[i])
				sizes[i] = 1 + r.IntN(shape[i]-at[i])
			}
			box := make([]byte, 2*product(sizes))
			require.NoError(t, d.ReadBox(e, at, sizes, box))
			var want []byte
			require.NoError(t, view(mem, shape, at, sizes).Dense(func(p []byte) error { want = append(want, p...); return nil }))
			require.Equal(t, want, box)
		}
		_, err = whole.Storage.ReadAt(got[:2], int64(len(mem)))
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.NoError(t, d.Close())
	}
}

// cut splits a box in two at random, up to depth times.
func cut(r *rand.Rand, at, sizes []int, depth int) [][2][]int {
	i := r.IntN(len(sizes))
	if depth == 0 || sizes[i] < 2 {
		return [][2][]int{{at, sizes}}
	}
	k := 1 + r.IntN(sizes[i]-1)
	left, right, next := append([]int{}, sizes...), append([]int{}, sizes...), append([]int{}, at...)
	left[i], right[i], next[i] = k, sizes[i]-k, at[i]+k
	return append(cut(r, at, left, depth-1), cut(r, next, right, depth-1)...)
}
