package health

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/golite/golite/cgotorch"
)

// Endpoint is the address at which Gloo listens on a rank.
type Endpoint struct {
	Rank int
	IP   string
	Port int
}

// lossTime is how long a rank that has lost a peer may take to publish it.
const lossTime = 200 * time.Millisecond

// candidates returns the ranks that a failure may be about: those that are named, or those whose endpoint matches the
// connection that has ended. Of a connection that was made from the other side only the machine is known.
func candidates(f *Record, endpoints []Endpoint) []int {
	if len(f.Lost) > 0 || f.Kind != cgotorch.FailureLost {
		return f.Lost
	}
	var exact, there []int
	for _, e := range endpoints {
		if e.IP != f.Host || e.Rank == f.Rank {
			continue
		}
		if f.Port == e.Port || f.Port == e.Port>>8|e.Port&255<<8 { // Gloo prints it as it lies in memory
			exact = append(exact, e.Rank)
		}
		if !slices.Contains(there, e.Rank) {
			there = append(there, e.Rank)
		}
	}
	if len(exact) > 0 {
		return exact
	}
	return there
}

// lostRanks removes secondary failures from the candidates: ranks that publish a loss of their own within lossTime.
// Where the store does not answer the lost rank is known in a group of two only.
func (m *Monitor) lostRanks(f *Record) []int {
	if f.Kind != cgotorch.FailureLost {
		return f.Lost
	}
	list := candidates(f, m.endpoints)
	if len(list) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), lossTime)
	defer cancel()
	without, answered := m.board.AwaitLosses(ctx, list)
	switch {
	case !answered && m.group.Size() == 2:
		return list
	case !answered || len(without) != 1:
		return nil
	}
	return without
}

// Finding is what is known of the end of a group.
type Finding struct {
	Record *Record  // the first cause
	Lost   []int    // the ranks that were lost
	Reason string   // in words
	Report []string // when time was up: what each rank did
	Stacks []byte   // when time was up: of goroutines
}

// Explain finds out why a collective failed on this rank.
func (m *Monitor) Explain(f *Record) Finding {
	if f.Kind == cgotorch.FailureLost {
		m.board.PublishLoss()
	}
	own := true
	if f.Kind != cgotorch.FailureParent {
		// A rank that aborts publishes before its connections close, so that there is no need to wait for it.
		if of, published, _ := m.published(); published != nil {
			f, own = published, of == m
		}
	}
	m.group.EndSubs(f)
	x := Finding{Record: f, Reason: Text(f)}
	if own { // a parent numbers its ranks differently
		x.Lost = m.lostRanks(f)
	}
	if f.Kind == cgotorch.FailureLost && len(x.Lost) == 1 {
		x.Reason += fmt.Sprintf(" (rank %d)", x.Lost[0])
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	x.Report, x.Stacks = m.report, m.stacks
	return x
}

// published returns the failure for which another process aborted the group, or a parent of it, whose monitor is then
// of.
func (m *Monitor) published() (of *Monitor, f *Record, answered bool) {
	for p := m; p != nil; p = p.parent {
		f, ok := p.board.Failure()
		if f != nil {
			return p, f, true
		}
		answered = answered || ok
	}
	return nil, nil, answered
}
