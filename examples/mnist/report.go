package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
)

// metrics is a file of JSON lines: one a step, and one at the end.
type metrics struct {
	file *os.File
	w    *bufio.Writer
	rank int
}

// openMetrics opens the file to append to; "" gives one that writes nothing.
func openMetrics(path string, rank int) (*metrics, error) {
	m := &metrics{rank: rank}
	if path == "" {
		return m, nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("-metrics: %w", err)
	}
	m.file, m.w = f, bufio.NewWriter(f)
	return m, nil
}

// step writes a step's loss as the shortest decimal that reads back to the same float.
func (m *metrics) step(epoch, step int, loss *torch.Tensor) error {
	if m.file == nil {
		return nil
	}
	bits := 32
	if loss.DType() == torch.Float64 {
		bits = 64
	}
	_, err := fmt.Fprintf(m.w, `{"rank":%d,"epoch":%d,"step":%d,"loss":%s}`+"\n",
		m.rank, epoch, step, strconv.FormatFloat(loss.Item(), 'g', -1, bits))
	return errors.Join(err, m.w.Flush()) // a line is whole when the process is killed after it
}

// end writes the accuracy, which is the same on each rank, once.
func (m *metrics) end(accuracy float64) error {
	if m.file == nil || m.rank != 0 {
		return nil
	}
	_, err := fmt.Fprintf(m.w, `{"accuracy":%s}`+"\n", strconv.FormatFloat(accuracy, 'g', -1, 64))
	return err
}

func (m *metrics) close() error {
	if m.file == nil {
		return nil
	}
	return errors.Join(m.w.Flush(), m.file.Close())
}

// bar is a progress bar with the loss, on the first rank's terminal; nothing where the output is no terminal.
type bar struct {
	p     *progressbar.ProgressBar
	title string
	n     int
}

func newBar(l *lite.Lite, steps int, title string) *bar {
	if l.GlobalRank() != 0 || !term.IsTerminal(int(os.Stderr.Fd())) {
		return &bar{}
	}
	return &bar{title: title, p: progressbar.NewOptions(steps,
		progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetDescription(title), progressbar.OptionShowCount(),
		progressbar.OptionShowIts(), progressbar.OptionSetItsString("step"), progressbar.OptionSetPredictTime(true),
		progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100e6))}
}

// step shows the loss every now and then: reading it waits for the device.
func (b *bar) step(loss *torch.Tensor) {
	if b.p == nil {
		return
	}
	if b.n%50 == 0 {
		b.p.Describe(fmt.Sprintf("%s  loss %.4f", b.title, loss.Item()))
	}
	b.n++
	b.p.Add(1)
}

func (b *bar) finish() {
	if b.p != nil {
		b.p.Finish()
	}
}
