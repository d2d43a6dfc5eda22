package logger

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

// Lightning writes the files of Lightning's CSVLogger, byte for byte: metrics.csv, with the columns in alphabetical
// order, "step" among them, and a row for each call of LogMetrics, and hparams.yaml. They are in the folder version_N of
// a folder, N being the next number. Each row is in the file when LogMetrics returns.
//
// It is what package trainer logs to by default (lightning.pytorch.loggers.CSVLogger). It can be used from several
// goroutines.
type Lightning struct {
	mu      sync.Mutex
	root    string
	dir     string // version_N, once it is there
	columns []string
	file    *os.File
	params  map[string]any
	closed  bool
}

// NewLightning makes a logger that writes into version_N of a folder, which are made by Open, or when the first values
// come (CSVLogger(save_dir, name), whose folder is save_dir/name). An empty name is an error.
func NewLightning(dir string) (*Lightning, error) {
	if dir == "" {
		return nil, errors.New("logger: NewLightning: the folder's name is empty: name one, such as \"lightning_logs\"")
	}
	return &Lightning{root: dir}, nil
}

// Name returns "csv".
func (c *Lightning) Name() string { return "csv" }

// Dir returns the folder of the files, which is empty before Open (log_dir).
func (c *Lightning) Dir() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dir
}

// Open makes the folder. A folder that can't be written to is an error.
func (c *Lightning) Open() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open()
}

func (c *Lightning) open() (err error) {
	if c.dir != "" || c.closed {
		return nil
	}
	if err := makeFolder(c.root); err != nil {
		return err
	}
	c.dir, err = newVersion(c.root)
	return err
}

// LogMetrics writes a row. A metric called "step" is an error, as is a logger that is closed.
func (c *Lightning) LogMetrics(metrics map[string]float64, step int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return fmt.Errorf("logger: %s is closed", c.dir)
	}
	if _, taken := metrics["step"]; taken {
		return errors.New("logger: a metric can't be called \"step\": that column has the steps")
	}
	if err := c.open(); err != nil {
		return err
	}
	columns := append(slices.Collect(maps.Keys(metrics)), "step")
	for _, name := range c.columns {
		if !slices.Contains(columns, name) {
			columns = append(columns, name)
		}
	}
	slices.Sort(columns)
	if !slices.Equal(columns, c.columns) {
		if err := c.widen(columns); err != nil {
			return err
		}
	}
	record := make([]string, len(columns))
	for i, name := range columns {
		if v, ok := metrics[name]; ok {
			record[i] = pythonFloat(v, name)
		}
		if name == "step" {
			record[i] = strconv.FormatInt(step, 10)
		}
	}
	if _, err := c.file.WriteString(pythonCSV(record)); err != nil {
		return fmt.Errorf("logger: %w", err)
	}
	return nil
}

func (c *Lightning) path() string { return filepath.Join(c.dir, "metrics.csv") }

// widen writes the file anew with more columns.
func (c *Lightning) widen(columns []string) error {
	text := pythonCSV(columns)
	if c.file != nil {
		records, err := readTable(c.path())
		if err != nil {
			return err
		}
		for _, old := range records[1:] {
			record := make([]string, len(columns))
			for i, name := range columns {
				if at := slices.Index(c.columns, name); at >= 0 && at < len(old) {
					record[i] = old[at]
				}
			}
			text += pythonCSV(record)
		}
	}
	if err := replaceFile(c.path(), text); err != nil {
		return err
	}
	f, err := os.OpenFile(c.path(), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("logger: %w", err)
	}
	if c.file != nil {
		if err := c.file.Close(); err != nil {
			return errors.Join(fmt.Errorf("logger: %w", err), f.Close())
		}
	}
	c.file, c.columns = f, columns
	return nil
}

// LogHyperparams adds settings to hparams.yaml.
func (c *Lightning) LogHyperparams(params map[string]any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return fmt.Errorf("logger: %s is closed", c.dir)
	}
	if err := c.open(); err != nil {
		return err
	}
	if c.params == nil {
		c.params = map[string]any{}
	}
	maps.Copy(c.params, params)
	var b bytes.Buffer
	if len(c.params) == 0 {
		b.WriteString("{}\n")
	} else {
		e := yaml.NewEncoder(&b)
		e.SetIndent(2)
		if err := errors.Join(e.Encode(c.params), e.Close()); err != nil {
			return fmt.Errorf("logger: the hyperparameters can't be written as YAML: %w", err)
		}
	}
	return replaceFile(filepath.Join(c.dir, "hparams.yaml"), b.String())
}

// Close closes the file. Calls after the first do nothing.
func (c *Lightning) Close(error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.file == nil {
		c.closed = true
		return nil
	}
	c.closed = true
	if err := c.file.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
		return fmt.Errorf("logger: %w", err)
	}
	return nil
}

// pythonFloat writes a number as Python's repr does. The epoch is a whole number.
func pythonFloat(v float64, name string) string {
	if name == "epoch" && v == float64(int64(v)) {
		return strconv.FormatInt(int64(v), 10)
	}
	text := strconv.FormatFloat(v, 'g', -1, 64)
	switch text {
	case "NaN":
		return "nan"
	case "+Inf":
		return "inf"
	case "-Inf":
		return "-inf"
	}
	if abs := max(v, -v); abs != 0 && (abs < 1e-4 || abs >= 1e16) {
		return strconv.FormatFloat(v, 'e', -1, 64)
	}
	text = strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

// pythonCSV is a line as Python's csv module writes it, with the line end that CSVLogger has.
func pythonCSV(record []string) string {
	var b strings.Builder
	for i, field := range record {
		if i > 0 {
			b.WriteByte(',')
		}
		if strings.ContainsAny(field, ",\"\r\n") {
			field = `"` + strings.ReplaceAll(field, `"`, `""`) + `"`
		}
		b.WriteString(field)
	}
	return b.String() + "\r\n"
}
