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

// LocalWorld is a world of ranks that are goroutines of one process. One is made for all of them, and each takes its group
// from it.
//
//	world := dist.NewLocalWorld(2)
//	defer world.Close()
//	for rank := range 2 {
//		go torch.Root(func() {
//			g, err := world.Group(ctx, rank)
//			...
//		})
//	}
type LocalWorld struct {
	c      cgotorch.Hub
	size   int
	mu     sync.Mutex
	groups map[string]*rendezvous // by the group's name
	store  cgotorch.Store         // 0 until sharedStore makes it
	once   sync.Once
}

// rendezvous is what a world knows of a group.
type rendezvous struct {
	size     int
	members  map[int]*Group // by rank
	finished map[int]uint64 // by rank: the first collective that it won't make
	left     map[int]bool
}

// NewLocalWorld makes a world for a number of ranks.
func NewLocalWorld(ranks int) *LocalWorld {
	return &LocalWorld{c: cgotorch.NewHub(ranks), size: ranks, groups: map[string]*rendezvous{}}
}

// Size returns the number of ranks.
func (w *LocalWorld) Size() int { return w.size }

// Close releases the world; groups keep what they need.
func (w *LocalWorld) Close() {
	w.once.Do(func() {
		w.c.Free()
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.store != 0 {
			w.store.Free()
		}
	})
}

// Group returns the group of all the world's ranks, for one of them. It doesn't wait for the others. Each rank takes it once;
// when all have closed theirs they may meet again. The group is aborted when ctx is cancelled.
func (w *LocalWorld) Group(ctx context.Context, rank int, opts ...Options) (*Group, error) {
	o, err := options.Named("dist.LocalWorld.Group", opts)
	if err != nil {
		return nil, err
	}
	if rank < 0 || rank >= w.size {
		return nil, fmt.Errorf("dist.LocalWorld.Group: there is no rank %d among %d", rank, w.size)
	}
	g := &Group{rank: rank, size: w.size, opts: o, local: w}
	if err := w.join(g, w.c, 0); err != nil {
		return nil, fmt.Errorf("dist.LocalWorld.Group: %w", err)
	}
	return newGroup(ctx, g), nil
}

// join makes the shim's part of a group, of all the world's ranks or of a parent's.
func (w *LocalWorld) join(g *Group, hub cgotorch.Hub, parent cgotorch.Group) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.groups[g.name]
	if m == nil {
		m = &rendezvous{size: g.size, members: map[int]*Group{}, finished: map[int]uint64{}, left: map[int]bool{}}
		w.groups[g.name] = m
	}
	switch {
	case m.members[g.rank] != nil:
		return fmt.Errorf("rank %d has been taken already; each goroutine takes the group of a rank of its own, once", g.rank)
	case m.left[g.rank]:
		return fmt.Errorf("rank %d has closed its group, and others have not; ranks meet again when all have", g.rank)
	}
	c, err := cgotorch.InProcess(hub, parent, g.name, g.rank, g.size)
	if err != nil {
		return errors.New(text.FirstLine(err.Message))
	}
	g.c, m.members[g.rank] = c, g
	return nil
}

// leave removes a rank; later collectives that need it fail.
func (w *LocalWorld) leave(g *Group) {
	next := uint64(0)
	if s, err := g.c.Pending(); err == nil {
		next = s.Count + 1
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.groups[g.name]
	delete(m.members, g.rank)
	m.left[g.rank] = true
	if _, known := m.finished[g.rank]; !known {
		m.finished[g.rank] = next
	}
	if len(m.left) == m.size {
		delete(w.groups, g.name)
	}
}

func (w *LocalWorld) finish(g *Group, next uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.groups[g.name].finished[g.rank] = next
}

// firstFinished names the rank that was the first to make no more collectives, and the first that it won't make.
func (w *LocalWorld) firstFinished(g *Group) (rank int, next uint64, some bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for r, n := range w.groups[g.name].finished {
		if !some || n < next || n == next && r < rank {
			rank, next, some = r, n, true
		}
	}
	return rank, next, some
}

func (w *LocalWorld) haveFinished(g *Group, ranks []int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	finished := w.groups[g.name].finished
	return !slices.ContainsFunc(ranks, func(r int) bool { _, has := finished[r]; return !has })
}

// peerStatuses lists what the group's other ranks do, and which of them are in no collective.
func (w *LocalWorld) peerStatuses(of *Group) (list []string, elsewhere []int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	here := w.groups[of.name].members
	for _, r := range of.others() {
		what := "is not in the group"
		if g := here[r]; g != nil {
			s, _ := g.c.Pending()
			what = statusText(s)
			if len(s.Waiting) > 0 {
				list = append(list, fmt.Sprintf("rank %d %s", r, what))
				continue
			}
		}
		list, elsewhere = append(list, fmt.Sprintf("rank %d %s", r, what)), append(elsewhere, r)
	}
	return list, elsewhere
}
