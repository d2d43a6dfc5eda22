package atomicfile_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
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
	dead := filepath.Join(dir, ".a.tmp-DEADDEADDEAD")
	require.NoError(t, os.WriteFile(dead, []byte("half"), 0o644))
	living, err := atomicfile.OS.Create(filepath.Join(dir, ".a.tmp-LIVINGLIVING"), 0o644)
	require.NoError(t, err)
	require.True(t, atomicfile.IsTemp(".a.tmp-LIVINGLIVING"))
	for _, other := range []string{"a.tmp-LIVINGLIVING", ".a.tmp-1", ".a.tmp-livingliving", ".tmp-LIVINGLIVING"} {
		require.False(t, atomicfile.IsTemp(other), other)
	}
	require.NoError(t, atomicfile.Write(atomicfile.OS, path, 1, text("x")))
	require.NoFileExists(t, dead)
	require.FileExists(t, filepath.Join(dir, ".a.tmp-LIVINGLIVING"))
	require.NoError(t, living.Close())
	require.NoError(t, atomicfile.Write(atomicfile.OS, path, 1, text("y")))
	require.NoFileExists(t, filepath.Join(dir, ".a.tmp-LIVINGLIVING"))
}

// TestSweep removes the leftovers of files that match, and touches nothing else.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	leftover := func(name string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte("half"), 0o644))
		return path
	}
	a, b, other := leftover(".step-1.pt.tmp-AAAAAAAAAAAA"), leftover(".step-2.pt.tmp-BBBBBBBBBBBB"),
		leftover(".swap.tmp-123")
	c := leftover(".else.tmp-CCCCCCCCCCCC")
	living, err := atomicfile.OS.Create(filepath.Join(dir, ".step-3.pt.tmp-DDDDDDDDDDDD"), 0)
	require.NoError(t, err)
	defer living.Close()
	require.NoError(t, atomicfile.Sweep(atomicfile.OS, dir, func(name string) bool { return name != "else" }))
	require.NoFileExists(t, a)
	require.NoFileExists(t, b)
	for _, path := range []string{other, c, filepath.Join(dir, ".step-3.pt.tmp-DDDDDDDDDDDD")} {
		require.FileExists(t, path)
	}
	require.NoError(t, atomicfile.Sweep(atomicfile.OS, filepath.Join(dir, "nowhere"), atomicfile.IsTemp))
}

// TestDanglingLink: a link to a file that is not there yet stays a link, and the file is made where it points.
func TestDanglingLink(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Symlink("second", filepath.Join(dir, "first")))
	require.NoError(t, os.Symlink(filepath.Join("sub", "real"), filepath.Join(dir, "second")))
	require.NoError(t, atomicfile.Write(atomicfile.OS, filepath.Join(dir, "first"), 1, text("x")))
	for _, link := range []string{"first", "second"} {
		st, err := os.Lstat(filepath.Join(dir, link))
		require.NoError(t, err)
		require.NotZero(t, st.Mode()&os.ModeSymlink, link)
	}
	got, err := os.ReadFile(filepath.Join(dir, "sub", "real"))
	require.NoError(t, err)
	require.Equal(t, "x", string(got))
	require.NoError(t, os.Symlink("loop", filepath.Join(dir, "loop")))
	require.Error(t, atomicfile.Write(atomicfile.OS, filepath.Join(dir, "loop"), 1, text("x")))
}

// TestPermissions: an existing file's are kept, also those that the umask would take; a new file has the usual ones.
func TestPermissions(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o027))
	path := filepath.Join(t.TempDir(), "a")
	mode := func() os.FileMode {
		st, err := os.Stat(path)
		require.NoError(t, err)
		return st.Mode().Perm()
	}
	require.NoError(t, atomicfile.Write(atomicfile.OS, path, 1, text("x")))
	require.Equal(t, os.FileMode(0o640), mode())
	for _, want := range []os.FileMode{0o666, 0o600, 0o664} {
		require.NoError(t, os.Chmod(path, want))
		require.NoError(t, atomicfile.Write(atomicfile.OS, path, 1, text("y")))
		require.Equal(t, want, mode())
	}
}
