package dist

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/torch"
)

// Alone returns the group of a rank that has no peers, so that a program needs no special case for it. It takes no
// goroutine and no memory of libtorch's until its first collective. It is aborted when ctx is cancelled.
func Alone(ctx context.Context, opts ...Options) *Group {
	o := options.Must("dist.Alone", opts, torch.Fail)
	return &Group{size: 1, opts: o.filled(), ctx: ctx, lone: &lone{}}
}

// lone is the state of a group of Alone: whether it was opened.
type lone struct {
	mu     sync.Mutex
	opened atomic.Bool
	closed bool
}

// handle returns the group's C handle. That of a group of Alone is made here.
func (g *Group) handle() cgotorch.Group {
	if g.lone != nil && !g.lone.opened.Load() {
		g.openAlone()
	}
	return g.c
}

// unopened reports whether the group is one of Alone that was not used yet.
func (g *Group) unopened() bool { return g.lone != nil && !g.lone.opened.Load() }

// loneTransport closes the world with its only group.
type loneTransport struct{ localTransport }

func (t loneTransport) close() { t.world.Close() }

func (g *Group) openAlone() {
	g.lone.mu.Lock()
	defer g.lone.mu.Unlock()
	switch {
	case g.lone.opened.Load():
		return
	case g.lone.closed:
		torch.Fail("dist.Group", "the group is closed")
	}
	world := NewLocalWorld(1) // Close closes it
	if err := world.join(g, world.c, 0); err != nil {
		world.Close()
		torch.Fail("dist.Alone", "%v", err)
	}
	g.transport = loneTransport{localTransport{world}}
	newGroup(g.ctx, g)
	g.lone.opened.Store(true)
	waiting := g.attached
	g.attached = nil
	if err := g.attachAll(waiting); err != nil {
		torch.Fail("dist.Alone", "%v", err)
	}
}
