package dist

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/internal/text"
)

// Hub is where ranks that are goroutines of one process meet. One is made for all of them, and each takes its group from
// it.
//
//	hub := dist.NewHub(2)
//	defer hub.Close()
//	for rank := range 2 {
//		go torch.Root(func() {
//			g, err := hub.Group(ctx, rank)
//			...
//		})
//	}
type Hub struct {
	c     cgotorch.Hub
	size  int
	mu    sync.Mutex
	meets map[string]*meeting // by the group's name
	store cgotorch.Store      // 0 until somebody wants one
	once  sync.Once
}

// meeting is what a hub knows of a group.
type meeting struct {
	size     int
	here     map[int]*Group // by rank
	finished map[int]uint64 // by rank: the first collective that it won't make
	left     map[int]bool
}

// NewHub makes a hub for a number of ranks.
func NewHub(ranks int) *Hub {
	return &Hub{c: cgotorch.NewHub(ranks), size: ranks, meets: map[string]*meeting{}}
}

// Size returns the number of ranks.
func (h *Hub) Size() int { return h.size }

// Close gives the hub up; groups keep what they need.
func (h *Hub) Close() {
	h.once.Do(func() {
		h.c.Free()
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.store != 0 {
			h.store.Free()
		}
	})
}

// Group returns the group of all the hub's ranks, for one of them. It doesn't wait for the others. Each rank takes it once;
// when all have closed theirs they may meet again. The group is aborted when ctx is cancelled.
func (h *Hub) Group(ctx context.Context, rank int, opts ...Options) (*Group, error) {
	o, err := options.Named("dist.Hub.Group", opts)
	if err != nil {
		return nil, err
	}
	if rank < 0 || rank >= h.size {
		return nil, fmt.Errorf("dist.Hub.Group: there is no rank %d among %d", rank, h.size)
	}
	g := &Group{rank: rank, size: h.size, opts: o, hub: h}
	if err := h.enter(g, h.c, 0); err != nil {
		return nil, fmt.Errorf("dist.Hub.Group: %w", err)
	}
	return newGroup(ctx, g), nil
}

// enter makes the shim's part of a group, of all the hub's ranks or of a parent's.
func (h *Hub) enter(g *Group, hub cgotorch.Hub, parent cgotorch.Group) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.meets[g.name]
	if m == nil {
		m = &meeting{size: g.size, here: map[int]*Group{}, finished: map[int]uint64{}, left: map[int]bool{}}
		h.meets[g.name] = m
	}
	switch {
	case m.here[g.rank] != nil:
		return fmt.Errorf("somebody is rank %d already; each goroutine takes the group of a rank of its own, once", g.rank)
	case m.left[g.rank]:
		return fmt.Errorf("rank %d has closed its group, and others have not; ranks meet again when all have", g.rank)
	}
	c, err := cgotorch.InProcess(hub, parent, g.name, g.rank, g.size)
	if err != nil {
		return errors.New(text.FirstLine(err.Message))
	}
	g.c, m.here[g.rank] = c, g
	return nil
}

// leave takes a rank out. Who waits for it from now on waits in vain.
func (h *Hub) leave(g *Group) {
	next := uint64(0)
	if s, err := g.c.Pending(); err == nil {
		next = s.Count + 1
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.meets[g.name]
	delete(m.here, g.rank)
	m.left[g.rank] = true
	if _, known := m.finished[g.rank]; !known {
		m.finished[g.rank] = next
	}
	if len(m.left) == m.size {
		delete(h.meets, g.name)
	}
}

func (h *Hub) finish(g *Group, next uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.meets[g.name].finished[g.rank] = next
}

// firstFinished names the rank that was the first to make no more collectives, and the first that it won't make.
func (h *Hub) firstFinished(g *Group) (rank int, next uint64, some bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for r, n := range h.meets[g.name].finished {
		if !some || n < next || n == next && r < rank {
			rank, next, some = r, n, true
		}
	}
	return rank, next, some
}

func (h *Hub) haveFinished(g *Group, ranks []int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	finished := h.meets[g.name].finished
	return !slices.ContainsFunc(ranks, func(r int) bool { _, has := finished[r]; return !has })
}

// doing lists what the group's other ranks do, and which of them are in no collective.
func (h *Hub) doing(of *Group) (list []string, elsewhere []int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	here := h.meets[of.name].here
	for _, r := range of.others() {
		what := "is not in the group"
		if g := here[r]; g != nil {
			s, _ := g.c.Pending()
			what = doing(s)
			if len(s.Waiting) > 0 {
				list = append(list, fmt.Sprintf("rank %d %s", r, what))
				continue
			}
		}
		list, elsewhere = append(list, fmt.Sprintf("rank %d %s", r, what)), append(elsewhere, r)
	}
	return list, elsewhere
}
