// Package atomicfile replaces files as a whole: whatever is killed when, the target is the old file or the new one.
//
// Write fills a temporary file beside the target, syncs it, renames it over the target and syncs the folder. A failed
// write leaves the old file as it was and removes its temporary. The disk is checked for room before the first byte.
package atomicfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/golite/golite/internal/regular"
)

// File is an open temporary file.
type File interface {
	io.WriterAt
	Sync() error
	Close() error
}

// FS is what Write needs of a file system; package faultfs implements it with faults.
type FS interface {
	// Create makes a new file; it fails if path exists. It gets the given permissions exactly, or with mode 0 those that
	// new files have.
	Create(path string, mode fs.FileMode) (File, error)
	Rename(from, to string) error
	Remove(path string) error
	// SyncDir makes the names in a folder durable.
	SyncDir(dir string) error
	// Free returns how many bytes a user may still write in the folder's file system, or -1 where it can't be told.
	Free(dir string) (int64, error)
}

// ErrNoSpace is wrapped by the error of a Write that finds too little room on the disk before it begins.
var ErrNoSpace = errors.New("not enough room on the disk")

// Write replaces the file at path by size bytes that fill writes, atomically and durably. Folders on the way are made.
// A symbolic link at path stays, and its target is replaced. An existing file's permissions are kept. A named pipe,
// socket or device at path is refused and stays: the bytes are written at their places, by several goroutines, which
// only a file takes.
func Write(fsys FS, path string, size int64, fill func(w io.WriterAt) error) error {
	if path == "" {
		return errors.New("save: the path is empty; give the name of a file")
	}
	if err := write(fsys, path, size, fill); err != nil {
		return fmt.Errorf("save %s: %w", path, err)
	}
	return nil
}

func write(fsys FS, path string, size int64, fill func(w io.WriterAt) error) error {
	target, mode, err := resolve(path)
	if err != nil {
		return err
	}
	if name := filepath.Base(target); IsTemp(name) {
		return fmt.Errorf("%s is a name of temporary files, which a save of %s removes; give another name", name,
			TempOf(name))
	}
	dir := filepath.Dir(target)
	if err := makeDirs(fsys, dir); err != nil {
		return err
	}
	own := stem(filepath.Base(target))
	// Leftovers of killed writers of this file; an error doesn't matter: a leftover costs room, no more.
	_ = Sweep(OS, dir, func(name string) bool { return name == own })
	free, err := fsys.Free(dir)
	if err != nil {
		return err
	}
	if free >= 0 && free < size {
		return fmt.Errorf("%w: %d bytes are needed in %s, %d are free; the old file is untouched", ErrNoSpace, size, dir,
			free)
	}
	temp := tempName(target)
	f, err := fsys.Create(temp, mode)
	if err != nil {
		return err
	}
	err = fill(f)
	if err == nil {
		err = f.Sync()
	}
	if err == nil { // once more, as writing took its time: what changes in the microseconds before the rename is missed
		err = replaceable(target)
	}
	if err == nil { // before Close: while the file is open its lock keeps others from taking it for a leftover
		err = fsys.Rename(temp, target)
	}
	if err != nil {
		return errors.Join(err, f.Close(), ignoreMissing(fsys.Remove(temp)))
	}
	if err := errors.Join(f.Close(), fsys.SyncDir(dir)); err != nil {
		return fmt.Errorf("the new file is in place, but may not survive a power failure: %w", err)
	}
	return nil
}

// makeDirs makes a folder and those above it, and makes their names durable.
func makeDirs(fsys FS, dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if parent == dir {
		return os.MkdirAll(dir, 0o777)
	}
	if err := makeDirs(fsys, parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return fsys.SyncDir(parent)
}

// resolve follows a symbolic link and finds the permissions that the new file gets, 0 for those of new files.
func resolve(path string) (target string, mode fs.FileMode, err error) {
	if last := filepath.Base(path); os.IsPathSeparator(path[len(path)-1]) || last == "." || last == ".." {
		return "", 0, errFolder // also where there is none: nothing is made that the name does not say
	}
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		target, err = followDangling(path)
		return target, 0, err
	}
	if err != nil {
		return "", 0, err
	}
	if err := checkType(st.Mode()); err != nil {
		return "", 0, err
	}
	target, err = filepath.EvalSymlinks(path)
	return target, st.Mode().Perm(), err
}

var errFolder = errors.New("it is a folder; give the name of a file")

// checkType refuses what a rename must not replace.
func checkType(mode fs.FileMode) error {
	switch {
	case mode.IsRegular():
		return nil
	case mode.IsDir():
		return errFolder
	}
	return fmt.Errorf("it is a %s, which stays as it is: a save replaces the file as a whole; "+
		"give the name of a regular file, or of none", regular.Kind(mode))
}

// replaceable looks at the type of a name's own file, links not followed.
func replaceable(target string) error {
	st, err := os.Lstat(target)
	if err != nil {
		return ignoreMissing(err)
	}
	return checkType(st.Mode())
}

// followDangling follows symbolic links to the file that they name and that is not there yet.
func followDangling(path string) (string, error) {
	for range 40 { // as many as Linux follows
		to, err := os.Readlink(path)
		if err != nil {
			return path, nil // it is no link
		}
		if to == "" || os.IsPathSeparator(to[len(to)-1]) {
			return "", fmt.Errorf("it is a link to %s: %w", to, errFolder)
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
	}
	return "", fmt.Errorf("too many symbolic links")
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
