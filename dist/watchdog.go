package dist

import (
	"fmt"
	"strings"
	"time"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/text"
)

const (
	// soon is how long a collective may take until its rank looks whether the others still come.
	soon = time.Second
	// underway is how long a message may need that was sent by a rank which has finished since.
	underway = 5 * time.Second
	// keptStacks bounds the stacks that a rank keeps for its own error, publishedStacks what it writes to the store, in bytes.
	keptStacks, publishedStacks = 1 << 20, 1 << 16
)

// dump is what is known when time is up.
type dump struct {
	waiting []string
	stacks  []byte
}

// watchman is what a group's monitor remembers from one look to the next.
type watchman struct {
	g        *Group
	told     bool          // the others know that this rank has finished
	asked    int64         // the question that this rank has put, 0 for none
	said     time.Duration // when the collective began in which it has said that it waits, 0 for none
	answered int64         // the last question that it has answered
	looked   time.Time     // for questions
	deserted time.Duration // when a message began whose other side was seen to have finished
	since    time.Time     // when that was seen
}

// monitor aborts the group when a collective can't end, or takes longer than it may: one that Go started, or one of the
// Reducer's.
func (g *Group) monitor() {
	defer g.stopped.Done()
	tick := time.NewTicker(min(max(g.opts.Timeout/20, 5*time.Millisecond), time.Second))
	defer tick.Stop()
	w := watchman{g: g, looked: time.Now()}
	for {
		select {
		case <-g.done:
			return
		case <-tick.C:
			w.look()
		}
	}
}

func (w *watchman) look() {
	g := w.g
	s, err := g.c.Pending()
	if err != nil {
		return
	}
	if s.Aborted { // perhaps by the shim, which knows no sub-groups
		g.freeSubs(s.Reason)
		return
	}
	if g.leaving.Load() && !w.told {
		w.told = true
		g.tellFinished(next(s))
	}
	e, some := oldest(s.Waiting)
	age := e.End - e.Start
	w.converse(s, e.Start, some && age > g.opts.Timeout/2)
	if some && age > g.opts.Timeout {
		w.late(s, e)
	} else if some && age > soon {
		w.abandoned(s)
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

// converse has the processes tell each other what they do, when one of them has waited for half of its time.
func (w *watchman) converse(s cgotorch.Standing, begun time.Duration, late bool) {
	if w.g.asker == nil {
		return
	}
	if w.said != 0 && w.said != begun { // it waits no longer
		w.asked = 0
		w.say(w.g.question(0), s, begun)
	}
	if late {
		if w.asked == 0 {
			w.asked = w.g.question(1)
			w.say(w.asked, s, begun)
		}
		return
	}
	if time.Since(w.looked) > w.g.opts.Timeout/10 {
		w.looked = time.Now()
		if n := w.g.question(0); n > w.answered {
			w.say(n, s, begun)
		}
	}
}

func (w *watchman) say(question int64, s cgotorch.Standing, begun time.Duration) {
	w.answered, w.said = question, begun
	w.g.answer(question, s)
}

// abandoned aborts where the group was aborted elsewhere, or where this rank waits for one that won't come.
func (w *watchman) abandoned(s cgotorch.Standing) {
	g := w.g
	if by, reason, _ := g.told(); reason != "" {
		by.abort(reason)
		return
	}
	if g.leaving.Load() { // it waits for those that are slower
		return
	}
	for _, e := range s.Waiting {
		if rank, some := w.gone(e); some {
			g.abort(fmt.Sprintf("rank %d has finished, and rank %d waits for it in %s", rank, g.rank, e.Text), rank)
			return
		}
	}
}

// gone names a rank that something waits for in vain, as it has finished.
func (w *watchman) gone(e cgotorch.Event) (rank int, some bool) {
	if e.Kind != cgotorch.Send && e.Kind != cgotorch.Recv {
		rank, next, some := w.g.firstFinished()
		return rank, some && e.Number >= next
	}
	peers := w.g.others()
	if e.Root >= 0 {
		peers = []int{e.Root}
	}
	if e.End-e.Start < soon || len(peers) == 0 || !w.g.haveFinished(peers) {
		return 0, false
	}
	if w.deserted != e.Start {
		w.deserted, w.since = e.Start, time.Now()
	}
	return peers[0], time.Since(w.since) > underway
}

func oldest(list []cgotorch.Event) (e cgotorch.Event, ok bool) {
	for i, w := range list {
		if i == 0 || w.Start < e.Start {
			e, ok = w, true
		}
	}
	return e, ok
}

// late writes down what everybody does, and aborts.
func (w *watchman) late(s cgotorch.Standing, e cgotorch.Event) {
	g := w.g
	d := &dump{waiting: []string{fmt.Sprintf("rank %d %s", g.rank, doing(s))}}
	var elsewhere []int
	if g.hub != nil {
		others, ranks := g.hub.doing(g)
		d.waiting, elsewhere, d.stacks = append(d.waiting, others...), ranks, text.Stacks(keptStacks)
	} else if g.asker != nil {
		others, ranks, stacks := g.heard(w.asked)
		d.waiting, elsewhere = append(d.waiting, others...), ranks
		d.stacks = fmt.Appendf(nil, "rank %d:\n%s\n\n%s", g.rank, text.Stacks(keptStacks), stacks)
	}
	if aborted, _ := g.Aborted(); aborted { // another rank's time was up a moment earlier: what is seen since is its end
		return
	}
	g.mu.Lock()
	g.lateDump = d
	g.mu.Unlock()
	g.abort(fmt.Sprintf("time is up after %v: rank %d waited in %s", g.opts.Timeout, g.rank, e.Text), elsewhere...)
}

// doing says what a rank does.
func doing(s cgotorch.Standing) string {
	e, some := oldest(s.Waiting)
	if !some {
		return "is in no collective"
	}
	return "waits in " + strings.TrimSpace(e.Text)
}
