package atomicfile_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/golite/golite/internal/atomicfile"
)

// within fails where f takes longer than a small write ever does.
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

// oddFiles are the types of files that are not regular, by the words for them, each with what makes one. Only root
// makes devices.
func oddFiles(t *testing.T) map[string]func(path string) error {
	all := map[string]func(path string) error{
		"named pipe": func(path string) error { return unix.Mkfifo(path, 0o644) },
		"socket": func(path string) error {
			l, err := net.Listen("unix", path)
			if err == nil {
				t.Cleanup(func() { l.Close() })
			}
			return err
		},
		"character device": func(path string) error { return device(path, unix.S_IFCHR, 1, 3) },
		"block device":     func(path string) error { return device(path, unix.S_IFBLK, 7, 250) },
	}
	if os.Getuid() != 0 {
		t.Log("without root no devices can be made: named pipe and socket alone")
		delete(all, "character device")
		delete(all, "block device")
	}
	return all
}

func device(path string, kind, major, minor uint32) error {
	return unix.Mknod(path, kind|0o666, int(unix.Mkdev(major, minor)))
}

// identity is what a replaced file would not keep.
func identity(t *testing.T, path string) string {
	st, err := os.Lstat(path)
	require.NoError(t, err)
	s := st.Sys().(*syscall.Stat_t)
	return fmt.Sprint(st.Mode(), s.Ino, s.Rdev)
}

// TestOnlyRegularFilesAreReplaced: a pipe, socket or device stays what it is, whether it is named itself or by a link,
// and whether it was there before or took the name while the file was being written.
func TestOnlyRegularFilesAreReplaced(t *testing.T) {
	for kind, create := range oddFiles(t) {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			path, link := filepath.Join(dir, "x"), filepath.Join(dir, "link")
			require.NoError(t, create(path))
			require.NoError(t, os.Symlink("x", link))
			was := identity(t, path)
			for _, name := range []string{path, link} {
				within(t, func() {
					err := atomicfile.Write(atomicfile.OS, name, 1, text("x"))
					require.EqualError(t, err, "save "+name+": it is a "+kind+", which stays as it is: a save replaces the "+
						"file as a whole; give the name of a regular file, or of none")
				})
			}
			require.Equal(t, was, identity(t, path))

			late := filepath.Join(dir, "late")
			for _, before := range []bool{false, true} {
				if before {
					require.NoError(t, os.Remove(late))
					require.NoError(t, os.WriteFile(late, []byte("old"), 0o644))
				}
				within(t, func() {
					err := atomicfile.Write(atomicfile.OS, late, 1, func(w io.WriterAt) error {
						if err := os.Remove(late); before && err != nil {
							return err
						}
						if err := create(late); err != nil {
							return err
						}
						was = identity(t, late)
						return text("x")(w)
					})
					require.ErrorContains(t, err, "it is a "+kind)
				})
				require.Equal(t, was, identity(t, late))
			}
			names, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Len(t, names, 3, "nothing is left behind: %v", names)
		})
	}
}

// TestStdout: where the name leads to a pipe by way of /proc, the error says that and not that there is no such file.
func TestStdout(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	path := fmt.Sprintf("/dev/fd/%d", w.Fd())
	require.ErrorContains(t, atomicfile.Write(atomicfile.OS, path, 1, text("x")), "it is a named pipe")
}

// TestNamedAsATemporary: what has such a name and is not a regular file is no leftover. It is passed over, and
// nothing waits for a pipe's other end.
func TestNamedAsATemporary(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	odd := oddFiles(t)
	odd["folder"] = func(path string) error { return os.Mkdir(path, 0o755) }
	odd["link"] = func(path string) error { return os.Symlink(filepath.Join(dir, "pipe"), path) }
	require.NoError(t, unix.Mkfifo(filepath.Join(dir, "pipe"), 0o644))
	var made []string
	for kind, create := range odd {
		random := strings.ToUpper((strings.ReplaceAll(kind, " ", "") + "aaaaaaaaaaaa")[:12])
		made = append(made, filepath.Join(dir, ".a.tmp-"+random))
		require.NoError(t, create(made[len(made)-1]))
	}
	dead := filepath.Join(dir, ".a.tmp-DEADDEADDEAD")
	require.NoError(t, os.WriteFile(dead, []byte("half"), 0o644))
	within(t, func() {
		require.NoError(t, atomicfile.Write(atomicfile.OS, path, 1, text("x")))
		require.NoError(t, atomicfile.Sweep(atomicfile.OS, dir, func(string) bool { return true }))
	})
	require.NoFileExists(t, dead)
	for _, name := range made {
		require.True(t, atomicfile.IsTemp(filepath.Base(name)), name)
		_, err := os.Lstat(name)
		require.NoError(t, err)
	}
}

// TestLongNames: all that the file system takes can be saved, and the leftover of a killed writer of such a name is
// found.
func TestLongNames(t *testing.T) {
	for _, unit := range []string{"x", "é", "語"} {
		dir := t.TempDir()
		for n := 200; n <= 255; n++ {
			name := strings.Repeat(unit, n/len(unit)) + strings.Repeat("y", n%len(unit))
			path := filepath.Join(dir, name)
			require.NoError(t, atomicfile.Write(atomicfile.OS, path, 1, func(w io.WriterAt) error {
				temp := ""
				entries, err := os.ReadDir(dir)
				require.NoError(t, err)
				for _, e := range entries {
					if atomicfile.IsTemp(e.Name()) {
						temp = e.Name()
					}
				}
				require.NotEmpty(t, temp)
				require.Equal(t, n <= 237, atomicfile.TempOf(temp) == name)
				require.Equal(t, temp, strings.ToValidUTF8(temp, "?"))
				leftover := temp[:len(temp)-12] + "DEADDEADDEAD"
				require.NoError(t, os.WriteFile(filepath.Join(dir, leftover), nil, 0o644))
				return text("1")(w)
			}), "%d bytes", n)
			require.NoError(t, atomicfile.Write(atomicfile.OS, path, 1, text("2")))
			raw, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, "2", string(raw))
		}
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, entries, 56, "the files alone")
	}
	err := atomicfile.Write(atomicfile.OS, filepath.Join(t.TempDir(), strings.Repeat("x", 256)), 1, text("x"))
	require.ErrorIs(t, err, syscall.ENAMETOOLONG)
}

// TestNoFileName: a name that no file can have is refused, and leaves nothing.
func TestNoFileName(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	require.NoError(t, os.Mkdir("there", 0o755))
	for path, want := range map[string]string{
		"":           "save: the path is empty; give the name of a file",
		"new/":       "save new/: it is a folder; give the name of a file",
		"a/b/":       "save a/b/: it is a folder; give the name of a file",
		"new/.":      "save new/.: it is a folder; give the name of a file",
		"new/..":     "save new/..: it is a folder; give the name of a file",
		".":          "save .: it is a folder; give the name of a file",
		"/":          "save /: it is a folder; give the name of a file",
		"there":      "save there: it is a folder; give the name of a file",
		"there/":     "save there/: it is a folder; give the name of a file",
		"no\x00name": "save no\x00name: stat no\x00name: invalid argument",
	} {
		require.EqualError(t, atomicfile.Write(atomicfile.OS, path, 1, text("x")), want)
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	entries, err = os.ReadDir("there")
	require.NoError(t, err)
	require.Empty(t, entries)
}

// TestALinkToAFolderThatIsNotThere: no file is made that can't be opened by the name it was saved under.
func TestALinkToAFolderThatIsNotThere(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink("folder/", link))
	err := atomicfile.Write(atomicfile.OS, link, 1, text("x"))
	require.EqualError(t, err, "save "+link+": it is a link to folder/: it is a folder; give the name of a file")
	require.NoFileExists(t, filepath.Join(dir, "folder"))
}

// TestATemporarysName: a file of such a name would be removed by the next save of another.
func TestATemporarysName(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, ".a.pt.tmp-ABCDEFGHIJKL")
	link := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink(filepath.Base(path), link))
	for _, name := range []string{path, link} {
		err := atomicfile.Write(atomicfile.OS, name, 1, text("x"))
		require.ErrorContains(t, err, "is a name of temporary files, which a save of a.pt removes; give another name")
		require.NoFileExists(t, path)
	}
}
