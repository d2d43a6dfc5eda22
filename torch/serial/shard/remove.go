package shard

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/golite/golite/internal/atomicfile"
	"github.com/golite/golite/internal/regular"
)

const partSuffix = ".distcp"

func anything(string) bool { return true }

// isPart reports whether a name is one of this package's files.
func isPart(name string) bool {
	if of := atomicfile.TempOf(name); of != "" {
		name = of
	}
	return strings.HasSuffix(name, partSuffix) || name == metadataName
}

// isFile reports whether an entry is what a save makes, or a link to one elsewhere. Pipes, sockets and devices are
// never removed.
func isFile(e fs.DirEntry) bool { return e.Type().IsRegular() || e.Type() == fs.ModeSymlink }

// Remove removes a checkpoint's folder, its metadata first: what a crash leaves is no checkpoint, rather than one
// without its parts. Other files in the folder stay, and then the folder does.
func Remove(fsys atomicfile.FS, dir string) error {
	if err := ignoreMissing(fsys.Remove(filepath.Join(dir, metadataName))); err != nil {
		return err
	}
	if err := fsys.SyncDir(dir); err != nil {
		return err
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	others := false
	for _, f := range files {
		if !isPart(f.Name()) || !isFile(f) {
			others = true
			continue
		}
		if err := ignoreMissing(fsys.Remove(filepath.Join(dir, f.Name()))); err != nil {
			return err
		}
	}
	if others {
		return nil
	}
	return fsys.Remove(dir)
}

// RemoveUnfinished removes a folder that is what a save leaves that was killed before its commit: parts, no metadata,
// no other files, and no writer. Others stay as they are.
func RemoveUnfinished(fsys atomicfile.FS, dir string) error {
	if unfinished, err := isUnfinished(dir, isPart); !unfinished || err != nil {
		return err
	}
	if err := atomicfile.Sweep(fsys, dir, anything); err != nil {
		return err
	}
	if quiet, err := isUnfinished(dir, func(name string) bool {
		return isPart(name) &&
			!atomicfile.IsTemp(name)
	}); !quiet || err != nil {
		return err
	}
	return Remove(fsys, dir)
}

// isUnfinished reports whether a folder has only files whose names fit, and no metadata.
func isUnfinished(dir string, fits func(name string) bool) (bool, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return false, err
	}
	for _, f := range files {
		if f.Name() == metadataName || !isFile(f) || !fits(f.Name()) {
			return false, nil
		}
	}
	return true, nil
}

// Discard removes the parts of a save that will not be committed. If it was committed all the same, they stay.
func Discard(fsys atomicfile.FS, dir, id string) error {
	return discard(fsys, dir, func(name string) bool { return strings.HasSuffix(name, "_"+id+partSuffix) })
}

// discard removes the parts whose names match and that the folder's checkpoint does not name.
func discard(fsys atomicfile.FS, dir string, match func(name string) bool) error {
	used := map[string]bool{}
	raw, err := regular.ReadFile(filepath.Join(dir, metadataName), maxMetadata)
	if err == nil {
		var entries []*Entry
		if entries, err = parseMetadata(raw); err == nil {
			used = partsOf(entries)
		}
	}
	if err := ignoreMissing(err); err != nil {
		return err
	}
	return removeParts(fsys, dir, func(name string) bool { return match(name) && !used[name] })
}

// partsOf is the set of the files that entries lie in.
func partsOf(entries []*Entry) map[string]bool {
	used := map[string]bool{}
	for _, e := range entries {
		for _, c := range e.Chunks {
			used[c.File] = true
		}
	}
	return used
}

// removeParts removes the part files whose names match.
func removeParts(fsys atomicfile.FS, dir string, match func(name string) bool) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return ignoreMissing(err)
	}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), partSuffix) && isFile(f) && !atomicfile.IsTemp(f.Name()) && match(f.Name()) {
			err = errors.Join(err, ignoreMissing(fsys.Remove(filepath.Join(dir, f.Name()))))
		}
	}
	return err
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
