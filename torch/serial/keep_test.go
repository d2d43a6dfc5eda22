package serial_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/serial"
	"github.com/golite/golite/torch/serial/ptfile"
)

func names(t *testing.T, dir string) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestRetention(t *testing.T) {
	dir := t.TempDir()
	pattern := filepath.Join(dir, "epoch={epoch}-loss={loss}.pt")
	keep := &serial.Keep{Pattern: pattern, Last: 2, Best: 1, Metric: "loss"}
	other := filepath.Join(dir, "other.pt")
	require.NoError(t, serial.Save(other, 1))
	damaged := filepath.Join(dir, "epoch=99-loss=0.0.pt")
	require.NoError(t, os.WriteFile(damaged, []byte("PK\x03\x04"), 0o644))
	for epoch, loss := range []string{"0.9", "0.2", "1e-1", "nan", "0.5", "0.7"} {
		path := filepath.Join(dir, fmt.Sprintf("epoch=%d-loss=%s.pt", epoch, loss))
		require.NoError(t, serial.Save(path, map[string]any{"epoch": epoch}, serial.SaveOptions{Keep: keep}))
	}
	require.Equal(t, []string{"epoch=2-loss=1e-1.pt", "epoch=4-loss=0.5.pt", "epoch=5-loss=0.7.pt", "epoch=99-loss=0.0.pt",
		"other.pt"}, names(t, dir))

	found, skipped, err := serial.Latest(pattern, true)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "epoch=5-loss=0.7.pt"), found.Path)
	require.Equal(t, map[string]float64{"epoch": 5, "loss": 0.7}, found.Fields)
	require.Len(t, skipped, 1)
	require.ErrorContains(t, skipped[0], damaged)

	_, _, err = serial.Latest(filepath.Join(dir, "none-{step}.pt"), false)
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, _, err = serial.Latest(filepath.Join(dir, "nowhere", "{step}.pt"), false)
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = serial.Prune(serial.Keep{Pattern: pattern, Best: 1, Metric: "acc"})
	require.ErrorContains(t, err, "{acc}")
}

func TestRetentionByTimeAndMax(t *testing.T) {
	dir := t.TempDir()
	for _, acc := range []string{"0.1", "0.9", "0.5"} {
		require.NoError(t, serial.Save(filepath.Join(dir, "acc="+acc+".pt"), 1))
	}
	removed, err := serial.Prune(serial.Keep{Pattern: filepath.Join(dir, "acc={acc}.pt"), Best: 2, Metric: "acc",
		Max: true})
	require.NoError(t, err)
	require.Equal(t, []string{filepath.Join(dir, "acc=0.1.pt")}, removed)
	removed, err = serial.Prune(serial.Keep{Pattern: filepath.Join(dir, "acc={acc}.pt"), Last: 1})
	require.NoError(t, err)
	require.Equal(t, []string{filepath.Join(dir, "acc=0.9.pt")}, removed,
		"without epoch or step the time of writing tells the age")
}

func TestLatestTakesFoldersThatAreCommitted(t *testing.T) {
	dir := t.TempDir()
	saveSharded(t, filepath.Join(dir, "step-1"), 2, 0)
	// killed before the commit
	_, err := serial.SavePart(filepath.Join(dir, "step-2"), 0, serial.NewSaveID(), shardedState(0, 2, 0))
	require.NoError(t, err)
	found, skipped, err := serial.Latest(filepath.Join(dir, "step-{step}"), true)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "step-1"), found.Path)
	require.Len(t, skipped, 1)
}

func TestSaverWritesTheStateOfItsCall(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	dir := t.TempDir()
	w := torch.From([]float32{1, 2, 3})
	view := torch.From([]int64{5})
	live := torch.LiveTensors()
	var saver serial.Saver
	for step := range 5 {
		state := map[string]any{"w": w, "alias": w, "step": step, "v": view}
		require.NoError(t, saver.Save(filepath.Join(dir, fmt.Sprintf("%d.pt", step)), state))
		w.Bytes(func(p []byte) { p[3]++ }) // the next step goes on at once
	}
	require.NoError(t, saver.Close())
	require.NoError(t, saver.Close())
	require.ErrorContains(t, saver.Save("x.pt", 1), "closed")
	require.LessOrEqual(t, torch.LiveTensors(), live, "the copies are freed") // others' tensors may go meanwhile
	fresh := torch.From([]float32{1, 2, 3})
	for step := range 5 {
		v, err := serial.Load(filepath.Join(dir, fmt.Sprintf("%d.pt", step)))
		require.NoError(t, err)
		require.Equal(t, step, at(t, v.(*serial.Dict), "step"))
		got := at(t, v.(*serial.Dict), "w").(*torch.Tensor)
		require.Equal(t, fresh.ToBytes(), got.ToBytes(), "step %d", step)
		require.True(t, got.SameStorage(at(t, v.(*serial.Dict), "alias").(*torch.Tensor)))
		fresh.Bytes(func(p []byte) { p[3]++ })
	}
}

func TestSaverReportsTheWriteBefore(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	dir := t.TempDir()
	blocked := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(blocked, nil, 0o644))
	var saver serial.Saver
	require.NoError(t, saver.Save(filepath.Join(blocked, "a.pt"), 1)) // its folder can't be made
	err := saver.Save(filepath.Join(dir, "b.pt"), 2)
	require.ErrorContains(t, err, "file/a.pt")
	require.NoError(t, saver.Wait())
	require.NoFileExists(t, filepath.Join(dir, "b.pt"))
	require.Error(t, saver.Save(filepath.Join(dir, "c.pt"), make(chan int)), "an error of the value comes at once")
	require.NoError(t, saver.Save(filepath.Join(blocked, "d.pt"), 1))
	require.Error(t, saver.Close())
}

func TestWhatCannotBeSaved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pt")
	var n *serial.ErrUnsupported
	for _, v := range []any{make(chan int), func() {}, struct{ A, B int }{}, torch.Options{Device: torch.Meta}.Empty(2),
		&serial.Set{Frozen: true}, &serial.NumpyArray{}} {
		err := serial.Save(path, map[string]any{"x": v})
		require.True(t, errors.As(err, &n), "%T: %v", v, err)
		require.ErrorContains(t, err, path)
	}
	loop := []any{nil}
	loop[0] = loop
	require.ErrorContains(t, serial.Save(path, loop), "contains itself")
	d := serial.NewDict()
	require.NoError(t, d.Set("d", []any{d}))
	require.NoFileExists(t, path)
}

func TestGoValues(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pt")
	type count int
	require.NoError(t, serial.Save(path, map[string]any{
		"ints": []int{1, -2}, "m": map[int]string{2: "b", 1: "a"}, "f": float32(0.5), "u": uint64(1 << 63), "c": count(4),
		"b":   []byte("x"),
		"nil": nil, "none": (*torch.Tensor)(nil), "dtype": torch.BFloat16, "device": torch.CPU, "strings": []string{"x"},
		"arr": [2]bool{true, false},
	}))
	v, err := serial.Load(path)
	require.NoError(t, err)
	d := v.(*serial.Dict)
	require.Equal(t, []any{1, -2}, at(t, d, "ints"))
	require.Equal(t, "a", at(t, d, "m", 1))
	require.Equal(t, 0.5, at(t, d, "f"))
	require.Equal(t, "9223372036854775808", fmt.Sprint(at(t, d, "u")))
	require.Equal(t, 4, at(t, d, "c"))
	require.Equal(t, serial.Bytes("x"), at(t, d, "b"))
	require.Nil(t, at(t, d, "none"))
	require.Equal(t, torch.BFloat16, at(t, d, "dtype"))
	require.Equal(t, serial.Device{Type: "cpu", Index: -1}, at(t, d, "device"))
}

func TestMissingFile(t *testing.T) {
	_, err := serial.Load(filepath.Join(t.TempDir(), "none.pt"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = serial.LoadStateDict(filepath.Join(t.TempDir(), "none.pt"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	var n *serial.ErrUnsupported
	_, err = serial.Load(t.TempDir())
	require.ErrorAs(t, err, &n)
}

// TestSparseIndicesAreChecked: indices beyond the sizes would send kernels anywhere.
func TestSparseIndicesAreChecked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pt")
	coo := func(index int64) *serial.TensorInfo {
		return &serial.TensorInfo{DType: "float32", Shape: []int{4}, Layout: "sparse_coo", Parts: []*serial.TensorInfo{
			{DType: "int64", Shape: []int{1, 1}, Strides: []int{1, 1}, Layout: "strided", Storage: ptfile.NewMemoryStorage([]byte{byte(index), 0, 0, 0, 0, 0, 0, 0}, "int64", "cpu")},
			{DType: "float32", Shape: []int{1}, Strides: []int{1}, Layout: "strided", Storage: ptfile.NewMemoryStorage([]byte{0, 0, 0x80, 0x3f}, "float32", "cpu")}}}
	}
	require.NoError(t, serial.Save(path, coo(3)))
	_, err := serial.Load(path)
	require.NoError(t, err)
	require.NoError(t, serial.Save(path, coo(4)))
	_, err = serial.Load(path)
	var c *serial.ErrCorrupt
	require.ErrorAs(t, err, &c)
	require.Equal(t, path, c.File)
}
