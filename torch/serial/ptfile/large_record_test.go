package ptfile_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/ptfile"
)

// TestLargePickle: a pickle of more than 64 MiB is not held in memory beside its values, and its checksum counts all
// the same.
func TestLargePickle(t *testing.T) {
	const size = 65 << 20
	pkl := append([]byte("\x80\x04"), binary.LittleEndian.AppendUint32([]byte{'B'}, size)...)
	pkl = append(append(pkl, bytes.Repeat([]byte("7"), size)...), "0K\x07."...) // bytes that are dropped, then a 7
	path := filepath.Join(t.TempDir(), "a.pt")
	f, err := os.Create(path)
	require.NoError(t, err)
	require.NoError(t, ptfile.RawArchive(f, pkl))
	require.NoError(t, f.Close())
	read, err := ptfile.Open(path)
	require.NoError(t, err)
	require.Equal(t, 7, read.Root)
	require.NoError(t, read.Close())

	f, err = os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte("8"), size/2)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	_, err = ptfile.Open(path)
	var damage *errs.ErrCorrupt
	require.ErrorAs(t, err, &damage)
	require.Equal(t, "archive/data.pkl", damage.Record)
	require.Contains(t, damage.Reason, "checksum mismatch")
}

// TestSparseFiles: a file costs its maker nothing, whatever its size, and must not cost its reader all memory.
func TestSparseFiles(t *testing.T) {
	var w buffer
	records := [][]byte{[]byte("\x80\x02N."), make([]byte, 64<<20+1)}
	require.NoError(t, ptfile.RawRecords(&w, []string{"a/data.pkl", "a/version"}, records))
	_, err := ptfile.Read(bytes.NewReader(w.b), int64(len(w.b)), "test.pt")
	var damage *errs.ErrCorrupt
	require.ErrorAs(t, err, &damage)
	require.Equal(t, "a/version", damage.Record)
	require.Contains(t, damage.Reason, "67108865 bytes, want 67108864 at most")

	path := filepath.Join(t.TempDir(), "directory.pt")
	f, err := os.Create(path)
	require.NoError(t, err)
	const size = 1 << 43
	le := binary.LittleEndian
	tail := append([]byte("PK\x06\x06"), make([]byte, 52)...)
	le.PutUint64(tail[32:], 1)
	le.PutUint64(tail[40:], size)
	tail = le.AppendUint64(append(tail, "PK\x06\x07\x00\x00\x00\x00"...), size)
	tail = append(le.AppendUint32(tail, 1), "PK\x05\x06\x00\x00\x00\x00"...)
	tail = append(append(tail, bytes.Repeat([]byte{0xff}, 12)...), 0, 0)
	_, err = f.WriteAt([]byte("PK\x03\x04"), 0)
	require.NoError(t, err)
	_, err = f.WriteAt(tail, size)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	_, err = ptfile.Open(path)
	var unsafe *errs.ErrUnsafe
	require.ErrorAs(t, err, &unsafe, "%v", err)
	require.Contains(t, unsafe.Reason, "its zip directory has 8796093022208 bytes")
}
