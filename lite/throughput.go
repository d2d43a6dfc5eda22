package lite

import (
	"fmt"
	"time"
)

// Throughput turns counts of batches and samples into rates over the last updates
// (lightning.fabric.utilities.throughput.Throughput, the part that needs no figures of the hardware). The zero value is
// not for use: NewThroughput makes one.
type Throughput struct {
	window int
	marks  []throughputMark
}

type throughputMark struct {
	at               time.Duration
	batches, samples int
}

// NewThroughput makes a Throughput over the last window updates, 100 in Lightning. It returns an error if window is
// less than 2, as one update alone has no rate.
func NewThroughput(window int) (*Throughput, error) {
	if window < 2 {
		return nil, fmt.Errorf("lite: a Throughput over %d updates has no rate: want 2 or more", window)
	}
	return &Throughput{window: window}, nil
}

// Update records how much time has passed since training began, and how many batches and samples there have been on
// this rank in all. It returns an error, and records nothing, if one of them is less than at the update before, or the
// time the same.
func (t *Throughput) Update(at time.Duration, batches, samples int) error {
	if n := len(t.marks); n > 0 {
		if last := t.marks[n-1]; at <= last.at || batches < last.batches || samples < last.samples {
			return fmt.Errorf("lite: Throughput.Update(%s, %d, %d) after (%s, %d, %d): want totals, which only grow",
				at, batches, samples, last.at, last.batches, last.samples)
		}
	}
	t.marks = append(t.marks, throughputMark{at, batches, samples})
	if len(t.marks) > t.window {
		t.marks = t.marks[1:]
	}
	return nil
}

// Rates returns this rank's batches and samples a second between the first and the last update of the window; 0 until
// there are two.
func (t *Throughput) Rates() (batches, samples float64) {
	if len(t.marks) < 2 {
		return 0, 0
	}
	first, last := t.marks[0], t.marks[len(t.marks)-1]
	seconds := (last.at - first.at).Seconds()
	return float64(last.batches-first.batches) / seconds, float64(last.samples-first.samples) / seconds
}
