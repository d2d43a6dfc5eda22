package trainer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/golite/golite/lite"
)

// then runs f on rank 0 once what was saved last is there.
func (c *ModelCheckpoint) then(t *Trainer, f func() error) error {
	if c.Async {
		c.pending = append(c.pending, after{c.newest, f})
		return nil
	}
	return t.onRankZero(f)
}

// settle does what waited for saves in the background.
func (c *ModelCheckpoint) settle(t *Trainer) error {
	pending := c.pending
	if c.pending = nil; len(pending) == 0 {
		return nil
	}
	return t.onRankZero(func() error {
		var errs []error
		for _, p := range pending {
			errs = append(errs, p.do())
		}
		return errors.Join(errs...)
	})
}

// Teardown waits for saves in the background, a minute at most, and removes what they replaced.
func (c *ModelCheckpoint) Teardown(t *Trainer, _ Stage) error {
	pending := c.pending
	if c.pending = nil; !t.l.IsGlobalZero() {
		return nil
	}
	var errs []error
	for end := time.Now().Add(time.Minute); len(pending) > 0 && time.Now().Before(end); {
		if !exists(pending[0].file) {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		errs = append(errs, pending[0].do())
		pending = pending[1:]
	}
	return errors.Join(errs...)
}

// path is the name of a file, with a version where there is one of that name that is not the one to be replaced.
func (c *ModelCheckpoint) path(t *Trainer, template string, values map[string]float64, replaces string) (string, error) {
	name, err := formatName(template, values, !c.NoAutoInsertMetricName)
	if err != nil {
		return "", fmt.Errorf("ModelCheckpoint: %w", err)
	}
	path := filepath.Join(c.dir, name+".ckpt")
	if c.NoVersionCounter {
		return path, nil
	}
	free := path
	if t.l.IsGlobalZero() {
		for v := 1; free != replaces && (exists(free) || c.knows(free)); v++ {
			free = filepath.Join(c.dir, fmt.Sprintf("%s-v%d.ckpt", name, v))
		}
	}
	return lite.Broadcast(t.l, free, 0), nil
}

// knows reports whether a file is one of this callback's, also where it is still being written.
func (c *ModelCheckpoint) knows(path string) bool {
	return slices.ContainsFunc(c.best, func(k kept) bool { return k.path == path }) || c.Async && (path == c.newest || path == c.bestPath)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// saveLast writes last.ckpt.
func (c *ModelCheckpoint) saveLast(t *Trainer, saved bool) error {
	if c.SaveLast == "" {
		return nil
	}
	path, err := c.path(t, "last", nil, c.lastPath)
	if err != nil {
		return err
	}
	previous := c.lastPath
	c.lastPath = path
	if c.SaveLast == "link" && saved {
		to := c.newest
		err = c.then(t, func() error { return link(to, path) })
	} else {
		err = c.write(t, path)
	}
	if err != nil {
		c.lastPath = previous
		return err
	}
	if previous == "" || previous == path {
		return nil
	}
	return c.then(t, func() error { return c.remove(t, previous, path) })
}

// link makes path a symbolic link to a file in the same folder or above it, at once.
func link(to, path string) error {
	relative, err := filepath.Rel(filepath.Dir(path), to)
	if err != nil {
		relative = to
	}
	temporary := path + ".new"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("ModelCheckpoint: %w", err)
	}
	if err := os.Symlink(relative, temporary); err != nil {
		return fmt.Errorf("ModelCheckpoint: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("ModelCheckpoint: %w", err)
	}
	return nil
}

func (c *ModelCheckpoint) write(t *Trainer, path string) error {
	if err := t.onRankZero(func() error { return os.MkdirAll(filepath.Dir(path), 0o755) }); err != nil {
		return fmt.Errorf("ModelCheckpoint: the folder: %w", err)
	}
	linked := false
	if t.l.IsGlobalZero() {
		fi, err := os.Lstat(path)
		linked = err == nil && fi.Mode()&fs.ModeSymlink != 0
	}
	savedStep, newest := c.savedStep, c.newest
	c.savedStep, c.newest = t.GlobalStep(), path
	var err error
	if linked = lite.Broadcast(t.l, linked, 0); linked { // else the file that it links to would be replaced
		err = c.writeOverLink(t, path)
	} else {
		err = t.save(path, c.SaveWeightsOnly, c.Async)
	}
	if err != nil {
		c.savedStep, c.newest = savedStep, newest
		return err
	}
	if c.Verbose {
		t.l.Logger().Info(fmt.Sprintf("trainer: epoch %d, step %d: saved %s", t.Epoch(), t.GlobalStep(), path))
	}
	return c.settle(t)
}

// writeOverLink puts a file in the place of a symbolic link, at once.
func (c *ModelCheckpoint) writeOverLink(t *Trainer, path string) error {
	temporary := path + ".new"
	if err := t.save(temporary, c.SaveWeightsOnly, false); err != nil {
		return err
	}
	return t.onRankZero(func() error {
		if err := os.Rename(temporary, path); err != nil {
			return fmt.Errorf("ModelCheckpoint: %w", err)
		}
		return nil
	})
}

// remove removes a file that has been replaced, if it is in the folder.
func (c *ModelCheckpoint) remove(t *Trainer, path, written string) error {
	if path == "" || path == written || path == t.resumedFrom || path == c.lastPath {
		return nil
	}
	if relative, err := filepath.Rel(c.dir, path); err != nil || !filepath.IsLocal(relative) {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("ModelCheckpoint: %w", err)
	}
	return nil
}

// onRankZero runs f on rank 0, and returns its error on all ranks.
func (t *Trainer) onRankZero(f func() error) error {
	text := ""
	var err error
	if t.l.IsGlobalZero() {
		if err = f(); err != nil {
			text = err.Error()
		}
	}
	if text = lite.Broadcast(t.l, text, 0); text != "" && err == nil {
		err = fmt.Errorf("on rank 0: %s", text)
	}
	return err
}

// allRanks reports whether v holds on all ranks.
func (t *Trainer) allRanks(v bool) bool { return !t.anyRank(!v) }
