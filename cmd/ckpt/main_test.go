package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/golite/golite/internal/atomicfile"
	"github.com/golite/golite/torch/serial/pickle"
	"github.com/golite/golite/torch/serial/ptfile"
	"github.com/golite/golite/torch/serial/shard"
)

const corpus = "../../torch/serial/testdata/corpus/"

func ckpt(t *testing.T, args ...string) (code int, out string) {
	t.Helper()
	var b bytes.Buffer
	code = run(args, &b, &b)
	return code, b.String()
}

func TestLs(t *testing.T) {
	code, out := ckpt(t, "ls", corpus+"cnn.pt")
	require.Zero(t, code, out)
	require.Regexp(t, `(?m)^0\.weight +float32 +4x1x3x3 +144 B$`, out)
	require.Regexp(t, `(?m)^1\.num_batches_tracked +int64 +scalar +8 B$`, out)
	require.Contains(t, out, "9 tensors")
	code, out = ckpt(t, "ls", "-a", "-key", "optimizer", corpus+"adam.pt")
	require.Zero(t, code, out)
	require.Regexp(t, `(?m)^state\.0\.exp_avg +float32 +16x12`, out)
	require.Regexp(t, `(?m)^param_groups\.0\.amsgrad +true`, out)
	code, out = ckpt(t, "ls", corpus+"plain.safetensors")
	require.Zero(t, code, out)
	require.Contains(t, out, "safetensors")
}

func TestCat(t *testing.T) {
	code, out := ckpt(t, "cat", corpus+"views.pt", "slice")
	require.Zero(t, code, out)
	require.Equal(t, "slice = torch.float32 2x3\n8 9 10\n14 15 16\n", out)
	_, out = ckpt(t, "cat", corpus+"views.pt", "conj")
	require.Contains(t, out, "(1-2i) (3+4i)")
	_, out = ckpt(t, "cat", "-n", "2", corpus+"tensor.pt")
	require.Contains(t, out, "0 1 ... (5 elements in all")
	_, out = ckpt(t, "cat", corpus+"containers.pt", "ints")
	require.Contains(t, out, "ints.13 = 1267650600228229401496703205376\n")
	code, out = ckpt(t, "cat", corpus+"views.pt", "nothing")
	require.Equal(t, 1, code)
	require.Contains(t, out, `no value called "nothing"`)
}

func TestConvertAndDiff(t *testing.T) {
	dir := t.TempDir()
	st, back := filepath.Join(dir, "a.safetensors"), filepath.Join(dir, "a.pt")
	code, out := ckpt(t, "convert", corpus+"transformer.pt", st)
	require.Zero(t, code, out)
	code, out = ckpt(t, "convert", st, back)
	require.Zero(t, code, out)
	code, out = ckpt(t, "diff", corpus+"transformer.pt", back)
	require.Zero(t, code, out)
	require.Contains(t, out, "0 different")
	code, out = ckpt(t, "convert", corpus+"legacy_adam.pt", filepath.Join(dir, "new.pt"))
	require.Zero(t, code, out)
	code, out = ckpt(t, "diff", corpus+"legacy_adam.pt", filepath.Join(dir, "new.pt"))
	require.Zero(t, code, out)
	code, out = ckpt(t, "convert", corpus+"lightning.ckpt", filepath.Join(dir, "net.safetensors"))
	require.Zero(t, code, out)
	code, out = ckpt(t, "convert", corpus+"adam.pt", filepath.Join(dir, "bad.safetensors"))
	require.Equal(t, 1, code)
	require.Contains(t, out, "-key")
	require.NoFileExists(t, filepath.Join(dir, "bad.safetensors"))
	code, out = ckpt(t, "diff", corpus+"mlp.pt", corpus+"cnn.pt")
	require.Equal(t, 1, code)
	require.Contains(t, out, "! 0.weight: torch.float32 16x12 against torch.float32 4x1x3x3")
	require.Contains(t, out, "+ 4.weight: only in")
}

func TestDiffFindsTheLargest(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, values ...byte) string {
		s := ptfile.NewMemoryStorage(values, "int8", "cpu")
		d := pickle.NewDict(pickle.PlainDict)
		require.NoError(t, d.Set("x", &ptfile.Tensor{DType: "int8", Shape: []int{2, 2}, Strides: []int{1, 2}, Storage: s, Layout: ptfile.Strided}))
		a, err := ptfile.NewArchive(d, ptfile.Options{})
		require.NoError(t, err)
		path := filepath.Join(dir, name)
		require.NoError(t, atomicfile.Write(atomicfile.OS, path, a.Size(), func(w io.WriterAt) error { return a.WriteTo(w, 0) }))
		return path
	}
	a, b := write("a.pt", 1, 2, 3, 4), write("b.pt", 1, 9, 3, 5)
	code, out := ckpt(t, "diff", a, b)
	require.Equal(t, 1, code)
	require.Contains(t, out, "! x: 2 of 4 elements differ, at most by 7 (at [1 0])")
	code, _ = ckpt(t, "diff", "-atol", "7", a, b)
	require.Zero(t, code)
}

func TestVerify(t *testing.T) {
	code, out := ckpt(t, "verify", corpus+"cnn.pt", corpus+"legacy_adam.pt", corpus+"plain.safetensors")
	require.Zero(t, code, out)
	require.Equal(t, 2, strings.Count(out, "has no checksum"))
	raw, err := os.ReadFile(corpus + "cnn.pt")
	require.NoError(t, err)
	raw[len(raw)/2] ^= 1
	bad := filepath.Join(t.TempDir(), "bad.pt")
	require.NoError(t, os.WriteFile(bad, raw, 0o644))
	code, out = ckpt(t, "verify", bad)
	require.Equal(t, 1, code)
	require.Contains(t, out, "BAD: corrupt checkpoint")
}

func TestConsolidate(t *testing.T) {
	dir := t.TempDir()
	part := func(rows ...byte) *ptfile.Tensor {
		return &ptfile.Tensor{DType: "uint8", Shape: []int{2, 2}, Strides: []int{2, 1}, Layout: ptfile.Strided, Storage: ptfile.NewMemoryStorage(rows, "uint8", "cpu")}
	}
	var indexes [][]byte
	for rank, p := range []*ptfile.Tensor{part(1, 2, 5, 6), part(3, 4, 7, 8)} {
		items := []shard.Item{{Path: []any{"w"}, Tensor: p, Offsets: []int{0, 2 * rank}, Shape: []int{2, 4}}}
		if rank == 0 {
			items = append(items, shard.Item{Path: []any{"opt", "0", "step"}, Value: 3}, shard.Item{Path: []any{shard.IntKeys}, Value: []any{[]any{"opt"}}})
		}
		index, err := shard.WritePart(atomicfile.OS, filepath.Join(dir, "c"), rank, "s1", items, nil)
		require.NoError(t, err)
		indexes = append(indexes, index)
	}
	require.NoError(t, shard.Commit(atomicfile.OS, filepath.Join(dir, "c"), indexes))
	out := filepath.Join(dir, "one.pt")
	code, text := ckpt(t, "consolidate", filepath.Join(dir, "c"), out)
	require.Zero(t, code, text)
	_, text = ckpt(t, "cat", out)
	require.Equal(t, "w = torch.uint8 2x4\n1 2 3 4\n5 6 7 8\nopt.0.step = 3\n", text)
	f, err := ptfile.Open(out)
	require.NoError(t, err)
	defer f.Close()
	opt, _ := f.Root.(*pickle.Dict).Get("opt")
	_, ok := opt.(*pickle.Dict).Get(0)
	require.True(t, ok, "integer keys come back")
	code, text = ckpt(t, "consolidate", out, out)
	require.Equal(t, 1, code)
	require.Contains(t, text, "one file already")
}

// TestSpecialFiles: no command waits for a pipe's other end, and none puts a file in its place.
func TestSpecialFiles(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "a.pt")
	require.NoError(t, unix.Mkfifo(pipe, 0o644))
	commands := [][]string{{"ls", pipe}, {"verify", pipe}, {"convert", pipe, pipe + ".safetensors"},
		{"diff", pipe, corpus + "cnn.pt"}}
	for _, args := range commands {
		code, out := ckpt(t, args...)
		require.NotZero(t, code, args)
		require.Contains(t, out, pipe+": a named pipe as a checkpoint file is not supported", args)
	}
	code, out := ckpt(t, "convert", corpus+"plain.safetensors", pipe)
	require.Equal(t, 1, code)
	require.Contains(t, out, "save "+pipe+": it is a named pipe, which stays as it is")
	st, err := os.Lstat(pipe)
	require.NoError(t, err)
	require.Equal(t, os.ModeNamedPipe, st.Mode().Type())
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"nonsense"}, {"ls"}, {"diff", "a"}, {"ls", "-nonsense", "x"}} {
		code, out := ckpt(t, args...)
		require.Equal(t, 2, code, args)
		require.Contains(t, strings.ToLower(out), "usage")
	}
	code, out := ckpt(t, "ls", "no-such-file.pt")
	require.Equal(t, 1, code)
	require.Contains(t, out, "no-such-file.pt")
}
