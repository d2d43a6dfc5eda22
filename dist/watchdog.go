package dist

import (
	"fmt"
	"strings"
	"time"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/text"
)

const (
	// firstCheck is how long a collective may take until its rank checks whether its peers have finished.
	firstCheck = time.Second
	// inFlightGrace is how long a message may be in flight that was sent by a rank which has finished since.
	inFlightGrace = 5 * time.Second
	// keptStacks bounds the stacks that a rank keeps for its own error, publishedStacks what it writes to the store, in bytes.
	keptStacks, publishedStacks = 1 << 20, 1 << 16
)

// timeoutReport is the state of all ranks when time is up.
type timeoutReport struct {
	waiting []string
	stacks  []byte
}

// watchdog aborts a group whose collectives can't end, or take longer than Options.Timeout. Its fields are its state between
// two ticks.
type watchdog struct {
	g                 *Group
	finishedPublished bool          // this rank has published that it has finished
	requested         int64         // the request that this rank has made, 0 for none
	publishedFor      time.Duration // the start of the collective in which it has published that it waits, 0 for none
	answered          int64         // the last request that it has answered
	lastPoll          time.Time     // for requests
	peerFinishedCall  time.Duration // the start of a Send or Recv whose peers were seen to have finished
	peerFinishedSince time.Time     // when that was seen
}

// watch runs the watchdog until the group is closed. It sees the collectives that Go started and the Reducer's.
func (g *Group) watch() {
	defer g.stopped.Done()
	tick := time.NewTicker(min(max(g.opts.Timeout/20, 5*time.Millisecond), time.Second))
	defer tick.Stop()
	w := watchdog{g: g, lastPoll: time.Now()}
	for {
		select {
		case <-g.done:
			return
		case <-tick.C:
			w.tick()
		}
	}
}

func (w *watchdog) tick() {
	g := w.g
	s, err := g.c.Pending()
	if err != nil {
		return
	}
	if s.Aborted { // perhaps by the shim, which knows no sub-groups
		g.freeSubs(s.Reason)
		return
	}
	if g.leaving.Load() && !w.finishedPublished {
		w.finishedPublished = true
		g.publishFinished(next(s))
	}
	e, some := oldest(s.Waiting)
	age := e.End - e.Start
	w.exchangeStatus(s, e.Start, some && age > g.opts.Timeout/2)
	if some && age > g.opts.Timeout {
		w.onTimeout(s, e)
	} else if some && age > firstCheck {
		w.checkPeersFinished(s)
	}
}

// next is the number of the first collective that a rank which leaves won't make: the barrier at the end is none of the
// program's.
func next(s cgotorch.Standing) uint64 {
	for _, e := range s.Waiting {
		if e.Kind == cgotorch.Barrier && e.Number == s.Count {
			return s.Count
		}
	}
	return s.Count + 1
}

// exchangeStatus publishes this rank's status when some rank has been blocked for Timeout/2.
func (w *watchdog) exchangeStatus(s cgotorch.Standing, begun time.Duration, late bool) {
	if w.g.storeClient == nil {
		return
	}
	if w.publishedFor != 0 && w.publishedFor != begun { // it waits no longer
		w.requested = 0
		w.publish(w.g.statusRequest(0), s, begun)
	}
	if late {
		if w.requested == 0 {
			w.requested = w.g.statusRequest(1)
			w.publish(w.requested, s, begun)
		}
		return
	}
	if time.Since(w.lastPoll) > w.g.opts.Timeout/10 {
		w.lastPoll = time.Now()
		if n := w.g.statusRequest(0); n > w.answered {
			w.publish(n, s, begun)
		}
	}
}

func (w *watchdog) publish(request int64, s cgotorch.Standing, begun time.Duration) {
	w.answered, w.publishedFor = request, begun
	w.g.publishStatus(request, s)
}

// checkPeersFinished aborts the group where it was aborted elsewhere, or where this rank waits for one that has finished.
func (w *watchdog) checkPeersFinished(s cgotorch.Standing) {
	g := w.g
	if by, reason, _ := g.abortReason(); reason != "" {
		by.abort(reason)
		return
	}
	if g.leaving.Load() { // it waits for those that are slower
		return
	}
	for _, e := range s.Waiting {
		if rank, some := w.finishedPeer(e); some {
			g.abort(fmt.Sprintf("rank %d has finished, and rank %d waits for it in %s", rank, g.rank, e.Text), rank)
			return
		}
	}
}

// finishedPeer returns a rank that a collective waits for and that has finished.
func (w *watchdog) finishedPeer(e cgotorch.Event) (rank int, some bool) {
	if e.Kind != cgotorch.Send && e.Kind != cgotorch.Recv {
		rank, next, some := w.g.firstFinished()
		return rank, some && e.Number >= next
	}
	peers := w.g.others()
	if e.Root >= 0 {
		peers = []int{e.Root}
	}
	if e.End-e.Start < firstCheck || len(peers) == 0 || !w.g.haveFinished(peers) {
		return 0, false
	}
	if w.peerFinishedCall != e.Start {
		w.peerFinishedCall, w.peerFinishedSince = e.Start, time.Now()
	}
	return peers[0], time.Since(w.peerFinishedSince) > inFlightGrace
}

func oldest(list []cgotorch.Event) (e cgotorch.Event, ok bool) {
	for i, w := range list {
		if i == 0 || w.Start < e.Start {
			e, ok = w, true
		}
	}
	return e, ok
}

// onTimeout records the status of all ranks, and aborts the group.
func (w *watchdog) onTimeout(s cgotorch.Standing, e cgotorch.Event) {
	g := w.g
	d := &timeoutReport{waiting: []string{fmt.Sprintf("rank %d %s", g.rank, statusText(s))}}
	var elsewhere []int
	if g.local != nil {
		others, ranks := g.local.peerStatuses(g)
		d.waiting, elsewhere, d.stacks = append(d.waiting, others...), ranks, text.Stacks(keptStacks)
	} else if g.storeClient != nil {
		others, ranks, stacks := g.peerStatuses(w.requested)
		d.waiting, elsewhere = append(d.waiting, others...), ranks
		d.stacks = fmt.Appendf(nil, "rank %d:\n%s\n\n%s", g.rank, text.Stacks(keptStacks), stacks)
	}
	if aborted, _ := g.Aborted(); aborted { // another rank's time was up a moment earlier: what is seen since is its end
		return
	}
	g.mu.Lock()
	g.timeoutReport = d
	g.mu.Unlock()
	g.abort(fmt.Sprintf("time is up after %v: rank %d waited in %s", g.opts.Timeout, g.rank, e.Text), elsewhere...)
}

// statusText describes what a rank does.
func statusText(s cgotorch.Standing) string {
	e, some := oldest(s.Waiting)
	if !some {
		return "is in no collective"
	}
	return "waits in " + strings.TrimSpace(e.Text)
}
