package trainer

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/golite/golite/torch"
)

// ProgressBar shows the epoch, the rate and the values that are logged with ProgBar, on rank 0
// (lightning.pytorch.callbacks.TQDMProgressBar). Values are read from their device only when the bar is drawn, which is
// by time. Where the writer is no terminal it writes a line each 10 s and at the end of each epoch.
type ProgressBar struct {
	// Refresh is the time between two drawings. 0: 100 ms on a terminal, else 10 s.
	Refresh time.Duration
	// Writer is where it is drawn. nil: the standard error.
	Writer io.Writer

	terminal bool
	failed   bool
	drawn    time.Time
	began    time.Time
	first    int
	width    int
}

// OnTrainStart finds out where the bar is drawn.
func (c *ProgressBar) OnTrainStart(*Trainer) error {
	if c.Writer == nil {
		c.Writer = os.Stderr
	}
	if f, ok := c.Writer.(*os.File); ok {
		c.terminal = term.IsTerminal(int(f.Fd()))
	}
	if c.Refresh == 0 {
		if c.Refresh = 10 * time.Second; c.terminal {
			c.Refresh = 100 * time.Millisecond
		}
	}
	c.drawn = time.Now()
	return nil
}

// OnTrainEpochStart begins the epoch's rate.
func (c *ProgressBar) OnTrainEpochStart(t *Trainer) error {
	c.began, c.first = time.Now(), t.batches.current.ready
	return nil
}

// OnTrainBatchEnd draws the bar, if it is time to.
func (c *ProgressBar) OnTrainBatchEnd(t *Trainer, _ *torch.Tensor, _ any, _ int) error {
	if !t.l.IsGlobalZero() || time.Since(c.drawn) < c.Refresh {
		return nil
	}
	c.drawn = time.Now()
	c.draw(t, false)
	return nil
}

// OnTrainEpochEnd draws the epoch's last bar.
func (c *ProgressBar) OnTrainEpochEnd(t *Trainer) error {
	if !t.l.IsGlobalZero() {
		return nil
	}
	c.draw(t, true)
	return nil
}

// draw writes the bar. A writer that fails, such as a pipe that was closed, ends the bar and not the training.
func (c *ProgressBar) draw(t *Trainer, last bool) {
	if c.failed {
		return
	}
	t.refresh()
	text := c.line(t)
	if c.terminal {
		padded := text + strings.Repeat(" ", max(0, c.width-len(text)))
		c.width = len(text)
		if text = "\r" + padded; last {
			text, c.width = text+"\n", 0
		}
	} else {
		text += "\n"
	}
	if _, err := io.WriteString(c.Writer, text); err != nil {
		c.failed = true
		t.l.Logger().Warn(fmt.Sprintf("trainer: the progress bar can't be written, and is left out: %v", err))
	}
}

// line is such as "Epoch 3/10  62%  520/844  1900 it/s  eta 12s  train_loss 0.231".
func (c *ProgressBar) line(t *Trainer) string {
	done, total := t.batches.current.ready, t.trainBatches
	rate := float64(done-c.first) / max(time.Since(c.began).Seconds(), 1e-9)
	var b strings.Builder
	fmt.Fprintf(&b, "Epoch %d", t.Epoch()+1)
	if t.o.MaxEpochs > 0 {
		fmt.Fprintf(&b, "/%d", t.o.MaxEpochs)
	}
	if total != noLimit && total > 0 {
		fmt.Fprintf(&b, "  %d%%  %d/%d", done*100/total, done, total)
	} else {
		fmt.Fprintf(&b, "  %d", done)
	}
	fmt.Fprintf(&b, "  %.4g it/s", rate)
	if total != noLimit && done < total && rate > 0 {
		fmt.Fprintf(&b, "  eta %v", time.Duration(float64(total-done)/rate*float64(time.Second)).Round(time.Second))
	}
	for _, name := range slices.Sorted(maps.Keys(t.logged.bar)) {
		fmt.Fprintf(&b, "  %s %.4g", name, t.logged.bar[name].float())
	}
	return b.String()
}
