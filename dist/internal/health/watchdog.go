package health

import (
	"fmt"
	"sync"
	"time"

	"github.com/golite/golite/cgotorch"
)

const (
	// firstCheck is how long a collective may take until its rank checks whether its peers have finished, and whether they
	// make the same call.
	firstCheck = time.Second
	// inFlightGrace is how long a message may be in flight that was sent by a rank which has finished since.
	inFlightGrace = 5 * time.Second
)

// Group is a process group as this package needs it.
type Group interface {
	Rank() int
	Size() int
	Timeout() time.Duration
	// Status returns what the group's rank does; false once the group is closed.
	Status() (cgotorch.GroupStatus, bool)
	// Leaving reports whether the rank makes no more collectives.
	Leaving() bool
	// End ends the group: the first reason stays.
	End(why *Record)
	// EndSubs ends the sub-groups of a group that has ended.
	EndSubs(why *Record)
}

// Monitor watches over one group on one rank: it aborts a group whose collectives can't end, or take longer than the
// group's timeout, and explains why one has ended.
type Monitor struct {
	group     Group
	board     Board
	parent    *Monitor // of a sub-group
	endpoints []Endpoint

	mu     sync.Mutex
	report []string // when time is up: what each rank does
	stacks []byte
}

// NewMonitor makes the monitor of a group, with the addresses of its ranks where they are known. Watch starts it.
func NewMonitor(g Group, b Board, parent *Monitor, endpoints []Endpoint) *Monitor {
	return &Monitor{group: g, board: b, parent: parent, endpoints: endpoints}
}

// Board returns the board.
func (m *Monitor) Board() Board { return m.board }

// watchdog is the state of a Monitor between two ticks.
type watchdog struct {
	*Monitor
	finishedPublished bool          // this rank has published that it has finished
	requested         int64         // the request that this rank has made, 0 for none
	publishedFor      time.Duration // the start of the collective in which it has published that it waits, 0 for none
	answered          int64         // the last request that it has answered
	lastPoll          time.Time     // for requests
	peerFinishedCall  time.Duration // the start of a Send or Recv whose peers were seen to have finished
	peerFinishedSince time.Time     // when that was seen
	compared          time.Duration // the start of the collective that was compared with the others' calls
	withdraw          func()        // takes the call back that this rank has published; nil: none
}

// Watch runs the watchdog until done closes. It covers the collectives that Go started and the Reducer's.
func (m *Monitor) Watch(done <-chan struct{}) {
	tick := time.NewTicker(min(max(m.group.Timeout()/20, 5*time.Millisecond), time.Second))
	defer tick.Stop()
	w := watchdog{Monitor: m, lastPoll: time.Now()}
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			w.tick()
		}
	}
}

func (w *watchdog) tick() {
	s, open := w.group.Status()
	if !open {
		return
	}
	if s.Aborted { // perhaps by the shim, which has no sub-groups
		w.group.EndSubs(s.Failure)
		return
	}
	if w.group.Leaving() && !w.finishedPublished {
		w.finishedPublished = true
		w.board.PublishFinished(next(s))
	}
	e, some := oldest(s.Waiting)
	age := e.End - e.Start
	if w.withdraw != nil && e.Start != w.compared { // it waits no longer
		w.withdraw()
		w.withdraw = nil
	}
	w.exchangeStatus(s, e.Start, some && age > w.group.Timeout()/2)
	if some && age > w.group.Timeout() {
		w.onTimeout(s, e)
	} else if some && age > firstCheck && !w.checkPeersFinished(s) {
		w.compareCalls(e)
	}
}

// next is the number of the first collective that a rank which leaves won't make: the barrier at the end is none of the
// program's.
func next(s cgotorch.GroupStatus) uint64 {
	for _, e := range s.Waiting {
		if e.Kind == cgotorch.Barrier && e.Number == s.Count {
			return s.Count
		}
	}
	return s.Count + 1
}

// exchangeStatus publishes this rank's status when some rank has been blocked for half of the timeout.
func (w *watchdog) exchangeStatus(s cgotorch.GroupStatus, begun time.Duration, late bool) {
	if w.publishedFor != 0 && w.publishedFor != begun { // it waits no longer
		w.requested = 0
		w.publish(w.board.Request(0), s, begun)
	}
	if late {
		if w.requested == 0 {
			w.requested = w.board.Request(1)
			w.publish(w.requested, s, begun)
		}
		return
	}
	if time.Since(w.lastPoll) > w.group.Timeout()/10 {
		w.lastPoll = time.Now()
		if n := w.board.Request(0); n > w.answered {
			w.publish(n, s, begun)
		}
	}
}

func (w *watchdog) publish(request int64, s cgotorch.GroupStatus, begun time.Duration) {
	w.answered, w.publishedFor = request, begun
	w.board.PublishStatus(request, s)
}

// checkPeersFinished ends the group where it was aborted elsewhere, or where this rank waits for one that has finished.
// It reports whether the group has ended, or this rank has finished itself.
func (w *watchdog) checkPeersFinished(s cgotorch.GroupStatus) bool {
	if of, f, _ := w.published(); f != nil {
		of.group.End(f)
		return true
	}
	if w.group.Leaving() { // it waits for slower ranks
		return true
	}
	for _, e := range s.Waiting {
		if rank, some := w.finishedPeer(e); some {
			w.group.End(w.in(e, cgotorch.FailureFinished, "", rank))
			return true
		}
	}
	return false
}

// in makes the record of a failure that this rank has seen while it waited.
func (w *watchdog) in(e cgotorch.Event, kind int, detail string, lost ...int) *Record {
	return &Record{Kind: kind, Rank: w.group.Rank(), Lost: lost, Call: e.Call, Site: e.Site, Detail: detail}
}

// compareCalls ends the group where another rank has made a different call under the same number. Each rank checks once
// in each collective: each rank after the first compares its own with it.
func (w *watchdog) compareCalls(e cgotorch.Event) {
	if e.Start == w.compared || e.Kind == cgotorch.Send || e.Kind == cgotorch.Recv {
		return
	}
	w.compared = e.Start
	differs, withdraw := w.board.Compare(e)
	w.withdraw = withdraw
	if differs != "" {
		w.group.End(w.in(e, cgotorch.FailureDiffers, differs))
	}
}

// finishedPeer returns a rank that a collective waits for and that has finished.
func (w *watchdog) finishedPeer(e cgotorch.Event) (rank int, some bool) {
	if e.Kind != cgotorch.Send && e.Kind != cgotorch.Recv {
		rank, next, some := w.board.FirstFinished()
		return rank, some && e.Number >= next
	}
	peers := others(w.group.Rank(), w.group.Size())
	if e.Root >= 0 {
		peers = []int{e.Root}
	}
	if e.End-e.Start < firstCheck || len(peers) == 0 || !w.board.HaveFinished(peers) {
		return 0, false
	}
	if w.peerFinishedCall != e.Start {
		w.peerFinishedCall, w.peerFinishedSince = e.Start, time.Now()
	}
	return peers[0], time.Since(w.peerFinishedSince) > inFlightGrace
}

// onTimeout records the status of all ranks, and ends the group.
func (w *watchdog) onTimeout(s cgotorch.GroupStatus, e cgotorch.Event) {
	report := []string{fmt.Sprintf("rank %d %s", w.group.Rank(), statusText(s))}
	doing, elsewhere, stacks := w.board.Statuses(w.requested)
	// another rank timed out a moment earlier: what followed is its end
	if s, open := w.group.Status(); !open || s.Aborted {
		return
	}
	w.mu.Lock()
	w.report, w.stacks = append(report, doing...), stacks
	w.mu.Unlock()
	w.group.End(w.in(e, cgotorch.FailureTimeout, fmt.Sprintf("time is up after %v", w.group.Timeout()), elsewhere...))
}
