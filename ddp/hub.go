package ddp

import (
	"context"
	"fmt"
	"sync"

	"github.com/golite/golite/cgotorch"
)

// Hub is where ranks that are goroutines of one process meet. One is made for all of them, and each takes its group from
// it.
//
//	hub := ddp.NewHub(2)
//	defer hub.Close()
//	for rank := range 2 {
//		go torch.Root(func() {
//			g, err := hub.Group(ctx, rank)
//			...
//		})
//	}
type Hub struct {
	c      cgotorch.Hub
	size   int
	mu     sync.Mutex
	groups []*Group
	store  cgotorch.Store // 0 until somebody wants one
	left   map[string]int // by group: a rank that has closed it, plus 1
	once   sync.Once
}

// NewHub makes a hub for a number of ranks.
func NewHub(ranks int) *Hub { return &Hub{c: cgotorch.NewHub(ranks), size: ranks} }

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

// Group returns the group of all the hub's ranks, for one of them. It doesn't wait for the others. The group is aborted
// when ctx is cancelled.
func (h *Hub) Group(ctx context.Context, rank int, opts ...Options) (*Group, error) {
	o, err := optional("ddp.Hub.Group", opts)
	if err != nil {
		return nil, err
	}
	if rank < 0 || rank >= h.size {
		return nil, fmt.Errorf("ddp.Hub.Group: there is no rank %d among %d", rank, h.size)
	}
	c, cerr := cgotorch.InProcess(h.c, 0, "", rank, h.size)
	if cerr != nil {
		return nil, fmt.Errorf("ddp.Hub.Group: %s", firstLine(cerr.Message))
	}
	return newGroup(ctx, &Group{c: c, rank: rank, size: h.size, opts: o, hub: h}), nil
}

// waiting lists what the hub's other ranks wait for.
func (h *Hub) waiting(of *Group) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []string
	for _, g := range h.groups {
		if g != of && g.name == of.name {
			list = append(list, g.describe()...)
		}
	}
	return list
}

func (h *Hub) enter(g *Group) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.groups = append(h.groups, g)
}

func (h *Hub) leave(g *Group) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, other := range h.groups {
		if other == g {
			h.groups = append(h.groups[:i], h.groups[i+1:]...)
			if h.left == nil {
				h.left = map[string]int{}
			}
			if h.left[g.name] == 0 {
				h.left[g.name] = g.rank + 1
			}
			return
		}
	}
}

// absent names the first rank that has closed its side of a group.
func (h *Hub) absent(g *Group) (rank int, some bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.left[g.name]
	return r - 1, r > 0
}
