package serial_test

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/serial"
)

// procNumber reads a number of the process out of a file of Linux: after name, in the file's unit.
func procNumber(t *testing.T, file, name string) int {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("/proc/self", file))
	require.NoError(t, err)
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			require.NoError(t, err)
			return n
		}
	}
	require.Fail(t, "no "+name)
	return 0
}

// measured runs f and returns the bytes that it read from files, and by how much the process grew at most while it ran.
func measured(t *testing.T, f func()) (read, grown int) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the counters are Linux's")
	}
	require.NoError(t, os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)) // the peak starts anew
	before, resident := procNumber(t, "io", "rchar"), procNumber(t, "status", "VmRSS")
	f()
	return procNumber(t, "io", "rchar") - before, (procNumber(t, "status", "VmHWM") - resident) << 10
}

const bigRows = 4096 // of 1024 float32: 16 MiB

func bigFile(t *testing.T) (path string, model *torch.StateDict) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "big.pt")
	model = &torch.StateDict{}
	model.Set("w", torch.Ones(bigRows, 1024))
	model.Set("b", torch.From([]float32{1, 2, 3}))
	moments := []any{torch.Zeros(bigRows, 1024), torch.Zeros(bigRows, 1024)}
	require.NoError(t, serial.Save(path, map[string]any{"model": model, "optimizer": moments, "step": 3}))
	return path, model
}

// TestReadingIntoWhatIsThere: the bytes go into the tensors' own memory, no copy is made of them, and what nobody asks
// for is not read.
func TestReadingIntoWhatIsThere(t *testing.T) {
	path, saved := bigFile(t)
	w, b := torch.Full(7, bigRows, 1024), torch.Zeros(2)
	o := serial.LoadOptions{
		Only: func(name string) bool { return strings.HasPrefix(name, "model.") },
		Into: func(name string) *torch.Tensor { return map[string]*torch.Tensor{"model.w": w, "model.b": b}[name] },
	}
	const size = bigRows * 1024 * 4
	var v any
	read, grown := measured(t, func() {
		var err error
		v, err = serial.Load(path, o)
		require.NoError(t, err)
	})
	require.Same(t, w, at(t, v.(*serial.Dict), "model", "w"))
	require.Equal(t, want(saved, "w").ToBytes(), w.ToBytes())
	got := at(t, v.(*serial.Dict), "model", "b").(*torch.Tensor)
	require.NotSame(t, b, got, "another shape is read anew")
	require.Equal(t, []float32{1, 2, 3}, torch.ToSlice[float32](got))
	require.Equal(t, []float32{0, 0}, torch.ToSlice[float32](b))
	require.IsType(t, &serial.TensorInfo{}, at(t, v.(*serial.Dict), "optimizer").([]any)[0])
	require.Less(t, read, 2*size+1<<20, "once to check, once to read; the optimizer is twice the model")
	if !underRace {
		require.Less(t, grown, size/2, "there is no second copy")
	}
}

func want(sd *torch.StateDict, name string) *torch.Tensor { v, _ := sd.Get(name); return v }

// TestReadingIntoLeavesThemOnDamage: a flipped bit anywhere is found before anything is overwritten.
func TestReadingIntoLeavesThemOnDamage(t *testing.T) {
	path, _ := bigFile(t)
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	ones := []byte{0, 0, 0x80, 0x3f}
	first := bytes.Index(raw, bytes.Repeat(ones, 1024))
	// in its first, a middle and its last chunk
	for _, at := range []int{first, first + 9<<20, first + bigRows*1024*4 - 1} {
		raw[at] ^= 1
		require.NoError(t, os.WriteFile(path, raw, 0o644))
		raw[at] ^= 1
		w := torch.Full(7, bigRows, 1024)
		before := w.ToBytes()
		_, err := serial.Load(path, serial.LoadOptions{Into: func(name string) *torch.Tensor {
			if name == "model.w" {
				return w
			}
			return nil
		}})
		var c *serial.ErrCorrupt
		require.ErrorAs(t, err, &c, "byte %d", at)
		require.Contains(t, c.Record, "/data/")
		require.Equal(t, path, c.File)
		require.True(t, bytes.Equal(before, w.ToBytes()))
	}
}

// TestReadingIntoOtherLayouts: where the memory is not laid out as the file's, a new tensor is made.
func TestReadingIntoOtherLayouts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pt")
	base := torch.Arange(6).To(torch.Float32).Reshape(2, 3)
	require.NoError(t, serial.Save(path, map[string]any{"plain": base, "turned": base.Clone().T(),
		"part": torch.Arange(9).To(torch.Float32).Narrow(0, 3, 6)}))
	for name, c := range map[string]struct {
		key     string
		into    *torch.Tensor
		inPlace bool
	}{
		"same":               {"plain", torch.Zeros(2, 3), true},
		"a view in a larger": {"plain", torch.Zeros(4, 3).Narrow(0, 1, 2), true},
		"turned":             {"plain", torch.Zeros(3, 2).T(), false},
		"other dtype":        {"plain", torch.Zeros(2, 3).To(torch.Float64), false},
		"other shape":        {"plain", torch.Zeros(6), false},
		"turned in the file": {"turned", torch.Zeros(3, 2), false},
		"part of a storage":  {"part", torch.Zeros(6), false},
	} {
		t.Run(name, func(t *testing.T) {
			before := c.into.ToBytes()
			v, err := serial.Load(path, serial.LoadOptions{Into: func(n string) *torch.Tensor {
				if n == c.key {
					return c.into
				}
				return nil
			}})
			require.NoError(t, err)
			got := at(t, v.(*serial.Dict), c.key).(*torch.Tensor)
			if c.inPlace {
				require.Same(t, c.into, got)
				require.Equal(t, base.ToBytes(), c.into.ToBytes())
			} else {
				require.NotSame(t, c.into, got)
				require.Equal(t, before, c.into.ToBytes())
			}
		})
	}
}

// TestReadingIntoTiedTensors: two of the file's tensors never meet in one memory.
func TestReadingIntoTiedTensors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pt")
	require.NoError(t, serial.Save(path, map[string]any{"a": torch.Ones(1000), "b": torch.Zeros(1000)}))
	tied := torch.Full(7, 1000)
	v, err := serial.Load(path, serial.LoadOptions{Into: func(string) *torch.Tensor { return tied }})
	require.NoError(t, err)
	require.Same(t, tied, at(t, v.(*serial.Dict), "a"))
	require.Equal(t, torch.Ones(1000).ToBytes(), tied.ToBytes())
	require.Equal(t, torch.Zeros(1000).ToBytes(), at(t, v.(*serial.Dict), "b").(*torch.Tensor).ToBytes())
}

// TestTheOthersAreNotRead: every record that is not asked for is damaged, and loading does not notice; it does if they
// are.
func TestTheOthersAreNotRead(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(corpus, "adam.pt"))
	require.NoError(t, err)
	f, err := os.CreateTemp(t.TempDir(), "*.pt")
	require.NoError(t, err)
	only := func(name string) bool { return name == "model.0.weight" }
	whole, err := serial.Load(filepath.Join(corpus, "adam.pt"))
	require.NoError(t, err)
	asked := at(t, whole.(*serial.Dict), "model", "0.weight").(*torch.Tensor).ToBytes()
	damaged := 0
	for _, record := range dataRecords(t, filepath.Join(corpus, "adam.pt")) {
		if !bytes.Equal(raw[record.at:record.at+record.size], asked) {
			raw[record.at] ^= 0xff
			damaged++
		}
	}
	require.Greater(t, damaged, 5)
	_, err = f.Write(raw)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	v, err := serial.Load(f.Name(), serial.LoadOptions{Only: only})
	require.NoError(t, err)
	require.Equal(t, asked, at(t, v.(*serial.Dict), "model", "0.weight").(*torch.Tensor).ToBytes())
	var c *serial.ErrCorrupt
	_, err = serial.Load(f.Name())
	require.ErrorAs(t, err, &c)
}

type place struct{ at, size int64 }

// dataRecords finds the tensors' records of a zip file.
func dataRecords(t *testing.T, path string) (out []place) {
	t.Helper()
	z, err := zip.OpenReader(path)
	require.NoError(t, err)
	defer z.Close()
	for _, f := range z.File {
		if off, err := f.DataOffset(); err == nil && strings.Contains(f.Name, "/data/") && f.UncompressedSize64 > 0 {
			out = append(out, place{off, int64(f.UncompressedSize64)})
		}
	}
	return out
}

// TestMeta: on the meta device tensors have shapes and dtypes, and nothing of the file's is read but its directory.
func TestMeta(t *testing.T) {
	path, _ := bigFile(t)
	read, _ := measured(t, func() {
		v, err := serial.Load(path, serial.LoadOptions{Device: torch.Meta})
		require.NoError(t, err)
		w := at(t, v.(*serial.Dict), "model", "w").(*torch.Tensor)
		require.Equal(t, torch.Meta, w.Device())
		require.Equal(t, []int{bigRows, 1024}, w.Shape())
		require.Equal(t, torch.Float32, w.DType())
	})
	require.Less(t, read, 100<<10)
}
