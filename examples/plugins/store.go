package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch/serial"
)

// Versions keeps all that is saved under a name, each in a file with a number of its own, and loads the newest.
type Versions struct {
	Dir string
	mu  sync.Mutex
	n   map[string]int
}

var _ lite.CheckpointIO = (*Versions)(nil)

// Save writes the next version.
func (v *Versions) Save(path string, x any) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.n == nil {
		v.n = map[string]int{}
	}
	if err := os.MkdirAll(v.Dir, 0o755); err != nil {
		return err
	}
	if err := serial.Save(v.file(path, v.n[path]+1), x); err != nil {
		return err
	}
	v.n[path]++
	return nil
}

// Load reads the newest version.
func (v *Versions) Load(path string) (any, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.n[path] == 0 {
		return nil, fmt.Errorf("no version of %s: %w", path, fs.ErrNotExist)
	}
	return serial.Load(v.file(path, v.n[path]))
}

func (v *Versions) file(path string, n int) string {
	return filepath.Join(v.Dir, fmt.Sprintf("%s.%d", filepath.Base(path), n))
}
