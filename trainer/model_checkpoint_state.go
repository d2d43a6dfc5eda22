package trainer

import (
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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
	var best any = map[string]any{}
	if len(c.best) > 0 {
		ordered := &torch.StateDict{}
		for _, k := range c.best {
			ordered.Set(k.path, scalar(k.score))
		}
		best = ordered
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
// this one's: a folder may have been moved. Where they are not there, of a run with another folder, only the best one's
// path is taken, as in Lightning.
func (c *ModelCheckpoint) LoadStateDict(s map[string]any) error {
	texts := map[string]string{}
	for _, key := range []string{"dirpath", "best_model_path", "last_model_path", "kth_best_model_path"} {
		text, ok := s[key].(string)
		if !ok && s[key] != nil {
			return fmt.Errorf("%s is a %T: want a path", key, s[key])
		}
		texts[key] = text
	}
	moved := func(path string) string {
		if path == "" || c.dir == "" {
			return path
		}
		if relative, err := filepath.Rel(texts["dirpath"], path); err == nil && filepath.IsLocal(relative) {
			if here := filepath.Join(c.dir, relative); exists(here) {
				return here
			}
		}
		return path
	}
	here := func(path string) bool {
		relative, err := filepath.Rel(c.dir, path)
		return path != "" && err == nil && filepath.IsLocal(relative) && exists(path)
	}
	scores := map[string]*float64{}
	for _, key := range []string{"best_model_score", "current_score", "kth_value"} {
		if s[key] == nil {
			continue
		}
		v, err := scalarOf(s[key])
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		scores[key] = &v
	}
	best, err := c.loadBest(s["best_k_models"], func(path string) (string, bool) {
		path = moved(path)
		return path, here(path)
	})
	if err != nil {
		return fmt.Errorf("best_k_models: %w", err)
	}
	c.best, c.bestScore, c.current, c.kthPath, c.kthValue = best, scores["best_model_score"], scores["current_score"], "", nil
	c.bestPath, c.lastPath = moved(texts["best_model_path"]), ""
	if last := moved(texts["last_model_path"]); here(last) {
		c.lastPath = last
	}
	if len(best) > 0 {
		c.rank()
	}
	return nil
}

// loadBest reads best_k_models, in its order where the file has one. find finds a file, and reports whether it is there.
func (c *ModelCheckpoint) loadBest(v any, find func(path string) (string, bool)) (best []kept, err error) {
	add := func(path string, v any) error {
		x, err := scalarOf(v)
		if err != nil {
			return fmt.Errorf("%q: %w", path, err)
		}
		if file, ok := find(path); ok {
			best = append(best, kept{file, x})
		}
		return nil
	}
	switch v := v.(type) {
	case nil:
	case *torch.StateDict:
		for path, t := range v.All() {
			if err := add(path, t); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for _, path := range slices.Sorted(maps.Keys(v)) {
			if err := add(path, v[path]); err != nil {
				return nil, err
			}
		}
	default:
		return nil, fmt.Errorf("it is a %T: want a dictionary", v)
	}
	return best, nil
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
