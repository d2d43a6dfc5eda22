package trainer

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/golite/golite/torch"
)

// StateDict returns the state in Lightning's layout.
func (c *ModelCheckpoint) StateDict() map[string]any {
	score := func(v *float64) any {
		if v == nil {
			return nil
		}
		return scalar(*v)
	}
	best := map[string]any{}
	for path, v := range c.best {
		best[path] = scalar(v)
	}
	var monitor any
	if c.Monitor != "" {
		monitor = c.Monitor
	}
	s := map[string]any{
		"monitor": monitor, "best_model_score": score(c.bestScore), "best_model_path": c.bestPath, "current_score": score(c.current),
		"dirpath": c.dir, "best_k_models": best, "kth_best_model_path": c.kthPath, "kth_value": score(c.kthValue), "last_model_path": c.lastPath,
	}
	if c.kthValue == nil {
		s["kth_value"] = scalar(map[bool]float64{true: math.Inf(-1), false: math.Inf(1)}[c.Mode == "max"])
	}
	return s
}

// LoadStateDict takes a state of StateDict's or Lightning's. Files that were in the folder of that run are looked for in
// this one's: a folder may have been moved.
func (c *ModelCheckpoint) LoadStateDict(s map[string]any) error {
	dir, _ := s["dirpath"].(string)
	moved := func(v any) string {
		path, _ := v.(string)
		if path == "" || c.dir == "" {
			return path
		}
		if relative, err := filepath.Rel(dir, path); err == nil && filepath.IsLocal(relative) {
			return filepath.Join(c.dir, relative)
		}
		return path
	}
	score := func(key string) *float64 {
		v, err := scalarOf(s[key])
		if err != nil {
			return nil
		}
		return &v
	}
	best := map[string]float64{}
	saved, _ := s["best_k_models"].(map[string]any)
	if sd, ok := s["best_k_models"].(*torch.StateDict); ok {
		saved = map[string]any{}
		for path, v := range sd.All() {
			saved[path] = v
		}
	}
	for path, v := range saved {
		x, err := scalarOf(v)
		if err != nil {
			return fmt.Errorf("best_k_models: %w", err)
		}
		if file := moved(path); exists(file) {
			best[file] = x
		}
	}
	c.best, c.bestScore, c.current = best, score("best_model_score"), score("current_score")
	c.bestPath, c.lastPath, c.kthPath = moved(s["best_model_path"]), moved(s["last_model_path"]), moved(s["kth_best_model_path"])
	if len(best) > 0 {
		c.kthValue = score("kth_value")
	}
	return nil
}

var lastName = regexp.MustCompile(`^last(-v?\d+)?\.ckpt$`)

// newestLast finds the newest last.ckpt of the ModelCheckpoints' folders.
func (t *Trainer) newestLast() (newest string) {
	var at time.Time
	for _, c := range t.o.Callbacks {
		c, ok := c.(*ModelCheckpoint)
		if !ok {
			continue
		}
		entries, err := os.ReadDir(c.dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			path := filepath.Join(c.dir, e.Name())
			if !lastName.MatchString(e.Name()) {
				continue
			}
			if fi, err := os.Stat(path); err == nil && fi.ModTime().After(at) {
				newest, at = path, fi.ModTime()
			}
		}
	}
	return newest
}

// saveStopped saves last.ckpt in the folder of the first ModelCheckpoint, when the run was asked to stop.
func (t *Trainer) saveStopped() error {
	for _, c := range t.o.Callbacks {
		if c, ok := c.(*ModelCheckpoint); ok {
			path, err := c.path(t, "last", nil, c.lastPath)
			if err != nil {
				return err
			}
			c.lastPath = path
			return c.write(t, path)
		}
	}
	return nil
}
