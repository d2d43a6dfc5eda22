package logger

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/golite/golite/internal/atomicfile"
)

func header(columns []string) []string { return append([]string{"step"}, columns...) }

// record is the row's line of a table with these columns.
func (r row) record(columns []string) []string {
	record := []string{strconv.FormatInt(r.step, 10)}
	for _, name := range columns {
		text := ""
		if v, ok := r.values[name]; ok {
			text = strconv.FormatFloat(v, 'g', -1, 64)
		}
		record = append(record, text)
	}
	return record
}

func encode(records [][]string) string {
	var b strings.Builder
	_ = csv.NewWriter(&b).WriteAll(records) // a Builder's Write does not fail
	return b.String()
}

func readTable(path string) ([][]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("logger: %w", err)
	}
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	if err == nil && len(records) == 0 {
		err = errors.New("it was emptied while it was written")
	}
	if err != nil {
		return nil, fmt.Errorf("logger: %s: %w", path, err)
	}
	return records, nil
}

// openTable opens a table to go on with it, and removes a last row that was cut. end is the file's size then.
func openTable(path string) (f *os.File, columns []string, end int64, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("logger: %w", err)
			if f != nil {
				err = errors.Join(err, f.Close())
				f = nil
			}
		}
	}()
	if f, err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
		return f, nil, 0, err
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return f, nil, 0, err
	}
	columns, n, err := wholeRows(text)
	if err != nil {
		return f, nil, 0, fmt.Errorf("%s: %w", path, err)
	}
	if n < len(text) {
		err = f.Truncate(int64(n))
	}
	return f, columns, int64(n), err
}

// wholeRows returns the columns of a table, without "step", and how many of its bytes are whole rows. What follows them
// is at most one line, the row that was being written when its writer ended. NB: a row without its line's end is not
// whole, even if it has all its fields: the last number may be cut.
func wholeRows(text []byte) (columns []string, n int, err error) {
	if len(text) == 0 {
		return nil, 0, nil
	}
	r := csv.NewReader(bytes.NewReader(text))
	r.FieldsPerRecord = -1
	first, err := r.Read()
	if cut := text[len(text)-1] != '\n' && int(r.InputOffset()) == len(text); cut && beginsTable(text) {
		return nil, 0, nil // the first line itself was being written: there are no rows
	}
	if err != nil || first[0] != "step" || text[r.InputOffset()-1] != '\n' {
		return nil, 0, fmt.Errorf("no table of metrics: want a first line that begins with \"step\", found %q; "+
			"give another folder, or another name in CSVOptions.File", first)
	}
	for {
		n = int(r.InputOffset())
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return first[1:], len(text), nil
		}
		if err == nil && len(record) == len(first) && text[r.InputOffset()-1] == '\n' {
			continue
		}
		rest := bytes.TrimLeft(text[n:], "\r\n")
		if end := bytes.IndexByte(rest, '\n'); end >= 0 && end < len(rest)-1 {
			if err == nil {
				line := bytes.Count(text[:len(text)-len(rest)], []byte("\n")) + 1
				err = fmt.Errorf("line %d has %d fields, the first line %d", line, len(record), len(first))
			}
			return nil, 0, fmt.Errorf("a row that is not the last is damaged: %w; mend the line, or give another folder", err)
		}
		return first[1:], n, nil
	}
}

// beginsTable reports whether a text is the beginning of a table's first line.
func beginsTable(text []byte) bool {
	const first = "step"
	return bytes.HasPrefix(text, []byte(first+",")) || bytes.HasPrefix([]byte(first), text)
}

// makeFolder makes a folder, and verifies that files can be made in it.
func makeFolder(dir string) error {
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		var f *os.File
		if f, err = os.CreateTemp(dir, ".golite-*"); err == nil {
			err = errors.Join(f.Close(), os.Remove(f.Name()))
		}
	}
	if err != nil {
		return fmt.Errorf("logger: %w", err)
	}
	return nil
}

// newVersion makes the folder version_N that follows those in a folder.
func newVersion(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("logger: %w", err)
	}
	next := 0
	for _, e := range entries {
		if number, ok := strings.CutPrefix(e.Name(), "version_"); ok {
			if n, err := strconv.Atoi(number); err == nil {
				next = max(next, n+1)
			}
		}
	}
	for ; ; next++ {
		path := filepath.Join(dir, fmt.Sprintf("version_%d", next))
		if err = os.Mkdir(path, 0o755); err == nil {
			return path, nil
		}
		if !errors.Is(err, fs.ErrExist) { // another run has just made it
			return "", fmt.Errorf("logger: %w", err)
		}
	}
}

// replaceFile puts a new file in the place of an old one, at once.
func replaceFile(path, text string) error {
	err := atomicfile.Write(atomicfile.OS, path, int64(len(text)), func(w io.WriterAt) error {
		_, err := w.WriteAt([]byte(text), 0)
		return err
	})
	if err != nil {
		return fmt.Errorf("logger: %w", err)
	}
	return nil
}
