//go:build unix

package atomicfile

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/golite/golite/internal/regular"
)

// OS is the operating system's file system.
var OS FS = osFS{}

type osFS struct{}

// osFile is a temporary file whose large writes go to the disk at once.
type osFile struct{ *os.File }

// bigWrite is from where on a write is worth a hint to the kernel.
const bigWrite = 1 << 20

// WriteAt writes, and starts the way to the disk.
func (f osFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	if err == nil && n >= bigWrite {
		startWriteback(f.File, off, int64(n))
	}
	return n, err
}

// Create makes the file and locks it for as long as it is open, so that others see that its writer lives. If another
// writer took it for a leftover before it was locked, and removed it, it is made again.
func (osFS) Create(path string, mode fs.FileMode) (File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, cmp.Or(mode, 0o666))
		if err != nil {
			return nil, err
		}
		if mode != 0 {
			if err := f.Chmod(mode); err != nil { // past the umask
				return nil, errors.Join(err, f.Close(), os.Remove(path))
			}
		}
		// Some network file systems have no locks; the write is as atomic without one.
		_ = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		mine, err := f.Stat()
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		there, err := os.Stat(path)
		if err == nil && os.SameFile(mine, there) {
			return osFile{f}, nil
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: another file has taken its place", path)
		}
	}
}

func (osFS) Rename(from, to string) error { return os.Rename(from, to) }

func (osFS) Remove(path string) error { return os.Remove(path) }

func (osFS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, unix.EINVAL) { // file systems that can't sync a folder, such as some FUSE ones
		err = nil
	}
	return errors.Join(err, d.Close())
}

func (osFS) Free(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return -1, nil // no answer is no reason not to try
	}
	return int64(min(uint64(st.Bavail), 1<<62/uint64(max(st.Bsize, 1)))) * int64(st.Bsize), nil
}

// removeUnlocked removes a file that no living process holds, while holding it.
func removeUnlocked(fsys FS, path string) error {
	f, _, err := regular.OpenNoFollow(path)
	var other *regular.Error
	if errors.As(err, &other) { // its type changed after the folder was read
		return nil
	}
	if err != nil {
		return ignoreMissing(err)
	}
	defer f.Close()
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return nil
	}
	mine, err := f.Stat()
	if err != nil {
		return err
	}
	if there, err := os.Stat(path); err == nil && os.SameFile(mine, there) {
		return ignoreMissing(fsys.Remove(path))
	}
	return nil
}
