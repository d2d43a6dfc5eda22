package dist

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/dist/internal/health"
	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/internal/text"
)

// LocalWorld is a world of ranks that are goroutines of one process. One is made for all of them, and each takes its
// group from it.
//
//	world := dist.NewLocalWorld(2)
//	defer world.Close()
//	for rank := range 2 {
//		go torch.RunRank(func() {
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

// rendezvous is a world's state of a group.
type rendezvous struct {
	size   int
	taken  map[int]bool // by rank
	left   map[int]bool
	status health.LocalRanks
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

// Group returns the group of all the world's ranks, for one of them. It doesn't wait for the others. Each rank takes it
// once; when all have closed theirs they may meet again. The group is aborted when ctx is cancelled.
func (w *LocalWorld) Group(ctx context.Context, rank int, opts ...Options) (*Group, error) {
	o, err := options.Named("dist.LocalWorld.Group", opts)
	if err != nil {
		return nil, err
	}
	if rank < 0 || rank >= w.size {
		return nil, fmt.Errorf("dist.LocalWorld.Group: there is no rank %d among %d", rank, w.size)
	}
	g := &Group{rank: rank, size: w.size, opts: o, transport: localTransport{w}}
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
		m = &rendezvous{size: g.size, taken: map[int]bool{}, left: map[int]bool{}}
		w.groups[g.name] = m
	}
	switch {
	case m.taken[g.rank]:
		return fmt.Errorf("rank %d has been taken already; each goroutine takes the group of a rank of its own, once", g.rank)
	case m.left[g.rank]:
		return fmt.Errorf("rank %d has closed its group, and others have not; ranks meet again when all have", g.rank)
	}
	c, err := cgotorch.InProcess(hub, parent, g.name, g.rank, g.size)
	if err != nil {
		return errors.New(text.FirstLine(err.Message))
	}
	g.c, m.taken[g.rank] = c, true
	m.status.Join(g.rank, watched{g})
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
	m.status.Leave(g.rank, next)
	delete(m.taken, g.rank)
	m.left[g.rank] = true
	if len(m.left) == m.size {
		delete(w.groups, g.name)
	}
}

// status is what the ranks of a group know of each other.
func (w *LocalWorld) status(name string) *health.LocalRanks {
	w.mu.Lock()
	defer w.mu.Unlock()
	return &w.groups[name].status
}

// sharedStore is the one store of all the world's ranks. The first call makes it.
func (w *LocalWorld) sharedStore() (cgotorch.Store, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.store == 0 {
		s, err := cgotorch.HashStore()
		if err != nil {
			return 0, errors.New(text.FirstLine(err.Message))
		}
		w.store = s
	}
	return w.store, nil
}

// localTransport connects goroutines.
type localTransport struct{ world *LocalWorld }

func (localTransport) inProcess() bool              { return true }
func (localTransport) foreign() bool                { return false }
func (localTransport) keepsBoard() bool             { return false }
func (localTransport) endpoints() []health.Endpoint { return nil }
func (t localTransport) leave(g *Group)             { t.world.leave(g) }
func (localTransport) close()                       {}

func (t localTransport) board(g *Group) health.Board {
	return health.LocalBoard{LocalRanks: t.world.status(g.name), Rank: g.rank, Size: g.size}
}

func (t localTransport) sub(ctx context.Context, sub *Group, parent cgotorch.Group) (*Group, error) {
	sub.transport = localTransport{t.world}
	if err := t.world.join(sub, 0, parent); err != nil {
		return nil, fmt.Errorf("dist.Group.Sub: %w", err)
	}
	return newGroup(ctx, sub), nil
}

func (t localTransport) bootstrap(g *Group) (cgotorch.Store, func(), error) {
	shared, err := t.world.sharedStore()
	if err != nil {
		return 0, nil, err
	}
	s, cerr := cgotorch.PrefixStore("group"+g.name, shared)
	if cerr != nil {
		return 0, nil, errors.New(text.FirstLine(cerr.Message))
	}
	return s, s.Free, nil
}
