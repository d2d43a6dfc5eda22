package safetensors_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/internal/describe"
	"github.com/golite/golite/torch/serial/ptfile"
	"github.com/golite/golite/torch/serial/safetensors"
)

type buffer struct {
	mu sync.Mutex
	b  []byte
}

func (w *buffer) WriteAt(p []byte, off int64) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if need := int(off) + len(p); need > len(w.b) {
		w.b = append(w.b, make([]byte, need-len(w.b))...)
	}
	return copy(w.b[off:], p), nil
}

func readAll(raw []byte) (string, error) {
	f, err := safetensors.Read(bytes.NewReader(raw), int64(len(raw)), "test")
	if err != nil {
		return "", err
	}
	if _, err := f.Verify(); err != nil {
		return "", err
	}
	var all []any
	for _, n := range f.Names {
		t, _ := f.Tensor(n)
		all = append(all, n, t)
	}
	for k, v := range f.Metadata {
		all = append(all, k, v)
	}
	return describe.JSON(all)
}

func typed(t *testing.T, err error) {
	t.Helper()
	var c *errs.ErrCorrupt
	var n *errs.ErrUnsupported
	require.True(t, errors.As(err, &c) || errors.As(err, &n), "%T: %v", err, err)
}

func small(t testing.TB) []byte {
	t.Helper()
	base := ptfile.NewMemoryStorage([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, "int16", "cpu")
	a, err := safetensors.NewArchive([]safetensors.Named{
		{Name: "bytes", Tensor: &ptfile.Tensor{DType: "uint8", Shape: []int{3}, Strides: []int{1}, Layout: ptfile.Strided, Storage: ptfile.NewMemoryStorage([]byte{7, 8, 9}, "uint8", "cpu")}},
		{Name: "transposed", Tensor: &ptfile.Tensor{DType: "int16", Shape: []int{3, 2}, Strides: []int{1, 3}, Layout: ptfile.Strided, Storage: base}},
	}, map[string]string{"note": "<é>"})
	require.NoError(t, err)
	var w buffer
	require.NoError(t, a.WriteTo(&w, 0))
	require.Equal(t, a.Size(), int64(len(w.b)))
	return w.b
}

func TestRoundTrip(t *testing.T) {
	f, err := safetensors.Read(bytes.NewReader(small(t)), int64(len(small(t))), "test")
	require.NoError(t, err)
	require.Equal(t, []string{"bytes", "transposed"}, f.Names)
	require.Equal(t, map[string]string{"note": "<é>"}, f.Metadata)
	require.True(t, f.Checksummed)
	x, _ := f.Tensor("transposed")
	got := make([]byte, 12)
	require.NoError(t, x.Storage.Read(got))
	require.Equal(t, []byte{1, 2, 7, 8, 3, 4, 9, 10, 5, 6, 11, 12}, got)
}

// TestEveryFlippedByte: golite's own files carry a checksum, and no flip changes a value unseen.
func TestEveryFlippedByte(t *testing.T) {
	raw := small(t)
	want, err := readAll(raw)
	require.NoError(t, err)
	for i := range raw {
		for _, mask := range []byte{0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff} {
			bad := bytes.Clone(raw)
			bad[i] ^= mask
			got, err := readAll(bad)
			if err != nil {
				typed(t, err)
			} else {
				require.Equal(t, want, got, "byte %d ^ %#x", i, mask)
			}
		}
	}
	for n := range raw {
		_, err := readAll(raw[:n])
		require.Error(t, err)
	}
}

// TestPlainFlips: files of others carry none. There, never a crash.
func TestPlainFlips(t *testing.T) {
	raw, err := os.ReadFile("../testdata/corpus/plain.safetensors")
	require.NoError(t, err)
	for i := range raw {
		for _, mask := range []byte{0x01, 0x10, 0xff} {
			bad := bytes.Clone(raw)
			bad[i] ^= mask
			if _, err := readAll(bad); err != nil {
				typed(t, err)
			}
		}
	}
}

func TestHostileHeaders(t *testing.T) {
	file := func(header string, data int) []byte {
		b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
		return append(append(b, header...), make([]byte, data)...)
	}
	for name, raw := range map[string][]byte{
		"empty file":       {},
		"huge header":      binary.LittleEndian.AppendUint64(nil, 1<<60),
		"no JSON":          file("hello", 0),
		"list":             file("[]", 0),
		"cut":              file(`{"a":`, 0),
		"no dtype":         file(`{"a":{"shape":[1],"data_offsets":[0,4]}}`, 4),
		"unknown dtype":    file(`{"a":{"dtype":"F7","shape":[1],"data_offsets":[0,4]}}`, 4),
		"key twice":        file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2),
		"overlap":          file(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}`, 3),
		"gap":              file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2),
		"beyond":           file(`{"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}}`, 2),
		"too little":       file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 2),
		"backwards":        file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}}`, 1),
		"negative":         file(`{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}`, 1),
		"fraction":         file(`{"a":{"dtype":"U8","shape":[1.5],"data_offsets":[0,1]}}`, 1),
		"overflow":         file(`{"a":{"dtype":"F64","shape":[4611686018427387904,4],"data_offsets":[0,0]}}`, 0),
		"number as text":   file(`{"__metadata__":{"a":1}}`, 0),
		"after the object": file(`{} {}`, 0),
		"unknown field":    file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}}`, 1),
		"damaged checksum": file(`{"__metadata__":{"golite.crc32":""}}`, 0),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readAll(raw)
			require.Error(t, err)
			typed(t, err)
		})
	}
}

func TestUnwritable(t *testing.T) {
	s := ptfile.NewMemoryStorage(make([]byte, 16), "complex128", "cpu")
	x := &ptfile.Tensor{DType: "complex128", Shape: []int{1}, Strides: []int{1}, Layout: ptfile.Strided, Storage: s}
	_, err := safetensors.NewArchive([]safetensors.Named{{Name: "x", Tensor: x}}, nil)
	var n *errs.ErrUnsupported
	require.ErrorAs(t, err, &n)
	x.DType = "float64"
	_, err = safetensors.NewArchive([]safetensors.Named{{Name: "x", Tensor: x}, {Name: "x", Tensor: x}}, nil)
	require.ErrorContains(t, err, "used twice")
}

// FuzzSafetensors feeds files to the reader: it must refuse them or read them, in bounded memory.
func FuzzSafetensors(f *testing.F) {
	f.Add(small(f))
	if raw, err := os.ReadFile("../testdata/corpus/plain.safetensors"); err == nil {
		f.Add(raw)
	}
	f.Add([]byte("\x02\x00\x00\x00\x00\x00\x00\x00{}"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := readAll(raw); err != nil {
			typed(t, err)
		}
	})
}
