package atomicfile_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/atomicfile"
)

func text(s string) func(io.WriterAt) error {
	return func(w io.WriterAt) error {
		_, err := w.WriteAt([]byte(s), 0)
		return err
	}
}

func TestWriteMakesFolders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "c.txt")
	require.NoError(t, atomicfile.Write(atomicfile.OS, path, 5, text("hello")))
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))
}

func TestFailedFillLeavesTheOldFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	require.NoError(t, atomicfile.Write(atomicfile.OS, path, 3, text("old")))
	wrong := errors.New("wrong")
	err := atomicfile.Write(atomicfile.OS, path, 3, func(w io.WriterAt) error {
		require.NoError(t, text("ne")(w))
		return wrong
	})
	require.ErrorIs(t, err, wrong)
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "old", string(got))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

func TestNoRoom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	require.ErrorIs(t, atomicfile.Write(atomicfile.OS, path, 1<<60, text("x")), atomicfile.ErrNoSpace)
	require.NoFileExists(t, path)
}

// TestLeftovers: what a killed writer left is removed, what a living one holds is not.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	dead := filepath.Join(dir, ".a.tmp-DEAD")
	require.NoError(t, os.WriteFile(dead, []byte("half"), 0o644))
	living, err := atomicfile.OS.Create(filepath.Join(dir, ".a.tmp-LIVING"), 0o644)
	require.NoError(t, err)
	require.True(t, atomicfile.IsTemp(".a.tmp-LIVING"))
	require.False(t, atomicfile.IsTemp("a.tmp-1"))
	require.NoError(t, atomicfile.Write(atomicfile.OS, path, 1, text("x")))
	require.NoFileExists(t, dead)
	require.FileExists(t, filepath.Join(dir, ".a.tmp-LIVING"))
	require.NoError(t, living.Close())
	require.NoError(t, atomicfile.Write(atomicfile.OS, path, 1, text("y")))
	require.NoFileExists(t, filepath.Join(dir, ".a.tmp-LIVING"))
}
