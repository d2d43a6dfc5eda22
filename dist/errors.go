package dist

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/dist/internal/health"
	"github.com/golite/golite/internal/callsite"
	"github.com/golite/golite/torch"
)

// RankError is what a collective panics with when it can't end because of another rank: one was lost, one made a
// different call, the group was aborted, or time is up.
type RankError struct {
	// Rank is the rank that reports, in its group, and World the number of ranks.
	Rank, World int
	// Op is the collective it was in, "" if none, and Site where the program called it.
	Op, Site string
	// Reason is the first cause, with the rank that it happened on where that is known.
	Reason string
	// Lost are the ranks that did not take part in the call, where that is known: their connection closed, they had
	// finished, or they were elsewhere when time was up. They are numbered as Rank is.
	Lost []int
	// Failed are the ranks whose own work failed, where that is the cause: those that called Group.Fail.
	Failed []int
	// Waiting says what each rank did when time was up: the collective that it waited in, and where that was called.
	Waiting []string
	// Stacks are the stacks of goroutines when time was up: this process's, and those of ranks that were in no collective.
	Stacks []byte
	// Cause is the context's error if a context ended the group, or its making.
	Cause error
}

// shownStacks bounds the stacks in a message, in bytes.
const shownStacks = 1 << 15

// Error says who failed in what, and why; when time was up also what each rank did, and where goroutines were, if need
// be cut off: Stacks has all of them.
func (e *RankError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "rank %d of %d", e.Rank, e.World)
	if e.Op != "" {
		fmt.Fprintf(&b, ", in %s", e.Op)
	}
	if e.Site != "" {
		fmt.Fprintf(&b, " at %s", e.Site)
	}
	fmt.Fprintf(&b, ": %s", e.Reason)
	for _, w := range e.Waiting {
		fmt.Fprintf(&b, "\n  %s", w)
	}
	stacks := bytes.TrimSpace(e.Stacks)
	if len(stacks) == 0 {
		return b.String()
	}
	b.WriteString("\n  stacks:")
	for line := range bytes.Lines(stacks[:min(len(stacks), shownStacks)]) {
		fmt.Fprintf(&b, "\n    %s", bytes.TrimRight(line, "\n"))
	}
	if more := len(stacks) - shownStacks; more > 0 {
		fmt.Fprintf(&b, "\n    ... and %d bytes more", more)
	}
	return b.String()
}

// Unwrap returns the context's error, if that is the cause.
func (e *RankError) Unwrap() error { return e.Cause }

// Try runs f and returns the *RankError or *torch.Error that it panicked with, nil if none. Other panics pass through.
func Try(f func()) (err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case error:
			var re *RankError
			var te *torch.Error
			if !errors.As(v, &re) && !errors.As(v, &te) {
				panic(v)
			}
			err = v
		default:
			panic(v)
		}
	}()
	if f == nil {
		torch.Fail("dist.Try", "the function is nil")
	}
	f()
	return nil
}

// failure makes the *RankError of a collective that failed, and whose rank has found why.
func (g *Group) failure(op, site string, why *health.Record) *RankError {
	x := g.monitor.Explain(why)
	e := &RankError{Rank: g.rank, World: g.size, Op: op, Site: site, Reason: x.Reason, Lost: x.Lost, Waiting: x.Report,
		Stacks: x.Stacks}
	if x.Record.Kind == cgotorch.FailureFailed {
		e.Failed = []int{x.Record.Rank}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	e.Cause = g.cause
	return e
}

// ended returns why the group was aborted, nil if it was not.
func (g *Group) ended() *health.Record {
	if g.unopened() {
		return nil
	}
	if s, err := g.c.Pending(); err == nil && s.Aborted {
		return s.Failure
	}
	return nil
}

// TranslateErrors runs f, and panics with a *RankError where f panics with a *torch.Error because the group was
// aborted: the Reducer communicates inside Backward, whose errors are *torch.Error. Other panics pass through.
func (g *Group) TranslateErrors(f func()) {
	if f == nil {
		torch.Fail("dist.Group.TranslateErrors", "the function is nil")
	}
	site := callsite.Site()
	defer func() {
		switch v := recover().(type) {
		case nil:
		case error:
			var te *torch.Error
			if errors.As(v, &te) {
				if why := g.ended(); why != nil {
					panic(g.failure("backward", site, why))
				}
			}
			panic(v)
		default:
			panic(v)
		}
	}()
	f()
}
