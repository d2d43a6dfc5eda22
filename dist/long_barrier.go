package dist

import (
	"time"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/callsite"
	"github.com/golite/golite/torch"
)

// WithoutTimeout runs f on the ranks that give one (nil: none), and returns on all of them when all those f have ended,
// however long they take: a download, a large write. The group's timeout doesn't count, as the ranks at work send
// heartbeats; a lost rank, an abort and the end of the context end the call on the others as any collective, with a
// *RankError. All ranks call it, and f calls no collective of this group.
func (g *Group) WithoutTimeout(f func()) {
	if g.lone != nil {
		if f != nil {
			f()
		}
		return
	}
	site := callsite.Site()
	if f == nil {
		for !g.heartbeat(site, true) {
		}
		return
	}
	over, left := make(chan struct{}), make(chan struct{})
	beats := make(chan error, 1)
	go func() {
		beats <- Try(func() { g.heartbeatUntil(site, over, left) })
	}()
	defer close(left) // when f panics: the others must not go on as if it had ended
	f()
	close(over)
	if lost := <-beats; lost != nil {
		panic(lost)
	}
}

// heartbeatUntil sends heartbeats, at once and then four times in each timeout, until over is closed and all are ready.
func (g *Group) heartbeatUntil(site string, over, left <-chan struct{}) {
	pace := time.NewTicker(max(g.opts.Timeout/4, time.Millisecond))
	defer pace.Stop()
	ready := false
	for !g.heartbeat(site, ready) {
		select {
		case <-over:
			ready = true
		case <-pace.C:
		case <-left:
			return
		}
	}
}

// heartbeat is one collective of all ranks, and reports whether all are ready.
func (g *Group) heartbeat(site string, ready bool) bool {
	t := torch.From([]int64{0}, 1)
	defer t.Release()
	if ready {
		t.Fill_(1)
	}
	o := g.begin("AllReduce", cgotorch.AllReduce).inout(t)
	o.call.Op, o.call.Site = int(Min), site
	o.run()
	return t.Item() > 0
}
