package zero

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/golite/golite/internal/regular"
	"github.com/golite/golite/torch/serial/pickle"
	"github.com/golite/golite/torch/serial/ptfile"
)

// Checkpoint is an open folder. Its tensors are read from its files until Close.
type Checkpoint struct {
	Stage, World int          // of the run that wrote it
	Root         *pickle.Dict // the checkpoint as one tree
	files        []*ptfile.File
}

var optimFile = regexp.MustCompile(`^(?:bf16_)?zero_pp_rank_(\d+)_mp_rank_00_optim_states\.pt$`)

// Looks reports whether a folder looks like one of DeepSpeed's: it has the file "latest", or parts of optimizers.
func Looks(dir string) bool {
	if _, err := os.Stat(filepath.Join(dir, ".metadata")); err == nil {
		return false
	}
	if _, err := os.Stat(filepath.Join(dir, "latest")); err == nil {
		return true
	}
	names, err := partNames(dir)
	return err == nil && len(names) > 0
}

// partNames are the files of optimizers in a folder, by rank.
func partNames(dir string) (map[int]string, error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := map[int]string{}
	for _, e := range list {
		m := optimFile.FindStringSubmatch(e.Name())
		if m == nil {
			continue
		}
		rank, err := strconv.Atoi(m[1])
		if err != nil {
			return nil, fmt.Errorf("%s: the rank in its name is no number", filepath.Join(dir, e.Name()))
		}
		if names[rank] != "" {
			return nil, fmt.Errorf("%s: %s and %s are both of rank %d: remove the one of another run", dir, names[rank], e.Name(), rank)
		}
		names[rank] = e.Name()
	}
	return names, nil
}

// tagged is the folder with the parts: dir itself, or the one that its file "latest" names.
func tagged(dir string) (string, error) {
	path := filepath.Join(dir, "latest")
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return dir, nil
	}
	f, _, err := regular.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 4097))
	if err != nil {
		return "", err
	}
	tag := strings.TrimSpace(string(text))
	if len(text) > 4096 || tag == "" || tag == "." || tag == ".." || strings.ContainsAny(tag, "/\\\x00") {
		return "", fmt.Errorf("%s: want the name of a folder beside it", path)
	}
	return filepath.Join(dir, tag), nil
}

// Open opens a folder. Every error names the file that is missing or wrong.
func Open(dir string) (c *Checkpoint, err error) {
	if dir, err = tagged(dir); err != nil {
		return nil, err
	}
	names, err := partNames(dir)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s: no file zero_pp_rank_0_mp_rank_00_optim_states.pt: want a checkpoint of DeepSpeed's stages 1 to 3", dir)
	}
	c = &Checkpoint{World: len(names)}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
			c = nil
		}
	}()
	r := &reader{c: c}
	for rank := range len(names) {
		if names[rank] == "" {
			return c, fmt.Errorf("%s: the optimizer's part of rank %d is missing, though there are %d parts", dir, rank, len(names))
		}
		p, err := c.openPart(filepath.Join(dir, names[rank]))
		if err != nil {
			return c, err
		}
		r.parts = append(r.parts, p)
	}
	if err := r.readHeads(); err != nil {
		return c, err
	}
	models := []string{"mp_rank_00_model_states.pt"}
	if c.Stage == 3 {
		models = nil
		for rank := range c.World {
			models = append(models, fmt.Sprintf("zero_pp_rank_%d_mp_rank_00_model_states.pt", rank))
		}
	}
	for _, name := range models {
		m, err := c.openPart(filepath.Join(dir, name))
		if err != nil {
			return c, err
		}
		r.models = append(r.models, m)
	}
	c.Root, err = r.tree()
	return c, err
}

// part is a file of the folder.
type part struct {
	path string
	root *pickle.Dict
}

func (p part) fail(format string, args ...any) error {
	return fmt.Errorf("%s: "+format, append([]any{p.path}, args...)...)
}

// dict returns the dict under a key of d.
func (p part) dict(d *pickle.Dict, key string) (*pickle.Dict, error) {
	v, ok := d.Get(key)
	if !ok {
		return nil, p.fail("it has no %q: want a file of DeepSpeed's", key)
	}
	sub, ok := v.(*pickle.Dict)
	if !ok {
		return nil, p.fail("%s is %s: want a dict", key, pickle.Describe(v))
	}
	return sub, nil
}

func (c *Checkpoint) openPart(path string) (part, error) {
	f, err := ptfile.Open(path)
	if err != nil {
		return part{}, err
	}
	c.files = append(c.files, f)
	root, ok := f.Root.(*pickle.Dict)
	if !ok {
		return part{}, fmt.Errorf("%s: it holds %s: want a dict", path, pickle.Describe(f.Root))
	}
	return part{path, root}, nil
}

// Verify reads all files and compares their checksums; it returns how many bytes were checked.
func (c *Checkpoint) Verify() (checked int64, err error) {
	for _, f := range c.files {
		n, err := f.Verify()
		checked += n
		if err != nil {
			return checked, err
		}
	}
	return checked, nil
}

// Close closes the files.
func (c *Checkpoint) Close() error {
	var errs []error
	for _, f := range c.files {
		errs = append(errs, f.Close())
	}
	c.files = nil
	return errors.Join(errs...)
}
