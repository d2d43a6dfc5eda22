package main

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/atomicfile"
	"github.com/golite/golite/torch/serial/pickle"
	"github.com/golite/golite/torch/serial/ptfile"
	"github.com/golite/golite/torch/serial/shard"
)

const side = 4096 // of the float32 matrix: 64 MiB

// matrix is a matrix of zeros, sparse on disk, laid out by rows or by columns.
func matrix(t *testing.T, byRows bool) *ptfile.Tensor {
	t.Helper()
	zeros, err := os.Create(filepath.Join(t.TempDir(), "zeros"))
	require.NoError(t, err)
	t.Cleanup(func() { zeros.Close() })
	require.NoError(t, zeros.Truncate(4*side*side))
	strides := []int{1, side}
	if byRows {
		strides = []int{side, 1}
	}
	return &ptfile.Tensor{DType: "float32", Shape: []int{side, side}, Strides: strides, Layout: ptfile.Strided,
		Storage: ptfile.NewReaderStorage(zeros, 0, 4*side*side, "float32", "cpu")}
}

// TestMemoryIsConstant runs every command over 64 MiB in each format, with what it allocates in view. 16 MiB of that is the
// block in which what is not laid out by rows is gathered.
func TestMemoryIsConstant(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, byRows bool) string {
		d := pickle.NewDict(pickle.PlainDict)
		require.NoError(t, d.Set("x", matrix(t, byRows)))
		a, err := ptfile.NewArchive(d, ptfile.Options{})
		require.NoError(t, err)
		path := filepath.Join(dir, name)
		require.NoError(t, atomicfile.Write(atomicfile.OS, path, a.Size(), func(w io.WriterAt) error { return a.WriteTo(w, 0) }))
		return path
	}
	rows, columns := file("rows.pt", true), file("columns.pt", false)
	folder := filepath.Join(dir, "folder")
	var indexes [][]byte
	for rank := range 2 { // one part by rows, one by columns
		m := matrix(t, rank == 0)
		m.Shape = []int{side / 2, side}
		index, err := shard.WritePart(atomicfile.OS, folder, rank, "s1", []shard.Item{
			{Path: []any{"x"}, Tensor: m, Offsets: []int{rank * side / 2, 0}, Shape: []int{side, side}}}, nil)
		require.NoError(t, err)
		indexes = append(indexes, index)
	}
	require.NoError(t, shard.Commit(atomicfile.OS, folder, indexes))
	st := filepath.Join(dir, "x.safetensors")
	for _, args := range [][]string{
		{"ls", rows}, {"ls", columns}, {"ls", folder}, {"verify", rows}, {"verify", folder}, {"cat", rows}, {"cat", columns}, {"cat", folder},
		{"cat", "-n", "1000000", rows}, {"diff", rows, columns}, {"diff", rows, folder},
		{"convert", rows, st}, {"ls", st}, {"cat", st}, {"verify", st}, {"convert", st, filepath.Join(dir, "back.pt")},
		{"convert", columns, filepath.Join(dir, "y.safetensors")}, {"convert", columns, filepath.Join(dir, "y.pt")},
		{"consolidate", folder, filepath.Join(dir, "one.pt")}, {"consolidate", folder, filepath.Join(dir, "one.safetensors")},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var n counter
		code := run(args, &n, os.Stderr)
		runtime.ReadMemStats(&after)
		require.Zero(t, code, args)
		allocated := after.TotalAlloc - before.TotalAlloc
		if args[0] == "cat" && args[1] == "-n" {
			require.GreaterOrEqual(t, int64(n), int64(2_000_000)) // the texts of the numbers are garbage at once
			require.Less(t, after.HeapSys, uint64(256<<20))
			continue
		}
		require.Less(t, allocated, uint64(26<<20), args)
	}
	for _, name := range []string{"one.pt", "one.safetensors", "back.pt", "y.pt"} {
		code, out := ckpt(t, "diff", rows, filepath.Join(dir, name))
		require.Zero(t, code, out)
	}
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
