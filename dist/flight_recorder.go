package dist

import (
	"slices"
	"strings"
)

// Pending lists the collectives that this rank is in, the oldest first; their End is now. It may be called from any
// goroutine, and waits for nothing: a watchdog's view.
func (g *Group) Pending() []Span {
	s, err := g.c.Pending()
	if err != nil {
		return nil // the group is closed
	}
	list := make([]Span, len(s.Waiting))
	for i, e := range s.Waiting {
		list[i] = Span{strings.TrimSpace(e.Text), int(e.Number), e.Start, e.End, false}
	}
	slices.SortStableFunc(list, func(a, b Span) int { return int(a.Start - b.Start) })
	return list
}
