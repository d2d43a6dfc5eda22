package dist

import (
	"time"

	"github.com/golite/golite/cgotorch"
)

// Span is a collective that ended, for those who look where time goes.
type Span struct {
	// What is the collective with its tensor and call site.
	What string
	// Number counts the group's collectives.
	Number int
	// Start and End are by a clock of the process's, to be compared with each other and with Now.
	Start, End time.Duration
	// Failed tells that it ended with an error.
	Failed bool
}

// Trace returns the collectives that ended since the last call, the last keep of them, and keeps as many from now on: the
// first call returns none. The Reducer's are among them.
func (g *Group) Trace(keep int) []Span {
	events, err := g.c.Trace(keep)
	if err != nil {
		argumentError("Trace", err)
	}
	list := make([]Span, len(events))
	for i, e := range events {
		list[i] = Span{e.Text, int(e.Number), e.Start, e.End, e.Failed}
	}
	return list
}

// Now reads the clock of spans.
func Now() time.Duration { return cgotorch.Now() }
