// Package faultfs is a file system for tests in which things go wrong on order: any operation can fail, the disk can be
// full, and the machine can crash, which loses what was not synced.
//
// It wraps the real file system, so that what a failed save leaves behind is on a real disk, to be looked at.
package faultfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/golite/golite/internal/atomicfile"
)

// Op is a kind of operation.
type Op string

// The operations that can fail.
const (
	Create  Op = "create"
	Write   Op = "write"
	Sync    Op = "sync"
	Close   Op = "close"
	Rename  Op = "rename"
	Remove  Op = "remove"
	SyncDir Op = "syncdir"
	Free    Op = "free"
)

// ErrCrashed is the error of every operation after a crash.
var ErrCrashed = errors.New("faultfs: the machine has crashed")

// ErrInjected is the error of an operation that is set to fail.
var ErrInjected = errors.New("faultfs: injected fault")

// FS is a file system with faults. The zero value has none, and counts.
type FS struct {
	// FailAt is the number (from 1) of the operation that fails; 0 is none.
	FailAt int
	// Only limits counting to one kind of operation, if it is not empty.
	Only Op
	// Err is what the failing operation returns, ErrInjected by default; syscall.ENOSPC makes a full disk.
	Err error
	// Crash makes the failing operation a crash of the machine: nothing works after it, what was not synced is lost.
	Crash bool
	// Capacity, if positive, is how many bytes can be written in all before syscall.ENOSPC.
	Capacity int64

	mu      sync.Mutex
	count   int
	written int64
	crashed bool
	dirty   map[string]bool   // files with bytes that are not synced, by their present name
	undo    map[string]string // renames that are not synced: target to a copy of what it was, "" for nothing
}

// Count returns how many operations were counted so far.
func (f *FS) Count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count
}

// step counts one operation and returns the error it must fail with, if any. f.mu is held.
func (f *FS) step(op Op, path string) error {
	if f.crashed {
		return ErrCrashed
	}
	if f.Only != "" && f.Only != op {
		return nil
	}
	f.count++
	if f.count != f.FailAt {
		return nil
	}
	if f.Crash {
		f.crash()
		return ErrCrashed
	}
	err := f.Err
	if err == nil {
		err = ErrInjected
	}
	return &fs.PathError{Op: string(op), Path: path, Err: err}
}

// crash loses what a power failure loses: bytes that were not synced, and renames whose folder was not.
func (f *FS) crash() {
	f.crashed = true
	for path := range f.dirty {
		if st, err := os.Stat(path); err == nil {
			os.Truncate(path, st.Size()/2)
		}
	}
	for target, old := range f.undo {
		if old == "" {
			os.Remove(target)
		} else {
			os.Rename(old, target)
		}
	}
}

// Create implements atomicfile.FS.
func (f *FS) Create(path string, mode fs.FileMode) (atomicfile.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.step(Create, path); err != nil {
		return nil, err
	}
	under, err := atomicfile.OS.Create(path, mode)
	if err != nil {
		return nil, err
	}
	if f.dirty == nil {
		f.dirty, f.undo = map[string]bool{}, map[string]string{}
	}
	return &file{fs: f, path: path, under: under}, nil
}

// Rename implements atomicfile.FS.
func (f *FS) Rename(from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.step(Rename, from); err != nil {
		return err
	}
	backup := ""
	if _, err := os.Stat(to); err == nil {
		backup = filepath.Join(filepath.Dir(to), fmt.Sprintf(".faultfs-undo-%d", f.count))
		if err := os.Link(to, backup); err != nil {
			return err
		}
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	f.undo[to] = backup
	if f.dirty[from] {
		delete(f.dirty, from)
		f.dirty[to] = true
	}
	return nil
}

// Remove implements atomicfile.FS.
func (f *FS) Remove(path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.step(Remove, path); err != nil {
		return err
	}
	delete(f.dirty, path)
	return os.Remove(path)
}

// SyncDir implements atomicfile.FS.
func (f *FS) SyncDir(dir string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.step(SyncDir, dir); err != nil {
		return err
	}
	for target, backup := range f.undo {
		if filepath.Dir(target) == filepath.Clean(dir) {
			if backup != "" {
				os.Remove(backup)
			}
			delete(f.undo, target)
		}
	}
	return atomicfile.OS.SyncDir(dir)
}

// Free implements atomicfile.FS. It does not know of Capacity: a disk can fill up after the check.
func (f *FS) Free(dir string) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.step(Free, dir); err != nil {
		return 0, err
	}
	return atomicfile.OS.Free(dir)
}

type file struct {
	fs    *FS
	path  string
	under atomicfile.File
}

// WriteAt writes; a failing write leaves half of its bytes, as a real one may.
func (w *file) WriteAt(p []byte, off int64) (int, error) {
	f := w.fs
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.step(Write, w.path)
	if err == nil && f.Capacity > 0 && f.written+int64(len(p)) > f.Capacity {
		err = &fs.PathError{Op: "write", Path: w.path, Err: syscall.ENOSPC}
	}
	if err != nil {
		if !f.crashed {
			w.under.WriteAt(p[:len(p)/2], off)
		}
		return 0, err
	}
	f.written += int64(len(p))
	f.dirty[w.path] = true
	return w.under.WriteAt(p, off)
}

// Sync makes the file's bytes survive a crash.
func (w *file) Sync() error {
	f := w.fs
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.step(Sync, w.path); err != nil {
		return err
	}
	delete(f.dirty, w.path)
	return w.under.Sync()
}

// Close closes the file beneath, whatever it is set to return.
func (w *file) Close() error {
	f := w.fs
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.step(Close, w.path)
	return errors.Join(err, w.under.Close())
}
