package ddp

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/golite/golite/cgotorch"
)

// Keys under which processes tell each other why they end, and what they wait for.
const (
	keyAborted = "golite/aborted"
	keyWaiting = "golite/waiting"
)

// dump is what is known when time is up.
type dump struct {
	waiting []string
	stacks  []byte
}

// monitor aborts the group when a collective takes longer than it may: one that Go started, or one of the Reducer's.
func (g *Group) monitor() {
	defer g.stopped.Done()
	tick := time.NewTicker(min(max(g.opts.Timeout/10, 5*time.Millisecond), time.Second))
	defer tick.Stop()
	told := uint64(0)
	for {
		select {
		case <-g.done:
			return
		case <-tick.C:
		}
		s, err := g.c.Pending()
		if s.Aborted || err != nil {
			continue
		}
		e, ok := oldest(s.Waiting)
		if !ok {
			continue
		}
		age := e.End - e.Start
		if age > g.opts.Timeout/2 && told != e.Number {
			told = e.Number
			g.publish(fmt.Sprintf("%s/%d", keyWaiting, g.rank), e.Text)
		}
		if age > g.opts.Timeout {
			g.late(e)
		} else if age > time.Second {
			if reason := g.told(); reason != "" {
				_ = g.c.Abort(reason)
			} else if rank, some := g.absent(e); some {
				g.abort(fmt.Sprintf("rank %d has left the group, for which rank %d waits in %s", rank, g.rank, e.Text))
			}
		}
	}
}

// absent names a goroutine rank that a collective waits for in vain, as it has closed its group. Of a process the closed
// connection tells.
func (g *Group) absent(e cgotorch.Event) (rank int, some bool) {
	if g.hub == nil || e.Kind == cgotorch.Send || e.Kind == cgotorch.Recv {
		return 0, false
	}
	return g.hub.absent(g)
}

func oldest(list []cgotorch.Event) (e cgotorch.Event, ok bool) {
	for i, w := range list {
		if i == 0 || w.Start < e.Start {
			e, ok = w, true
		}
	}
	return e, ok
}

// late writes down what everybody waits for, and aborts.
func (g *Group) late(e cgotorch.Event) {
	d := &dump{waiting: g.describe(), stacks: stacks()}
	if g.hub != nil {
		d.waiting = append(d.waiting, g.hub.waiting(g)...)
	} else {
		d.waiting = append(d.waiting, g.published()...)
	}
	g.mu.Lock()
	g.lateDump = d
	g.mu.Unlock()
	g.abort(fmt.Sprintf("time is up after %v: rank %d waited in %s", g.opts.Timeout, g.rank, e.Text))
}

// describe says what this rank waits for.
func (g *Group) describe() []string {
	s, err := g.c.Pending()
	if err != nil {
		return nil
	}
	if len(s.Waiting) == 0 {
		return []string{fmt.Sprintf("rank %d is in no collective", g.rank)}
	}
	var list []string
	for _, e := range s.Waiting {
		list = append(list, fmt.Sprintf("rank %d waits in %s, for %v", g.rank, e.Text, (e.End-e.Start).Round(time.Millisecond)))
	}
	return list
}

func stacks() []byte {
	for n := 1 << 16; ; n *= 4 {
		b := make([]byte, n)
		if k := runtime.Stack(b, true); k < n || n >= 1<<24 {
			return b[:k]
		}
	}
}

// publish writes to the processes' store, without waiting for it longer than it usually takes: its keeper may be gone. The
// channel closes when it is written, or given up.
func (g *Group) publish(key, value string) <-chan struct{} {
	done := make(chan struct{})
	if g.store == nil || g.size == 1 {
		close(done)
		return done
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		if key == keyAborted {
			_, _ = g.store.CompareSet(key, nil, []byte(value)) // who can't be told learns it from the closed connection
			return
		}
		_ = g.store.Set(key, []byte(value))
	}()
	go func() {
		defer close(done)
		select {
		case <-written:
		case <-time.After(time.Second):
		}
	}()
	return done
}

// told returns the reason for which another process aborted the group, if it said so.
func (g *Group) told() string {
	if g.store == nil || g.size == 1 {
		return ""
	}
	answer := make(chan string, 1)
	go func() {
		// The one that aborts writes while it closes the connections: it may need a moment.
		for range 10 {
			ok, err := g.store.Check(keyAborted)
			if err != nil {
				break
			}
			if ok {
				if v, err := g.store.c.Get(keyAborted); err == nil {
					answer <- v
					return
				}
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		answer <- ""
	}()
	select {
	case s := <-answer:
		return s
	case <-time.After(time.Second):
		return ""
	}
}

// published lists what the other processes have said that they wait for.
func (g *Group) published() []string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var list []string
	for r := range g.size {
		if r == g.rank {
			continue
		}
		key := fmt.Sprintf("%s/%d", keyWaiting, r)
		answer := make(chan string, 1)
		go func() {
			text := fmt.Sprintf("rank %d has not said that it waits: it is busy, or gone", r)
			if ok, err := g.store.Check(key); err != nil {
				text = fmt.Sprintf("rank %d: %v", r, err)
			} else if ok {
				if v, err := g.store.c.Get(key); err == nil {
					text = fmt.Sprintf("rank %d waits in %s", r, strings.TrimSpace(v))
				}
			}
			answer <- text
		}()
		select {
		case s := <-answer:
			list = append(list, s)
		case <-ctx.Done():
			return append(list, "the store doesn't answer")
		}
	}
	return list
}
