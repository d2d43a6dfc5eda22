package dist

import (
	"slices"
	"time"

	"github.com/golite/golite/cgotorch"
)

// Span is an entry of the flight recorder: a collective that has ended, or is under way.
type Span struct {
	// What is the collective with its tensor and call site.
	What string
	// Number counts the group's collectives.
	Number int
	// Start and End are by a clock of the process's, to be compared with each other and with Now.
	Start, End time.Duration
	// Failed reports that it ended with an error.
	Failed bool
}

// Trace returns the collectives that ended since the last call, the last keep of them, and keeps as many from now on:
// the first call returns none. The Reducer's are among them.
func (g *Group) Trace(keep int) []Span {
	events, err := g.handle().Trace(keep)
	if err != nil {
		argumentError("Trace", err)
	}
	list := make([]Span, len(events))
	for i, e := range events {
		list[i] = Span{e.Text(), int(e.Number), e.Start, e.End, e.Failed}
	}
	return list
}

// Now reads the clock of spans.
func Now() time.Duration { return cgotorch.Now() }

// Pending lists the collectives that this rank is in, the oldest first; their End is now. It may be called from any
// goroutine, and waits for nothing: a watchdog's view.
func (g *Group) Pending() []Span {
	if g.unopened() {
		return nil
	}
	s, err := g.c.Pending()
	if err != nil {
		return nil // the group is closed
	}
	list := make([]Span, len(s.Waiting))
	for i, e := range s.Waiting {
		list[i] = Span{e.Text(), int(e.Number), e.Start, e.End, false}
	}
	slices.SortStableFunc(list, func(a, b Span) int { return int(a.Start - b.Start) })
	return list
}
