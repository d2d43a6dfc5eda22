package dist

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/dist/internal/health"
	"github.com/golite/golite/internal/text"
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
	// Debug has processes compare their calls before they make them, so that ranks that disagree fail at once, with the
	// calls of all and where they were made, instead of mixing up data or waiting for each other until they are seen to do
	// so. It costs a message more per collective. Rank 0's choice counts. Goroutine ranks always compare, and so do
	// processes that share memory, but for AllToAll and Barrier: it costs them nothing.
	Debug bool
}

// Group is a process group as one of its ranks holds it (torch.distributed's ProcessGroup). Its collectives are called
// by all its ranks, in the same order. It is for the rank's own goroutine, but for Abort.
type Group struct {
	c          cgotorch.Group
	rank, size int
	name       string // "" for the whole, else of the sub-group
	members    []int  // a sub-group's ranks in its parent
	parent     *Group // of a sub-group
	opts       Options
	transport  transport // nil: one of Alone that was not used yet
	lone       *lone     // of Alone
	monitor    *health.Monitor
	attached   []attachment // what Attach was given, and what ends it
	ends       []func()

	ctx       context.Context
	detach    func() bool
	cancelled chan struct{} // closes when the end of the context has been dealt with
	done      chan struct{}
	stopped   sync.WaitGroup
	closing   sync.Once
	leaving   atomic.Bool // the rank has finished

	mu    sync.Mutex
	made  int      // how many sub-groups were requested
	subs  []*Group // those that aren't closed
	cause error    // of the context
}

// newGroup starts what watches over a group.
func newGroup(ctx context.Context, g *Group) *Group {
	g.opts = g.opts.filled()
	g.ctx, g.done, g.cancelled = ctx, make(chan struct{}), make(chan struct{})
	var parent *health.Monitor
	if g.parent != nil {
		parent = g.parent.monitor
	}
	g.monitor = health.NewMonitor(watched{g}, g.transport.board(g), parent, g.transport.endpoints())
	g.detach = context.AfterFunc(ctx, func() {
		defer close(g.cancelled)
		cause := context.Cause(ctx)
		g.mu.Lock()
		g.cause = cause
		g.mu.Unlock()
		g.abort(&health.Record{Kind: cgotorch.FailureContext, Rank: g.rank, Detail: fmt.Sprint(cause)})
	})
	g.stopped.Go(func() { g.monitor.Watch(g.done) })
	return g
}

func (o Options) filled() Options {
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	return o
}

// Rank returns the calling rank's number in the group.
func (g *Group) Rank() int { return g.rank }

// Size returns the number of ranks.
func (g *Group) Size() int { return g.size }

// Timeout returns how long a collective may take.
func (g *Group) Timeout() time.Duration { return g.opts.Timeout }

// Members returns the ranks of a sub-group as its parent numbers them; nil for a group of all.
func (g *Group) Members() []int { return slices.Clone(g.members) }

// InProcess reports whether the ranks are goroutines of one process.
func (g *Group) InProcess() bool { return g.lone != nil || g.transport.inProcess() }

// Abort ends the group and its sub-groups: every rank that waits in a collective is freed at once, in this process by
// itself, in others by the connection that closes, and each later collective fails with the reason. It may be called
// from any goroutine. The first reason stays.
func (g *Group) Abort(reason string) {
	g.abort(&health.Record{Kind: cgotorch.FailureAborted, Rank: g.rank, Detail: reason})
}

// Fail is Abort for a rank whose own work has failed: the *RankError of the others names it in Failed. Of the error's
// text they get the first line.
func (g *Group) Fail(err error) {
	g.abort(&health.Record{Kind: cgotorch.FailureFailed, Rank: g.rank, Detail: text.FirstLine(err.Error())})
}

func (g *Group) abort(why *health.Record) {
	c := g.handle()
	if aborted, _ := g.Aborted(); aborted {
		return
	}
	// First it is published: a rank whose connection closes reads the reason once.
	board := g.monitor.Board()
	board.PublishFailure(why)
	_ = c.Abort(why) // fails only where the group was closed: no rank waits then
	g.freeSubs(why)
	if g.transport.keepsBoard() { // a process that ends now takes the store along, and with it the reason
		ctx, cancel := context.WithTimeout(context.Background(), readersTime)
		defer cancel()
		board.AwaitReaders(ctx)
	}
}

// readersTime is how long the process that keeps the store stays after a failure, for the others to read what it was.
const readersTime = 250 * time.Millisecond

// freeSubs aborts the sub-groups of a group that was aborted.
func (g *Group) freeSubs(why *health.Record) {
	var all sync.WaitGroup
	for _, sub := range g.openSubs() {
		all.Go(func() { sub.abort(&health.Record{Kind: cgotorch.FailureParent, Rank: -1, Detail: health.Text(why)}) })
	}
	all.Wait()
}

func (g *Group) openSubs() []*Group {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.subs)
}

// Aborted reports whether the group was aborted, and why.
func (g *Group) Aborted() (bool, string) {
	why := g.ended()
	if why == nil {
		return false, ""
	}
	return true, health.Text(why)
}

// Leave ends the rank's part in good order: it waits until all ranks have come to Leave, so that no connection closes
// under one that is slower. A rank that waits in a collective for one that is in Leave fails with a *RankError within
// moments, and so does Leave then. Close follows.
func (g *Group) Leave() error {
	for _, sub := range g.openSubs() {
		sub.leaving.Store(true)
	}
	g.leaving.Store(true)
	if g.unopened() {
		return nil
	}
	return Try(g.Barrier)
}

// Close gives the group and its sub-groups up. If a collective is under way the group is aborted. Processes that have
// done well call Leave first.
func (g *Group) Close() {
	g.closing.Do(func() {
		if g.lone != nil {
			g.lone.mu.Lock()
			g.lone.closed = true
			g.lone.mu.Unlock()
			if g.unopened() {
				return
			}
		}
		for _, sub := range g.openSubs() {
			sub.Close()
		}
		if !g.detach() {
			<-g.cancelled
		}
		close(g.done)
		g.stopped.Wait()
		g.monitor.Board().Close()
		g.transport.leave(g)
		if g.parent != nil {
			g.parent.forget(g)
		}
		g.c.Free()
		for _, end := range g.ends {
			end()
		}
		g.transport.close()
	})
}

func (g *Group) forget(sub *Group) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.subs = slices.DeleteFunc(g.subs, func(s *Group) bool { return s == sub })
}

// Sub makes the group of some of the ranks (torch.distributed.new_group). All ranks of g call it, with the same ranks
// and in the same order; those that aren't in it get nil. The sub-group's ranks are numbered in the order given. It
// ends with g, when that is aborted or closed, and not the other way round.
func (g *Group) Sub(ranks ...int) (*Group, error) {
	if g.transport != nil && g.transport.foreign() {
		return nil, errors.New("dist.Group.Sub: a group with ranks of PyTorch has no sub-groups; make another one with a " +
			"store of its own")
	}
	seen := map[int]bool{}
	for _, r := range ranks {
		if r < 0 || r >= g.size || seen[r] {
			return nil, fmt.Errorf("dist.Group.Sub: %v: want different ranks between 0 and %d", ranks, g.size-1)
		}
		seen[r] = true
	}
	g.mu.Lock()
	g.made++
	name := fmt.Sprintf("%s/sub%d:%s", g.name, g.made, strings.ReplaceAll(strings.Trim(fmt.Sprint(ranks), "[]"), " ", ","))
	g.mu.Unlock()
	at := slices.Index(ranks, g.rank)
	if at < 0 {
		return nil, nil
	}
	parent := g.handle()
	sub, err := g.transport.sub(g.ctx, &Group{rank: at, size: len(ranks), name: name, members: slices.Clone(ranks),
		parent: g, opts: g.opts}, parent)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	g.subs = append(g.subs, sub)
	g.mu.Unlock()
	if err := sub.attachAll(g.attached); err != nil {
		sub.Close()
		return nil, err
	}
	return sub, nil
}

// argumentError panics with libtorch's, or the shim's, error about a call's arguments.
func argumentError(op string, err *cgotorch.Error, tensors ...*torch.Tensor) {
	panic(torch.ABI{}.Error("dist."+op, err, tensors...))
}
