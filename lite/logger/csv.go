package logger

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golite/golite/internal/options"
)

// flushInterval is how long what is logged stays in memory, where the options don't give another time.
const flushInterval = 2 * time.Second

// CSVOptions are NewCSV's optional arguments.
type CSVOptions struct {
	// File is the name of the file inside the folder. Empty: "metrics.csv".
	File string
	// FlushEvery is the number of rows that are kept before they are written. 0: 100.
	FlushEvery int
	// FlushInterval is how long a row is kept before it is written, whether or not others follow. 0: 2 s.
	FlushInterval time.Duration
	// Append goes on with a file that is there, as after a resume; else a file that is there is refused. A last row
	// that was cut, as where the machine stopped while it was written, is removed from the file.
	Append bool
	// NewVersion makes a new folder version_0, version_1, ... inside of the given one for the files of this logger, as
	// Lightning's loggers do without a version.
	NewVersion bool
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
	begun   bool
	columns []string // without step
	rows    []row    // the row that was written last, which may get more values, and those that are not written yet
	file    *os.File // nil before the first row is written to a new file
	end     int64    // the size of the file
	timer   *time.Timer
	failed  error // why the timer's flush failed
	closed  bool
}

type row struct {
	step    int64
	values  map[string]float64
	at      int64 // where it is in the file
	written bool  // it is in the file
	stale   bool  // values were added since
}

// NewCSV makes a logger that writes into a folder, which is made when Run begins, or when the first values come
// (lightning.fabric.loggers.CSVLogger). An empty name of a folder, negative numbers in the options, a file's name with
// a folder in it, Append with NewVersion and a second options struct are errors; a file that is there, without Append,
// is one of Open.
func NewCSV(dir string, opts ...CSVOptions) (*CSV, error) {
	o, err := options.One(opts)
	if err != nil {
		return nil, fmt.Errorf("logger: NewCSV: %w", err)
	}
	c := &CSV{dir: dir, o: o}
	switch {
	case dir == "":
		return nil, errors.New("logger: NewCSV: the folder's name is empty: name one, such as \"runs/1\"")
	case c.o.FlushEvery < 0:
		return nil, fmt.Errorf("logger: NewCSV: FlushEvery is %d: want 1 or more, or 0 for 100", c.o.FlushEvery)
	case c.o.FlushInterval < 0:
		return nil, fmt.Errorf("logger: NewCSV: FlushInterval is %v: want a positive time, or 0 for %v", c.o.FlushInterval, flushInterval)
	case c.o.Append && c.o.NewVersion:
		return nil, errors.New("logger: NewCSV: Append goes on with a file and NewVersion begins one: want one of them")
	}
	if c.o.FlushEvery == 0 {
		c.o.FlushEvery = 100
	}
	if c.o.FlushInterval == 0 {
		c.o.FlushInterval = flushInterval
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

// Path returns the name of the file. With NewVersion it is empty before Open.
func (c *CSV) Path() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.o.NewVersion && !c.begun {
		return ""
	}
	return c.path()
}

func (c *CSV) path() string { return filepath.Join(c.dir, c.o.File) }

// Open makes the folder and looks at the file: one that is there is an error without Append, and so is a folder that
// can't be written to. lite.Run calls it on rank 0 before its function begins, and the first values do where nothing
// else has. After Close it does nothing.
func (c *CSV) Open() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	return c.begin()
}

// LogMetrics records values under their names at a step. Calls for the same step, one after the other, share a row. A
// metric called "step", a logger that is closed and what happens when the file is opened or rows are written are
// errors. Rows that can't be written are kept, and written once that is possible.
func (c *CSV) LogMetrics(metrics map[string]float64, step int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return fmt.Errorf("logger: %s is closed", c.path())
	}
	if _, taken := metrics["step"]; taken {
		return errors.New("logger: a metric can't be called \"step\": that column has the steps")
	}
	if err := c.begin(); err != nil {
		return err
	}
	err := c.failed
	if n := len(c.rows); n > 0 && c.rows[n-1].step == step {
		last := &c.rows[n-1]
		maps.Copy(last.values, metrics)
		last.stale = true
	} else {
		if c.pending() >= c.o.FlushEvery && c.failed == nil { // after a failure once an interval, as all rows are written again
			c.failed = c.flush()
			err = c.failed
		}
		values := maps.Clone(metrics)
		if values == nil {
			values = map[string]float64{}
		}
		c.rows = append(c.rows, row{step: step, values: values})
	}
	c.arm()
	return err
}

// pending is the number of rows that are not in the file.
func (c *CSV) pending() int {
	n := len(c.rows)
	if n > 0 && c.rows[0].written {
		n--
	}
	return n
}

// arm has the rows written when the interval is over.
func (c *CSV) arm() {
	if c.timer == nil {
		c.timer = time.AfterFunc(c.o.FlushInterval, c.expire)
	}
}

func (c *CSV) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer = nil
	if c.closed {
		return
	}
	if c.failed = c.flush(); c.failed != nil {
		c.arm()
	}
}

// LogHyperparams writes hparams.csv, with a row for each name, in alphabetical order. A second call replaces it.
func (c *CSV) LogHyperparams(params map[string]any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return fmt.Errorf("logger: %s is closed", c.path())
	}
	if err := c.begin(); err != nil {
		return err
	}
	records := [][]string{{"name", "value"}}
	for _, name := range slices.Sorted(maps.Keys(params)) {
		records = append(records, []string{name, fmt.Sprint(params[name])})
	}
	return replaceFile(filepath.Join(c.dir, "hparams.csv"), encode(records))
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
	if c.timer != nil {
		c.timer.Stop()
	}
	if c.file != nil {
		if cerr := c.file.Close(); cerr != nil {
			err = errors.Join(err, fmt.Errorf("logger: %w", cerr))
		}
		c.file = nil
	}
	return err
}

// begin makes the folder and opens a file that is to be gone on with, once.
func (c *CSV) begin() error {
	if c.begun {
		return nil
	}
	dir, err := c.dir, makeFolder(c.dir)
	if err == nil && c.o.NewVersion {
		dir, err = newVersion(c.dir)
	}
	if err != nil {
		return err
	}
	path := filepath.Join(dir, c.o.File)
	switch st, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("logger: %w", err)
	case !st.Mode().IsRegular():
		return fmt.Errorf("logger: %s is no regular file: give another folder, or another name in CSVOptions.File", path)
	case !c.o.Append:
		return refusal(path)
	default:
		if c.file, c.columns, c.end, err = openTable(path); err != nil {
			return err
		}
	}
	c.dir, c.begun = dir, true
	return nil
}

func refusal(path string) error {
	return fmt.Errorf("logger: %s: %w: give another folder, CSVOptions{Append: true} to go on with it, "+
		"or CSVOptions{NewVersion: true} for a new folder inside of this one", path, fs.ErrExist)
}

// flush writes the rows that are not in the file as they are.
func (c *CSV) flush() error {
	from := slices.IndexFunc(c.rows, func(r row) bool { return !r.written || r.stale })
	if from >= 0 {
		if err := c.write(from); err != nil {
			return err
		}
		last := c.rows[len(c.rows)-1]
		last.written, last.stale = true, false
		c.rows = append(c.rows[:0], last)
	}
	c.failed = nil
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	return nil
}

// write writes the rows from that index on. A row that is in the file already is the last one there, and is
// overwritten.
func (c *CSV) write(from int) error {
	fresh := map[string]bool{}
	for _, r := range c.rows {
		for name := range r.values {
			fresh[name] = true
		}
	}
	for _, name := range c.columns {
		delete(fresh, name)
	}
	columns := append(slices.Clone(c.columns), slices.Sorted(maps.Keys(fresh))...)
	if c.end > 0 && len(fresh) > 0 {
		return c.rewrite(columns, from)
	}
	at := c.end
	if c.rows[from].written {
		at = c.rows[from].at
	}
	var text strings.Builder
	if c.end == 0 {
		text.WriteString(encode([][]string{header(columns)}))
	}
	lastAt := c.appendRows(&text, columns, from, at)
	if c.file == nil {
		f, err := os.OpenFile(c.path(), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
		if errors.Is(err, fs.ErrExist) {
			return refusal(c.path())
		}
		if err != nil {
			return fmt.Errorf("logger: %w", err)
		}
		c.file = f
	}
	_, err := c.file.WriteAt([]byte(text.String()), at)
	end := at + int64(text.Len())
	if err == nil && end < c.end {
		err = c.file.Truncate(end)
	}
	if err != nil {
		_ = c.file.Truncate(c.end) // a part of a row is of no use; the next write begins there either way
		return fmt.Errorf("logger: writing %s: %w", c.path(), err)
	}
	c.columns, c.end = columns, end
	c.rows[len(c.rows)-1].at = lastAt
	return nil
}

// appendRows adds rows to a text that stands at an offset of the file, and returns the offset of the last one.
func (c *CSV) appendRows(text *strings.Builder, columns []string, from int, at int64) (last int64) {
	for _, r := range c.rows[from:] {
		last = at + int64(text.Len())
		text.WriteString(encode([][]string{r.record(columns)}))
	}
	return last
}

// rewrite replaces the file by one with more columns and with the rows from that index on.
func (c *CSV) rewrite(columns []string, from int) error {
	records, err := readTable(c.path())
	if err != nil {
		return err
	}
	if c.rows[from].written {
		records = records[:len(records)-1]
	}
	records[0] = header(columns)
	for i := 1; i < len(records); i++ {
		for len(records[i]) < len(records[0]) {
			records[i] = append(records[i], "")
		}
	}
	var text strings.Builder
	text.WriteString(encode(records))
	lastAt := c.appendRows(&text, columns, from, 0)
	if err := replaceFile(c.path(), text.String()); err != nil {
		return err
	}
	f, err := os.OpenFile(c.path(), os.O_RDWR, 0)
	if err == nil {
		err = c.file.Close()
	}
	if err != nil {
		return fmt.Errorf("logger: %w", err)
	}
	c.file, c.columns, c.end = f, columns, int64(text.Len())
	c.rows[len(c.rows)-1].at = lastAt
	return nil
}
