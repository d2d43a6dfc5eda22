// Package regular opens files of which the name came from outside: regular ones alone.
//
// To open a named pipe blocks until another process opens its other end, a device may never end, and opening one can
// have effects. So the type is looked at before the file is opened, and once more when it is open, as it may have
// changed.
package regular

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// Error says that a file is of a type that can't be used in its place.
type Error struct {
	// Path is the file's name.
	Path string
	// Mode has the type that was found.
	Mode fs.FileMode
}

// Error names the file, what it is and what was expected.
func (e *Error) Error() string {
	return fmt.Sprintf("%s is a %s; want a regular file", e.Path, Kind(e.Mode))
}

// Kind names the type of a file.
func Kind(mode fs.FileMode) string {
	switch {
	case mode.IsRegular():
		return "regular file"
	case mode.IsDir():
		return "folder"
	case mode&fs.ModeSymlink != 0:
		return "symbolic link"
	case mode&fs.ModeNamedPipe != 0:
		return "named pipe"
	case mode&fs.ModeSocket != 0:
		return "socket"
	case mode&fs.ModeCharDevice != 0:
		return "character device"
	case mode&fs.ModeDevice != 0:
		return "block device"
	}
	return "file of an unknown type"
}

// Check returns an *Error for whatever is not a regular file.
func Check(path string, mode fs.FileMode) error {
	if mode.IsRegular() {
		return nil
	}
	return &Error{Path: path, Mode: mode}
}

// Open opens a regular file for reading; symbolic links are followed. It never blocks. The error for a file of another
// type is an *Error.
func Open(path string) (*os.File, fs.FileInfo, error) {
	return open(path, 0, os.Stat)
}

// OpenNoFollow is Open but for a symbolic link as the last element of the path, which is an *Error as well.
func OpenNoFollow(path string) (*os.File, fs.FileInfo, error) {
	return open(path, syscall.O_NOFOLLOW, os.Lstat)
}

func open(path string, flags int, look func(string) (fs.FileInfo, error)) (*os.File, fs.FileInfo, error) {
	st, err := look(path)
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		e.Op = "open" // what was attempted
	}
	if err == nil {
		err = Check(path, st.Mode())
	}
	if err != nil {
		return nil, nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|flags, 0)
	if err != nil {
		return nil, nil, err
	}
	if st, err = f.Stat(); err == nil {
		err = Check(path, st.Mode())
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, st, nil
}

// ReadFile reads a regular file of at most limit bytes whole.
func ReadFile(path string, limit int64) ([]byte, error) {
	f, _, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1)) // not by the size: that of a file in /proc is 0
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes, the most that is read of such a file", path, limit)
	}
	return raw, nil
}
