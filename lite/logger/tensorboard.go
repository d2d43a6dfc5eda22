package logger

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golite/golite/internal/options"
)

// TensorBoardOptions are NewTensorBoard's optional arguments.
type TensorBoardOptions struct {
	// Suffix is added to the file's name, to tell several writers of a folder apart.
	Suffix string
	// BufferBytes is how much is kept before it is written. 0: 64 KiB.
	BufferBytes int
	// FlushEvery is how long a value is kept before it is written, whether or not others follow, so that a running
	// TensorBoard shows it (SummaryWriter's flush_secs). 0: 2 s.
	FlushEvery time.Duration
}

// TensorBoard writes metrics as an event file that TensorBoard reads ("tensorboard --logdir" and the folder): scalars
// under their names, hyperparameters as a table of text under "hyperparameters". Scalars are 32-bit floats there, as in
// all of TensorBoard's scalar files.
//
// It corresponds to torch.utils.tensorboard.SummaryWriter. It can be used from several goroutines.
type TensorBoard struct {
	mu     sync.Mutex
	dir    string
	o      TensorBoardOptions
	path   string
	file   *os.File
	buf    []byte // what is not written yet
	end    int64  // where it goes
	timer  *time.Timer
	failed error // why the timer's flush failed
	closed bool
}

var writers atomic.Int64

// NewTensorBoard makes a logger that writes an event file of its own into a folder, which is made when Run begins, or
// when the first values come (torch.utils.tensorboard.SummaryWriter). Several runs in folders of their own below one
// folder are shown side by side. An empty name of a folder, a negative number in the options, a Suffix with a folder in
// it and a second options struct are errors.
func NewTensorBoard(dir string, opts ...TensorBoardOptions) (*TensorBoard, error) {
	o, err := options.One(opts)
	if err != nil {
		return nil, fmt.Errorf("logger: NewTensorBoard: %w", err)
	}
	t := &TensorBoard{dir: dir, o: o}
	switch {
	case dir == "":
		return nil, errors.New("logger: NewTensorBoard: the folder's name is empty: name one, such as \"runs/1\"")
	case t.o.BufferBytes < 0 || t.o.FlushEvery < 0:
		return nil, fmt.Errorf("logger: NewTensorBoard: BufferBytes (%d) and FlushEvery (%v) can't be negative", t.o.BufferBytes, t.o.FlushEvery)
	case strings.ContainsRune(t.o.Suffix, filepath.Separator):
		return nil, fmt.Errorf("logger: NewTensorBoard: Suffix is %q: want no folder in it", t.o.Suffix)
	}
	if t.o.BufferBytes == 0 {
		t.o.BufferBytes = 64 << 10
	}
	if t.o.FlushEvery == 0 {
		t.o.FlushEvery = flushInterval
	}
	return t, nil
}

// Name returns "tensorboard".
func (t *TensorBoard) Name() string { return "tensorboard" }

// Path returns the name of the event file, empty before anything was logged.
func (t *TensorBoard) Path() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.path
}

// Open makes the folder; one that can't be made or written to is an error. lite.Run calls it on rank 0 before its
// function begins. After Close it does nothing.
func (t *TensorBoard) Open() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.file != nil {
		return nil
	}
	return makeFolder(t.dir)
}

// LogMetrics records values under their names at a step, in one event. What can't be written is kept, and written once
// that is possible; until then each call returns the error.
func (t *TensorBoard) LogMetrics(metrics map[string]float64, step int64) error {
	if len(metrics) == 0 {
		return nil
	}
	values := make([][]byte, 0, len(metrics))
	for _, tag := range slices.Sorted(maps.Keys(metrics)) {
		values = append(values, scalarValue(tag, metrics[tag]))
	}
	return t.write(summaryEvent(now(), step, values))
}

// LogHyperparams records settings as a table of text.
func (t *TensorBoard) LogHyperparams(params map[string]any) error {
	var table strings.Builder
	table.WriteString("| name | value |\n|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(params)) {
		fmt.Fprintf(&table, "| %s | %s |\n", cell(name), cell(fmt.Sprint(params[name])))
	}
	return t.write(summaryEvent(now(), 0, [][]byte{textValue("hyperparameters", table.String())}))
}

// cell keeps a text within its cell of a Markdown table.
func cell(s string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ", "\r", " ").Replace(strings.ToValidUTF8(s, "\uFFFD"))
}

func now() float64 { return float64(time.Now().UnixNano()) / 1e9 }

func (t *TensorBoard) write(event []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return fmt.Errorf("logger: the event file in %s is closed", t.dir)
	}
	if err := t.open(); err != nil {
		return err
	}
	t.buf = appendRecord(t.buf, event)
	if len(t.buf) >= t.o.BufferBytes && t.failed == nil { // after a failure once an interval, as all is written again
		t.failed = t.flush()
	}
	if len(t.buf) > 0 {
		t.arm()
	}
	return t.failed
}

// arm has what is kept written when the interval is over.
func (t *TensorBoard) arm() {
	if t.timer == nil {
		t.timer = time.AfterFunc(t.o.FlushEvery, t.expire)
	}
}

func (t *TensorBoard) expire() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.timer = nil
	if t.closed {
		return
	}
	if t.failed = t.flush(); t.failed != nil {
		t.arm()
	}
}

func (t *TensorBoard) open() error {
	if t.file != nil {
		return nil
	}
	if err := makeFolder(t.dir); err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	name := fmt.Sprintf("events.out.tfevents.%010d.%s.%d.%d%s", time.Now().Unix(), host, os.Getpid(), writers.Add(1)-1, t.o.Suffix)
	path := filepath.Join(t.dir, name)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("logger: %w", err)
	}
	t.path, t.file = path, f
	t.buf = appendRecord(t.buf, versionEvent(now()))
	return nil
}

// Flush writes what is buffered.
func (t *TensorBoard) Flush() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.flush()
}

func (t *TensorBoard) flush() error {
	if t.file == nil {
		return nil
	}
	if _, err := t.file.WriteAt(t.buf, t.end); err != nil {
		return fmt.Errorf("logger: writing %s: %w", t.path, err)
	}
	t.end += int64(len(t.buf))
	t.buf = t.buf[:0]
	t.failed = nil
	if t.timer != nil {
		t.timer.Stop()
		t.timer = nil
	}
	return nil
}

// Close writes what is buffered and closes the file. Calls after the first do nothing.
func (t *TensorBoard) Close(error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	t.closed = true
	err := t.flush()
	if t.timer != nil {
		t.timer.Stop()
	}
	if t.file != nil {
		err = errors.Join(err, t.file.Close())
		t.file = nil
	}
	return err
}
