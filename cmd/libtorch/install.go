package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/golite/golite/internal/regular"
)

// marker is a file of every finished install: the sizes of its libraries, so that a damaged one is noticed.
const marker = ".complete"

// install makes sure that the chosen libtorch is there, and links it where this checkout's cgo looks.
func (in *installer) install(ctx context.Context) error {
	dir, name, err := in.locate(ctx)
	if err != nil {
		return err
	}
	if in.checkout != "" {
		if err := link(dir, filepath.Join(in.checkout, "third_party", name)); err != nil {
			return err
		}
	}
	if name != "libtorch" {
		return nil
	}
	return in.writePkgConfig(dir)
}

// locate gives the folder to link to and the link's name; it downloads what is missing.
func (in *installer) locate(ctx context.Context) (dir, name string, err error) {
	if in.existing != "" && in.kind != "cuda-headers" {
		dir, err = in.useExisting()
		if err == nil {
			fmt.Fprintf(in.log, "libtorch: using %s (LIBTORCH)\n", dir)
		}
		return dir, "libtorch", err
	}
	s, err := in.set()
	if err != nil {
		return "", "", err
	}
	root := in.root(s)
	if ok, err := intact(ctx, root, in.log); err != nil {
		return "", "", err
	} else if ok {
		fmt.Fprintf(in.log, "libtorch: %s is installed in %s\n", in.describe(), root)
		return filepath.Join(root, s.Target), s.Link, nil
	}
	if err := in.fill(ctx, s, root); err != nil {
		return "", "", err
	}
	return filepath.Join(root, s.Target), s.Link, nil
}

func (in *installer) describe() string { return in.pins.Libtorch + " (" + in.kind + ")" }

func (in *installer) set() (*set, error) {
	s, err := in.pins.kind(in.platform, in.kind)
	if err != nil {
		return nil, err
	}
	if in.platform == "linux/amd64" && musl() {
		return nil, fmt.Errorf("libtorch needs the GNU C library, and this system has musl: use a Debian, Ubuntu or Fedora base")
	}
	return s, nil
}

// musl tells whether musl is the only C library here.
func musl() bool {
	found, _ := filepath.Glob("/lib/ld-musl-*")
	_, err := os.Stat("/lib64/ld-linux-x86-64.so.2")
	return len(found) > 0 && err != nil
}

// root is the folder of an install.
func (in *installer) root(s *set) string {
	return filepath.Join(in.cache, "libtorch", in.pins.folder(in.kind, s))
}

// fill downloads, checks, unpacks and, last, gives the install its name. One process does so at a time.
func (in *installer) fill(ctx context.Context, s *set, root string) error {
	base := filepath.Dir(root)
	if err := os.MkdirAll(base, 0o755); err != nil {
		return in.explain(err, s)
	}
	unlock, err := lock(ctx, filepath.Join(base, ".lock"), func() {
		fmt.Fprintln(in.log, "libtorch: another install is running; waiting for it")
	})
	if err != nil {
		return in.explain(err, s)
	}
	defer unlock()
	if ok, err := intact(ctx, root, io.Discard); err != nil {
		return err
	} else if ok { // by the one we waited for
		fmt.Fprintf(in.log, "libtorch: %s is installed in %s\n", in.describe(), root)
		return nil
	}
	part := filepath.Join(base, "part-"+filepath.Base(root))
	if err := os.RemoveAll(part); err != nil { // of one that was killed
		return fmt.Errorf("can't clear the remains of an install: %w", err)
	}
	wheels := filepath.Join(base, "wheels")
	if err := in.checkSpace(s, wheels); err != nil {
		return err
	}
	if err := in.download(ctx, s, wheels); err != nil {
		return in.explain(err, s)
	}
	if err := in.unpack(ctx, s, wheels, part); err != nil {
		return in.explain(err, s)
	}
	if err := os.RemoveAll(root); err != nil { // damaged, else we would not be here
		return fmt.Errorf("can't replace a damaged install: %w", err)
	}
	if err := os.Rename(part, root); err != nil {
		return fmt.Errorf("can't finish the install: %w", err)
	}
	for _, w := range s.Wheels { // a failure leaves a file that nobody misses
		_ = os.Remove(filepath.Join(wheels, w.File))
	}
	fmt.Fprintf(in.log, "libtorch: %s is ready in %s\n", in.describe(), root)
	return nil
}

// complete tells whether root is a finished install with all its libraries.
func complete(root string) bool {
	text, err := regular.ReadFile(filepath.Join(root, marker), 16<<20)
	if err != nil {
		return false
	}
	var sizes map[string]int64
	if json.Unmarshal(text, &sizes) != nil || len(sizes) == 0 {
		return false
	}
	for name, size := range sizes {
		st, err := os.Stat(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil || st.Size() != size {
			return false
		}
	}
	return true
}

// checkSpace refuses a disk that is too small before anything is fetched. pip holds a wheel twice for a moment.
func (in *installer) checkSpace(s *set, wheels string) error {
	need, largest := s.Unpacked, int64(0)
	for _, w := range s.Wheels {
		if st, err := os.Stat(filepath.Join(wheels, w.File)); err == nil && st.Size() == w.Size {
			continue
		}
		need += w.Size
		largest = max(largest, w.Size)
	}
	need += largest
	free, err := in.free(filepath.Dir(wheels))
	if err != nil || free >= need {
		return nil // where it can't be told the write will tell
	}
	return fmt.Errorf("the disk of %s is too full: libtorch %s needs %d MB, %d MB are free: make room, or set XDG_CACHE_HOME to a folder on another disk",
		filepath.Dir(wheels), in.describe(), need/1e6, free/1e6)
}

// explain adds the remedy to the failures that have one.
func (in *installer) explain(err error, s *set) error {
	switch {
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted; run it again to go on")
	case noSpace(err):
		return fmt.Errorf("the disk is full (%w): libtorch %s needs about %d MB in %s: make room, or set XDG_CACHE_HOME to a folder on another disk",
			err, in.describe(), (s.Unpacked+s.download())/1e6, in.cache)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w: set XDG_CACHE_HOME to a folder that you may write", err)
	}
	return err
}

// link makes path a symbolic link to dir, in one step, so that a build never finds it missing.
func link(dir, path string) error {
	st, err := os.Lstat(path)
	if err == nil && st.Mode()&os.ModeSymlink == 0 {
		return fmt.Errorf("%s is not a link: move it away, and run the install again", path)
	}
	if old, err := os.Readlink(path); err == nil && old == dir {
		return nil
	}
	fresh := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.Symlink(dir, fresh); err != nil {
		return fmt.Errorf("can't link libtorch: %w", err)
	}
	if err := os.Rename(fresh, path); err != nil {
		return errors.Join(fmt.Errorf("can't link libtorch: %w", err), os.Remove(fresh))
	}
	return nil
}

// isLibrary tells which files the marker lists.
func isLibrary(name string) bool { return strings.Contains(filepath.Base(name), ".so") }
