package serial

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/golite/golite/internal/atomicfile"
	"github.com/golite/golite/torch/serial/ptfile"
	"github.com/golite/golite/torch/serial/safetensors"
	"github.com/golite/golite/torch/serial/shard"
)

// Keep says which checkpoints of a series stay. Each name is made by a pattern whose parts in braces stand for numbers:
//
//	serial.Keep{Pattern: "run/epoch={epoch}-loss={loss}.pt", Last: 2, Best: 3, Metric: "loss"}
//
// keeps the two newest and the three with the lowest loss. The age is that of the numbers called epoch and step, in
// that order, and by the file's time where the pattern has neither. Files that are damaged are neither counted nor
// removed.
type Keep struct {
	// Pattern is the path, with numbers in braces in its last element.
	Pattern string
	// Last is how many of the newest stay. With Last and Best both 0 all stay.
	Last int
	// Best is how many of the best stay, by the number that Metric names; Max says that higher is better.
	Best   int
	Metric string
	Max    bool
}

// Checkpoint is a file, or a folder of a sharded checkpoint, that matches a pattern.
type Checkpoint struct {
	// Path is its name, with the folder's before it.
	Path string
	// Fields are the numbers in the name, by the pattern's names for them.
	Fields map[string]float64
	// Time is when it was written.
	Time time.Time
}

const numberPattern = `[-+]?(?:\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|inf|nan)`

// series is a parsed pattern: a folder, and what names in it look like.
type series struct {
	dir    string
	name   *regexp.Regexp
	fields []string // what its groups stand for
}

func parsePattern(pattern string) (s series, err error) {
	dir, base := filepath.Split(pattern)
	if strings.ContainsAny(dir, "{}") {
		return s, fmt.Errorf("pattern %q: braces are for the last element only", pattern)
	}
	s.dir = cmp.Or(dir, ".")
	expr := regexp.QuoteMeta(base)
	expr = regexp.MustCompile(`\\\{(\w+)\\\}`).ReplaceAllStringFunc(expr, func(part string) string {
		s.fields = append(s.fields, strings.Trim(part, `\{}`))
		return "(" + numberPattern + ")"
	})
	if s.name, err = regexp.Compile("^" + expr + "$"); err != nil {
		return s, fmt.Errorf("pattern %q: %w", pattern, err)
	}
	return s, nil
}

// List returns the checkpoints that match a pattern, the newest first, whether complete or not.
func List(pattern string) ([]Checkpoint, error) {
	s, err := parsePattern(pattern)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found []Checkpoint
	for _, e := range entries {
		m := s.name.FindStringSubmatch(e.Name())
		if m == nil || atomicfile.IsTemp(e.Name()) {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue // it was removed meanwhile
		}
		c := Checkpoint{Path: filepath.Join(s.dir, e.Name()), Fields: map[string]float64{}, Time: info.ModTime()}
		for i, name := range s.fields {
			c.Fields[name], _ = strconv.ParseFloat(m[i+1], 64) // the pattern lets only numbers through
		}
		found = append(found, c)
	}
	slices.SortStableFunc(found, func(a, b Checkpoint) int { return -a.compare(b) })
	return found, nil
}

// compare orders by age, older first.
func (c Checkpoint) compare(o Checkpoint) int {
	for _, k := range []string{"epoch", "step"} {
		if d := cmp.Compare(c.Fields[k], o.Fields[k]); d != 0 {
			return d
		}
	}
	if d := c.Time.Compare(o.Time); d != 0 {
		return d
	}
	return strings.Compare(c.Path, o.Path)
}

// Latest returns the newest checkpoint of a pattern that is complete: its directory and values are read and checked,
// and with verify every byte under a checksum. skipped is why newer ones were passed over. If there is none, the error
// is fs.ErrNotExist.
func Latest(pattern string, verify bool) (found Checkpoint, skipped []error, err error) {
	all, err := List(pattern)
	if err != nil {
		return Checkpoint{}, nil, err
	}
	for _, c := range all {
		if err := Check(c.Path, verify); err != nil {
			skipped = append(skipped, err)
			continue
		}
		return c, skipped, nil
	}
	return Checkpoint{}, skipped, fmt.Errorf("no complete checkpoint matches %q (%d are damaged): %w", pattern,
		len(skipped), fs.ErrNotExist)
}

// Check opens a checkpoint of any format, or a folder of a sharded one, and reads its values but not its tensors; with
// verify it reads those too and checks their checksums. It uses constant memory.
func Check(path string, verify bool) error {
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	var f interface {
		Verify() (int64, error)
		Close() error
	}
	switch {
	case st.IsDir():
		f, err = shard.Open(path)
	case isSafetensors(path):
		f, err = safetensors.Open(path)
	default:
		f, err = ptfile.Open(path)
	}
	if err != nil {
		return err
	}
	if verify {
		_, err = f.Verify()
	}
	return errors.Join(err, f.Close())
}

// Prune removes the checkpoints of a series that Keep does not keep, and returns their names. What killed saves of the
// series left goes too: temporaries that no process writes, and folders of sharded checkpoints that were never
// committed and are older than the newest complete checkpoint; those names are not returned. A folder is removed with
// its metadata first.
func Prune(k Keep) (removed []string, err error) { return prune(atomicfile.OS, k) }

func prune(fsys atomicfile.FS, k Keep) (removed []string, err error) {
	if k.Last <= 0 && k.Best <= 0 {
		return nil, nil
	}
	s, err := parsePattern(k.Pattern)
	if err != nil {
		return nil, err
	}
	if k.Best > 0 && !slices.Contains(s.fields, k.Metric) {
		return nil, fmt.Errorf("pattern %q has no {%s} to find the best by", k.Pattern, k.Metric)
	}
	all, err := List(k.Pattern)
	if err != nil {
		return nil, err
	}
	complete := slices.DeleteFunc(slices.Clone(all), func(c Checkpoint) bool { return Check(c.Path, false) != nil })
	for _, path := range k.superfluous(complete) {
		if err := remove(fsys, path); err != nil {
			return removed, err
		}
		removed = append(removed, path)
	}
	if len(complete) == 0 {
		return removed, nil
	}
	for _, c := range all {
		if st, err := os.Stat(c.Path); err != nil || !st.IsDir() || c.compare(complete[0]) >= 0 {
			continue
		}
		if err := shard.RemoveUnfinished(fsys, c.Path); err != nil {
			return removed, err
		}
	}
	return removed, atomicfile.Sweep(fsys, s.dir, s.name.MatchString)
}

// superfluous lists those of the complete checkpoints, the newest first, that need not stay.
func (k Keep) superfluous(complete []Checkpoint) (paths []string) {
	stay := map[string]bool{}
	for _, c := range complete[:min(max(k.Last, 0), len(complete))] {
		stay[c.Path] = true
	}
	if k.Best > 0 {
		best := slices.Clone(complete)
		slices.SortStableFunc(best, func(a, b Checkpoint) int { return cmp.Compare(k.badness(a), k.badness(b)) })
		for _, c := range best[:min(k.Best, len(best))] {
			stay[c.Path] = true
		}
	}
	for _, c := range complete {
		if !stay[c.Path] {
			paths = append(paths, c.Path)
		}
	}
	return paths
}

// remove removes a file or a sharded checkpoint's folder.
func remove(fsys atomicfile.FS, path string) error {
	st, err := os.Stat(path)
	if err == nil && st.IsDir() {
		err = shard.Remove(fsys, path)
	} else if err == nil {
		err = fsys.Remove(path)
	}
	if errors.Is(err, fs.ErrNotExist) { // another rank was quicker
		return nil
	}
	return err
}

// badness is lower for better checkpoints; one whose metric is not a number is the worst.
func (k Keep) badness(c Checkpoint) float64 {
	v := c.Fields[k.Metric]
	if k.Max {
		v = -v
	}
	if math.IsNaN(v) {
		return math.Inf(1)
	}
	return v
}
