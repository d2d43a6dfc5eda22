package ptfile_test

import (
	"bytes"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/internal/describe"
	"github.com/golite/golite/torch/serial/pickle"
	"github.com/golite/golite/torch/serial/ptfile"
)

// buffer is a file in memory.
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

// readAll reads a checkpoint whole, every storage with its checksum, and describes it.
func readAll(raw []byte) (string, error) {
	f, err := ptfile.Read(bytes.NewReader(raw), int64(len(raw)), "test.pt")
	if err != nil {
		return "", err
	}
	for _, s := range f.Storages() {
		if err := s.Read(make([]byte, s.Size)); err != nil {
			return "", err
		}
	}
	return describe.JSON(f.Root)
}

// typed requires one of the package's own errors.
func typed(t *testing.T, err error) {
	t.Helper()
	var c *errs.ErrCorrupt
	var u *errs.ErrUnsafe
	var n *errs.ErrUnsupported
	require.True(t, errors.As(err, &c) || errors.As(err, &u) || errors.As(err, &n), "%T: %v", err, err)
}

func smallArchive(t *testing.T) []byte {
	t.Helper()
	s := ptfile.NewMemoryStorage([]byte("\x00\x00\x80\x3f\x00\x00\x00\x40\x00\x00\x40\x40"), "float32", "cpu")
	d := pickle.NewDict(pickle.OrderedDict)
	require.NoError(t, d.Set("w", &ptfile.Tensor{DType: "float32", Shape: []int{3}, Strides: []int{1}, Storage: s,
		Layout: ptfile.Strided}))
	require.NoError(t, d.Set("step", 7))
	a, err := ptfile.NewArchive(d, ptfile.Options{})
	require.NoError(t, err)
	var w buffer
	require.NoError(t, a.WriteTo(&w, 0))
	return w.b
}

// TestEveryFlippedByte damages each byte of small zip checkpoints, of torch's and of golite's making, in several ways:
// the reader must say so, or give the same values.
func TestEveryFlippedByte(t *testing.T) {
	theirs, err := os.ReadFile(filepath.Join(corpus, "tensor.pt"))
	require.NoError(t, err)
	for name, raw := range map[string][]byte{"torch": theirs, "golite": smallArchive(t)} {
		t.Run(name, func(t *testing.T) {
			want, err := readAll(raw)
			require.NoError(t, err)
			refused := 0
			for i := range raw {
				for _, mask := range []byte{0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff} {
					bad := bytes.Clone(raw)
					bad[i] ^= mask
					got, err := readAll(bad)
					if err != nil {
						typed(t, err)
						refused++
					} else {
						require.Equal(t, want, got, "byte %d ^ %#x gives other values silently", i, mask)
					}
				}
			}
			require.Greater(t, refused, len(raw))
		})
	}
}

func TestEveryTruncation(t *testing.T) {
	for _, name := range []string{"tensor.pt", "views.pt", "legacy_views.pt", "legacy_adam.pt"} {
		raw, err := os.ReadFile(filepath.Join(corpus, name))
		require.NoError(t, err)
		for n := range raw {
			_, err := readAll(raw[:n])
			require.Error(t, err, "%s cut to %d bytes", name, n)
			typed(t, err)
		}
		_, err = readAll(append(bytes.Clone(raw), 'x'))
		require.Error(t, err, "%s with a byte more", name)
	}
}

// TestLegacyFlips: the legacy format has no checksum, so wrong values can pass; a crash can't.
func TestLegacyFlips(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(corpus, "legacy_views.pt"))
	require.NoError(t, err)
	refused := 0
	for i := range raw {
		for _, mask := range []byte{0x01, 0x80} {
			bad := bytes.Clone(raw)
			bad[i] ^= mask
			if _, err := readAll(bad); err != nil {
				typed(t, err)
				refused++
			}
		}
	}
	require.Greater(t, refused, 0)
}

func TestDamagedStorageNamesItsRecord(t *testing.T) {
	raw := smallArchive(t)
	at := bytes.Index(raw, []byte("\x00\x00\x80\x3f"))
	raw[at] ^= 1
	_, err := readAll(raw)
	var c *errs.ErrCorrupt
	require.ErrorAs(t, err, &c)
	require.Equal(t, "test.pt", c.File)
	require.Equal(t, "archive/data/0", c.Record)
	require.Equal(t, int64(at), c.Offset)
}

func TestCombineCRC(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		p := make([]byte, r.IntN(5000))
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		cut := r.IntN(len(p) + 1)
		got := ptfile.CombineCRC(crc32.ChecksumIEEE(p[:cut]), crc32.ChecksumIEEE(p[cut:]), int64(len(p)-cut))
		require.Equal(t, crc32.ChecksumIEEE(p), got)
	}
}

// allocated runs f and returns the bytes that it allocated.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
