package logger

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"github.com/golite/golite/internal/options"
)

// CSVOptions are NewCSV's optional arguments.
type CSVOptions struct {
	// File is the name of the file inside the folder. Empty: "metrics.csv".
	File string
	// FlushEvery is the number of rows that are kept before they are written. 0: 100.
	FlushEvery int
	// Append goes on with a file that is there, as after a resume; else a file that is there is refused.
	Append bool
}

// CSV writes metrics as a table: a column "step", then one for each metric, in alphabetical order, and a row for each
// step. What is logged at the same step, one call after the other, shares a row; a metric without a value leaves its
// field empty. A new metric that comes up later gets a column of its own, for which the file is written anew.
// Hyperparameters go to hparams.csv beside it, as names and values.
//
// It corresponds to lightning.fabric.loggers.CSVLogger. It can be used from several goroutines.
type CSV struct {
	mu      sync.Mutex
	dir     string
	o       CSVOptions
	columns []string // without step
	rows    []row    // not written yet
	file    *os.File
	closed  bool
}

type row struct {
	step   int64
	values map[string]float64
}

// NewCSV makes a logger that writes into a folder, which is made when the first values come
// (lightning.fabric.loggers.CSVLogger). An empty name of a folder, a negative FlushEvery, a file's name with a folder
// in it and a second options struct are errors; a file that is there, without Append, is one when the first rows are
// written.
func NewCSV(dir string, opts ...CSVOptions) (*CSV, error) {
	o, err := options.One(opts)
	if err != nil {
		return nil, fmt.Errorf("logger: NewCSV: %w", err)
	}
	c := &CSV{dir: dir, o: o}
	if dir == "" {
		return nil, errors.New("logger: NewCSV: the folder's name is empty: name one, such as \"runs/1\"")
	}
	if c.o.FlushEvery < 0 {
		return nil, fmt.Errorf("logger: NewCSV: FlushEvery is %d: want 1 or more, or 0 for 100", c.o.FlushEvery)
	}
	if c.o.FlushEvery == 0 {
		c.o.FlushEvery = 100
	}
	if c.o.File == "" {
		c.o.File = "metrics.csv"
	}
	if filepath.Base(c.o.File) != c.o.File {
		return nil, fmt.Errorf("logger: NewCSV: File is %q: want a name without a folder", c.o.File)
	}
	return c, nil
}

// Name returns "csv".
func (c *CSV) Name() string { return "csv" }

// Path returns the name of the file.
func (c *CSV) Path() string { return filepath.Join(c.dir, c.o.File) }

// LogMetrics records values under their names at a step. Calls for the same step, one after the other, share a row. A
// metric called "step", a logger that is closed and what happens when rows are written are errors.
func (c *CSV) LogMetrics(metrics map[string]float64, step int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return fmt.Errorf("logger: %s is closed", c.Path())
	}
	if _, taken := metrics["step"]; taken {
		return errors.New("logger: a metric can't be called \"step\": that column has the steps")
	}
	if n := len(c.rows); n > 0 && c.rows[n-1].step == step {
		maps.Copy(c.rows[n-1].values, metrics)
		return nil
	}
	if len(c.rows) >= c.o.FlushEvery {
		if err := c.flush(); err != nil {
			return err
		}
	}
	c.rows = append(c.rows, row{step, maps.Clone(metrics)})
	if c.rows[len(c.rows)-1].values == nil {
		c.rows[len(c.rows)-1].values = map[string]float64{}
	}
	return nil
}

// LogHyperparams writes hparams.csv, with a row for each name, in alphabetical order. A second call replaces it.
func (c *CSV) LogHyperparams(params map[string]any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return fmt.Errorf("logger: %s is closed", c.Path())
	}
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return fmt.Errorf("logger: %w", err)
	}
	records := [][]string{{"name", "value"}}
	for _, name := range slices.Sorted(maps.Keys(params)) {
		records = append(records, []string{name, fmt.Sprint(params[name])})
	}
	return replaceFile(filepath.Join(c.dir, "hparams.csv"), records)
}

// Flush writes what is buffered.
func (c *CSV) Flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flush()
}

// Close writes what is buffered and closes the file. Calls after the first do nothing.
func (c *CSV) Close(error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	err := c.flush()
	if c.file != nil {
		err = errors.Join(err, c.file.Close())
		c.file = nil
	}
	if err != nil {
		return fmt.Errorf("logger: %w", err)
	}
	return nil
}

func (c *CSV) flush() error {
	if len(c.rows) == 0 {
		return nil
	}
	if err := c.open(); err != nil {
		return err
	}
	if err := c.widen(); err != nil {
		return err
	}
	w := csv.NewWriter(c.file)
	for _, r := range c.rows {
		record := []string{strconv.FormatInt(r.step, 10)}
		for _, name := range c.columns {
			v, ok := r.values[name]
			record = append(record, field(v, ok))
		}
		if err := w.Write(record); err != nil {
			return fmt.Errorf("logger: writing %s: %w", c.Path(), err)
		}
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return fmt.Errorf("logger: writing %s: %w", c.Path(), err)
	}
	c.rows = c.rows[:0]
	return nil
}

func field(v float64, ok bool) string {
	if !ok {
		return ""
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// open opens the file, with the columns that it has if it is to be gone on with.
func (c *CSV) open() error {
	if c.file != nil {
		return nil
	}
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return fmt.Errorf("logger: %w", err)
	}
	flags := os.O_CREATE | os.O_WRONLY | os.O_APPEND
	if !c.o.Append {
		flags |= os.O_EXCL
	}
	if c.o.Append {
		records, err := readFile(c.Path())
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case len(records) > 0 && (len(records[0]) == 0 || records[0][0] != "step"):
			return fmt.Errorf("logger: %s is no table of metrics: want \"step\" as its first column, found %q", c.Path(), records[0])
		case len(records) > 0:
			c.columns = records[0][1:]
		}
	}
	f, err := os.OpenFile(c.Path(), flags, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("logger: %w: give another folder, or CSVOptions.Append to go on with it", err)
	}
	if err != nil {
		return fmt.Errorf("logger: %w", err)
	}
	c.file = f
	return nil
}

// widen sees to it that the file has a column for every metric.
func (c *CSV) widen() error {
	have := map[string]bool{}
	for _, name := range c.columns {
		have[name] = true
	}
	fresh := map[string]bool{}
	for _, r := range c.rows {
		for name := range r.values {
			if !have[name] {
				fresh[name] = true
			}
		}
	}
	info, err := c.file.Stat()
	if err != nil {
		return fmt.Errorf("logger: %w", err)
	}
	if len(fresh) == 0 && info.Size() > 0 {
		return nil
	}
	records, err := readFile(c.Path())
	if err != nil {
		return err
	}
	columns := append(slices.Clone(c.columns), slices.Sorted(maps.Keys(fresh))...)
	header := append([]string{"step"}, columns...)
	if len(records) == 0 {
		records = [][]string{header}
	}
	records[0] = header
	for i := 1; i < len(records); i++ {
		for len(records[i]) < len(header) {
			records[i] = append(records[i], "")
		}
	}
	if err := replaceFile(c.Path(), records); err != nil {
		return err
	}
	if err := c.file.Close(); err != nil {
		return fmt.Errorf("logger: %w", err)
	}
	if c.file, err = os.OpenFile(c.Path(), os.O_WRONLY|os.O_APPEND, 0o644); err != nil {
		return fmt.Errorf("logger: %w", err)
	}
	c.columns = columns
	return nil
}

func readFile(path string) ([][]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("logger: %w", err)
	}
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("logger: %s: %w", path, err)
	}
	return records, nil
}

// replaceFile puts a new file in the place of an old one, at once.
func replaceFile(path string, records [][]string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("logger: %w", err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	err = errors.Join(f.Chmod(0o644), csv.NewWriter(f).WriteAll(records), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("logger: writing %s: %w", path, err)
	}
	return nil
}
