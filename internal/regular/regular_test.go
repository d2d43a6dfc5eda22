package regular_test

import (
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/golite/golite/internal/regular"
)

// within fails where f takes longer than what reads a few bytes ever does.
func within(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("it blocks")
	}
}

// odd makes one of each type of file that is not regular, by the words for it. The devices need root, as the tests of
// CI are.
func odd(t *testing.T) map[string]string {
	dir := t.TempDir()
	paths := map[string]string{
		"named pipe": filepath.Join(dir, "pipe"), "folder": dir, "socket": filepath.Join(dir, "s"),
		"character device": filepath.Join(dir, "zero"), "block device": filepath.Join(dir, "block"),
	}
	require.NoError(t, unix.Mkfifo(paths["named pipe"], 0o600))
	l, err := net.Listen("unix", paths["socket"])
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	if os.Getuid() != 0 {
		t.Log("without root there are no devices of the test's own: /dev/zero is looked at alone")
		paths["character device"] = "/dev/zero"
		delete(paths, "block device")
		return paths
	}
	require.NoError(t, unix.Mknod(paths["character device"], unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5))))
	require.NoError(t, unix.Mknod(paths["block device"], unix.S_IFBLK|0o600, int(unix.Mkdev(7, 250))))
	return paths
}

func TestOpenRefusesByName(t *testing.T) {
	for kind, path := range odd(t) {
		link := filepath.Join(t.TempDir(), "link")
		require.NoError(t, os.Symlink(path, link))
		for _, name := range []string{path, link} {
			within(t, func() {
				f, _, err := regular.Open(name)
				require.Nil(t, f)
				require.EqualError(t, err, name+" is a "+kind+"; want a regular file")
				_, err = regular.ReadFile(name, 100)
				var e *regular.Error
				require.ErrorAs(t, err, &e, kind)
			})
		}
	}
}

func TestOpenRegular(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	require.NoError(t, os.WriteFile(path, []byte("hello"), 0o600))
	link := path + "-link"
	require.NoError(t, os.Symlink("a", link))
	for _, name := range []string{path, link} {
		f, st, err := regular.Open(name)
		require.NoError(t, err)
		require.EqualValues(t, 5, st.Size())
		raw, err := io.ReadAll(f)
		require.NoError(t, err)
		require.Equal(t, "hello", string(raw))
		require.NoError(t, f.Close())
	}
	_, _, err := regular.Open(path + "-nowhere")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.EqualError(t, err, "open "+path+"-nowhere: no such file or directory")
	f, _, err := regular.OpenNoFollow(path)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	_, _, err = regular.OpenNoFollow(link)
	require.EqualError(t, err, link+" is a symbolic link; want a regular file")
}

func TestReadFileIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	require.NoError(t, os.WriteFile(path, []byte("hello"), 0o600))
	raw, err := regular.ReadFile(path, 5)
	require.NoError(t, err)
	require.Equal(t, "hello", string(raw))
	_, err = regular.ReadFile(path, 4)
	require.EqualError(t, err, path+" has more than 4 bytes, the most that is read of such a file")
	require.NoError(t, os.Truncate(path, 1<<40)) // sparse: to read it whole would take all memory
	_, err = regular.ReadFile(path, 1<<20)
	require.ErrorContains(t, err, "more than 1048576 bytes")
	if runtime.GOOS == "linux" {
		raw, err = regular.ReadFile("/proc/self/stat", 1<<20)
		require.NoError(t, err)
		require.NotEmpty(t, raw, "its size is 0, its content is not")
	}
}
