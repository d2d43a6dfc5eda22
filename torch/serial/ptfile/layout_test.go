package ptfile_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/python"
	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/pickle"
	"github.com/golite/golite/torch/serial/ptfile"
)

// TestOldLayouts: PyTorch 1.6 to 2.0 wrote neither byteorder nor .format_version, and its archives are called
// otherwise.
func TestOldLayouts(t *testing.T) {
	path := filepath.Join(corpus, "tensor.pt")
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	want, err := readAll(raw)
	require.NoError(t, err)
	pkl, err := ptfile.PickleOf(path)
	require.NoError(t, err)
	f, err := ptfile.Open(path)
	require.NoError(t, err)
	defer f.Close()
	data := make([]byte, f.Storages()[0].Size)
	require.NoError(t, f.Storages()[0].Read(data))
	for name, records := range map[string][]string{
		"1.6":  {"archive/data.pkl", "archive/data/0", "archive/version"},
		"1.13": {"tensor/data.pkl", "tensor/data/0", "tensor/version"},
		"2.0":  {"tensor/data.pkl", "tensor/byteorder", "tensor/data/0", "tensor/version"},
		"2.1 to 2.5": {"tensor/data.pkl", "tensor/byteorder", "tensor/data/0", "tensor/version",
			"tensor/.data/serialization_id"},
		"2.6 and later": {"t/data.pkl", "t/.format_version", "t/.storage_alignment", "t/byteorder", "t/data/0", "t/version",
			"t/.data/serialization_id"},
	} {
		t.Run(name, func(t *testing.T) {
			bodies := make([][]byte, len(records))
			for i, r := range records {
				bodies[i] = map[string][]byte{"data.pkl": pkl, "0": data, "version": []byte("3\n"), "byteorder": []byte("little"),
					".format_version": []byte("1"), ".storage_alignment": []byte("64"),
					"serialization_id": []byte("1")}[filepath.Base(r)]
			}
			var w buffer
			require.NoError(t, ptfile.RawRecords(&w, records, bodies))
			got, err := readAll(w.b)
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
}

// TestFlipsInEveryChunk: a record of several chunks, summed by several workers, hides no flipped bit in any of them.
func TestFlipsInEveryChunk(t *testing.T) {
	mem := make([]byte, 9<<20+123)
	for i := range mem {
		mem[i] = byte(i >> 8)
	}
	s := ptfile.NewMemoryStorage(mem, "uint8", "cpu")
	a, err := ptfile.NewArchive(&ptfile.Tensor{DType: "uint8", Shape: []int{len(mem)}, Strides: []int{1}, Storage: s,
		Layout: ptfile.Strided}, ptfile.Options{})
	require.NoError(t, err)
	var w buffer
	require.NoError(t, a.WriteTo(&w, 0))
	start := bytes.Index(w.b, mem[:4096])
	for _, at := range []int{0, 1 << 20, 4<<20 - 1, 4 << 20, 5<<20 + 7, 8 << 20, 9 << 20, len(mem) - 1} {
		w.b[start+at] ^= 0x10
		f, err := ptfile.Read(bytes.NewReader(w.b), int64(len(w.b)), "flipped.pt")
		require.NoError(t, err)
		var c *errs.ErrCorrupt
		require.ErrorAs(t, f.Storages()[0].Read(make([]byte, len(mem))), &c, "byte %d", at)
		require.Equal(t, "archive/data/0", c.Record)
		require.ErrorAs(t, f.Storages()[0].Verify(), &c, "byte %d", at)
		w.b[start+at] ^= 0x10
	}
	f, err := ptfile.Read(bytes.NewReader(w.b), int64(len(w.b)), "sound.pt")
	require.NoError(t, err)
	require.NoError(t, f.Storages()[0].Read(make([]byte, len(mem))))
}

// zeros is a file of nothing but zeros.
type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) { clear(p); return len(p), nil }

// sparse leaves holes where zeros are written.
type sparse struct{ *os.File }

func (f sparse) WriteAt(p []byte, off int64) (int, error) {
	const line = 64 << 10
	for from := 0; from < len(p); from += line {
		part := p[from:min(from+line, len(p))]
		if bytes.Count(part, []byte{0}) == len(part) {
			continue
		}
		if n, err := f.File.WriteAt(part, off+int64(from)); err != nil {
			return from + n, err
		}
	}
	return len(p), nil
}

// TestBeyondFourGigabytes: sizes and places of 64 bits are written so that Go and Python read them.
func TestBeyondFourGigabytes(t *testing.T) {
	if testing.Short() {
		t.Skip("it sums up 4 GiB")
	}
	const large = 1<<32 + 1<<20
	path := filepath.Join(t.TempDir(), "large.pt")
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	d := pickle.NewDict(pickle.PlainDict)
	small := binary.LittleEndian.AppendUint32(nil, 0x40490fdb)
	for _, kv := range []struct {
		k string
		t *ptfile.Tensor
	}{
		{"large", &ptfile.Tensor{DType: "int8", Shape: []int{large}, Storage: ptfile.NewReaderStorage(zeros{}, 0, large, "int8", "cpu")}},
		{"behind", &ptfile.Tensor{DType: "float32", Shape: []int{1}, Storage: ptfile.NewMemoryStorage(small, "float32", "cpu")}},
	} {
		kv.t.Strides, kv.t.Layout = []int{1}, ptfile.Strided
		require.NoError(t, d.Set(kv.k, kv.t))
	}
	a, err := ptfile.NewArchive(d, ptfile.Options{})
	require.NoError(t, err)
	require.NoError(t, f.Truncate(a.Size()))
	require.NoError(t, a.WriteTo(sparse{f}, 0))
	got, err := ptfile.Open(path)
	require.NoError(t, err)
	defer got.Close()
	v, _ := got.Root.(*pickle.Dict).Get("behind")
	p := make([]byte, 4)
	require.NoError(t, v.(*ptfile.Tensor).Storage.Read(p))
	require.Equal(t, small, p)
	v, _ = got.Root.(*pickle.Dict).Get("large")
	require.Equal(t, int64(large), v.(*ptfile.Tensor).Storage.Size)
	_, err = v.(*ptfile.Tensor).Storage.ReadAt(p, large-4)
	require.NoError(t, err)
	checkInPython(t, fmt.Sprintf("d = load(%q, mmap=True); assert d['large'].numel() == %d and d['large'][-1] == 0; "+
		"assert d['behind'].item() == 3.1415927410125732", path, large))
}

// checkInPython runs lines of Python; load is torch.load(weights_only=True).
func checkInPython(t *testing.T, lines string) {
	t.Helper()
	py := python.Find(t)
	out, err := exec.Command(py, "-c",
		"import torch, functools\nload = functools.partial(torch.load, weights_only=True)\n"+lines).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// TestPythonMapsOurFiles: torch.load(mmap=True) gives the values that reading gives, and finds every storage where
// processors like it.
func TestPythonMapsOurFiles(t *testing.T) {
	var paths []string
	for _, name := range []string{"views.pt", "dtypes.pt", "adam.pt", "transformer.pt", "legacy_types.pt"} {
		f, err := ptfile.Open(filepath.Join(corpus, name))
		require.NoError(t, err)
		defer f.Close()
		a, err := ptfile.NewArchive(f.Root, ptfile.Options{})
		require.NoError(t, err)
		w, err := os.Create(filepath.Join(t.TempDir(), name))
		require.NoError(t, err)
		require.NoError(t, a.WriteTo(w, 0))
		require.NoError(t, w.Close())
		paths = append(paths, w.Name())
	}
	checkInPython(t, fmt.Sprintf(`
def tensors(v):
    if isinstance(v, torch.Tensor): yield v
    for x in v.values() if isinstance(v, dict) else v if isinstance(v, (list, tuple)) else (): yield from tensors(x)
def raw(t):
    return bytes(t.untyped_storage())
n = 0
for p in %q.split("\n"):
    mapped, read = list(tensors(load(p, mmap=True))), list(tensors(load(p)))
    assert len(mapped) == len(read) > 0
    for a, b in zip(mapped, read):
        assert a.dtype == b.dtype and a.shape == b.shape and a.stride() == b.stride() and raw(a) == raw(b), (p, a, b)
        if a.untyped_storage().nbytes():
            assert a.untyped_storage().data_ptr() %% 64 == 0, p
            n += 1
assert n > 60, n
`, strings.Join(paths, "\n")))
}
