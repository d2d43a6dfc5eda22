package ddp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/torch"
)

// Options are the optional arguments of groups.
type Options struct {
	// Timeout is how long a collective may take; 0 is 5 minutes. When it is over the group is aborted, and the error says
	// what each rank waits for.
	Timeout time.Duration
	// Interfaces are the network interfaces that Gloo uses, as in GLOO_SOCKET_IFNAME, which serves where none are given.
	// If there are none at all, the address serves from which this machine reaches the store.
	Interfaces []string
	// NoDebug and Debug say whether processes compare their calls before they make them, so that ranks that disagree fail
	// at once with both call sites, where they would else wait for each other or mix up data. It costs a message more per
	// collective. Tests do so, other programs don't. Rank 0's choice counts. Goroutine ranks always compare: it costs
	// them nothing.
	Debug, NoDebug bool
}

// Group is a process group as one of its ranks holds it (torch.distributed's ProcessGroup). Its collectives are called by
// all its ranks, in the same order. It is for the rank's own goroutine, but for Abort.
type Group struct {
	c          cgotorch.Group
	rank, size int
	name       string // "" for the whole, else of the sub-group
	members    []int  // a sub-group's ranks in its parent
	opts       Options
	store      *Store // of processes
	hub        *Hub   // of goroutines
	pytorch    bool   // some ranks are PyTorch's
	subs       int    // how many sub-groups were asked for
	nccl       bool   // CUDA tensors go through NCCL

	ctx      context.Context
	detach   func() bool
	done     chan struct{}
	stopped  sync.WaitGroup
	closing  sync.Once
	mu       sync.Mutex
	cause    error // of the context
	lateDump *dump
}

// newGroup starts what watches over a group.
func newGroup(ctx context.Context, g *Group) *Group {
	if g.opts.Timeout <= 0 {
		g.opts.Timeout = DefaultTimeout
	}
	g.ctx, g.done = ctx, make(chan struct{})
	if g.hub != nil {
		g.hub.enter(g)
	}
	g.detach = context.AfterFunc(ctx, func() {
		cause := context.Cause(ctx)
		g.mu.Lock()
		g.cause = cause
		g.mu.Unlock()
		g.Abort(fmt.Sprintf("its context ended: %v", cause))
	})
	g.stopped.Add(1)
	go g.monitor()
	return g
}

// Rank returns the calling rank's number in the group.
func (g *Group) Rank() int { return g.rank }

// Size returns the number of ranks.
func (g *Group) Size() int { return g.size }

// Timeout returns how long a collective may take.
func (g *Group) Timeout() time.Duration { return g.opts.Timeout }

// Members returns the ranks of a sub-group as its parent numbers them; nil for a group of all.
func (g *Group) Members() []int { return slices.Clone(g.members) }

// InProcess tells whether the ranks are goroutines of one process.
func (g *Group) InProcess() bool { return g.hub != nil }

// Abort ends the group: every rank that waits in a collective is freed at once, in this process by itself, in others by
// the connection that closes, and each later collective fails with the reason. It may be called from any goroutine. The
// first reason stays.
func (g *Group) Abort(reason string) {
	g.abort(fmt.Sprintf("rank %d aborted the group: %s", g.rank, reason))
}

func (g *Group) abort(reason string) {
	if aborted, _ := g.Aborted(); aborted {
		return
	}
	told := g.publish(keyAborted, reason)
	_ = g.c.Abort(reason) // fails only where the group was closed: nobody waits then
	<-told
}

// Aborted tells whether the group was aborted, and why.
func (g *Group) Aborted() (bool, string) {
	s, err := g.c.Pending()
	return s.Aborted && err == nil, s.Reason
}

// Close gives the group up. If a collective is under way the group is aborted. Processes that leave in good order meet in
// a Barrier first.
func (g *Group) Close() {
	g.closing.Do(func() {
		g.detach()
		close(g.done)
		g.stopped.Wait()
		if g.hub != nil {
			g.hub.leave(g)
		}
		g.c.Free()
	})
}

// Sub makes the group of some of the ranks (torch.distributed.new_group). All ranks of g call it, with the same ranks and
// in the same order; those that aren't in it get nil. The sub-group's ranks are numbered in the order given.
func (g *Group) Sub(ranks ...int) (*Group, error) {
	if g.pytorch {
		return nil, errors.New("ddp.Group.Sub: a group with ranks of PyTorch has no sub-groups; make another one with a store of its own")
	}
	g.subs++
	seen := map[int]bool{}
	for _, r := range ranks {
		if r < 0 || r >= g.size || seen[r] {
			return nil, fmt.Errorf("ddp.Group.Sub: %v: want different ranks between 0 and %d", ranks, g.size-1)
		}
		seen[r] = true
	}
	at := slices.Index(ranks, g.rank)
	if at < 0 {
		return nil, nil
	}
	name := fmt.Sprintf("%s/sub%d:%s", g.name, g.subs, strings.ReplaceAll(strings.Trim(fmt.Sprint(ranks), "[]"), " ", ","))
	sub := &Group{rank: at, size: len(ranks), name: name, members: slices.Clone(ranks), opts: g.opts, hub: g.hub}
	if g.hub != nil {
		c, err := cgotorch.InProcess(0, g.c, name, at, len(ranks))
		if err != nil {
			return nil, fmt.Errorf("ddp.Group.Sub: %s", firstLine(err.Message))
		}
		sub.c = c
		return newGroup(g.ctx, sub).inherit(g)
	}
	store, err := g.store.Prefix(name)
	if err != nil {
		return nil, err
	}
	sub.store = store
	if sub, err = connect(g.ctx, sub); err != nil {
		return nil, err
	}
	return sub.inherit(g)
}

// failure makes the *RankError of a collective that ended with a reason.
func (g *Group) failure(op, site, reason string) *RankError {
	e := &RankError{Rank: g.rank, World: g.size, Op: op, Site: site, Reason: reason}
	if told := g.told(); told != "" && !strings.Contains(reason, told) {
		e.Reason = told
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	e.Cause = g.cause
	if g.lateDump != nil {
		e.Waiting, e.Stacks = g.lateDump.waiting, g.lateDump.stacks
	}
	return e
}

// argumentError panics with what libtorch, or the shim, says about a call's arguments.
func argumentError(op string, err *cgotorch.Error, tensors ...*torch.Tensor) {
	panic(torch.ABI{}.Error("ddp."+op, err, tensors...))
}
