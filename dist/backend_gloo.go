package dist

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/internal/text"
)

// NewGloo makes the group of a rank whose peers are other processes, over Gloo (torch.distributed.init_process_group with
// backend gloo). It waits until all have come and are connected. The group is aborted when ctx is cancelled. Two groups
// must not share a store, other than through a Prefix of each its own. Where all ranks are on one host (Linux, one network, and each may
// open the others' files in /proc), sums and means of floating-point tensors go through memory that they share, with the same bits.
func NewGloo(ctx context.Context, s *Store, rank, size int, opts ...Options) (*Group, error) {
	o, err := options.Named("dist.NewGloo", opts)
	if err != nil {
		return nil, err
	}
	if rank < 0 || rank >= size {
		return nil, fmt.Errorf("dist.NewGloo: there is no rank %d among %d", rank, size)
	}
	return connect(ctx, s, "golite", &Group{rank: rank, size: size, opts: o})
}

// NewGlooWithPyTorch makes the group of a rank among ranks of which some are Python processes that call
// torch.distributed.init_process_group("gloo"). The store is the TCPStore at their init_method's address, kept by rank 0,
// in Go, or in Python (then with Workers set to size here). Collectives and DistributedDataParallel of both sides fit together.
// Ranks don't compare their calls, don't tell each other why they end, and have no sub-groups.
func NewGlooWithPyTorch(ctx context.Context, s *Store, rank, size int, opts ...Options) (*Group, error) {
	o, err := options.Named("dist.NewGlooWithPyTorch", opts)
	if err != nil {
		return nil, err
	}
	if rank < 0 || rank >= size {
		return nil, fmt.Errorf("dist.NewGlooWithPyTorch: there is no rank %d among %d", rank, size)
	}
	// The names under which PyTorch's default group, its first backend and its CPU device look for each other.
	view, err := s.Prefix("default_pg")
	for _, p := range []string{"0/", "cpu/"} {
		if err != nil {
			return nil, err
		}
		outer := view
		view, err = outer.Prefix(p)
		outer.Close()
	}
	if err != nil {
		return nil, err
	}
	g := &Group{rank: rank, size: size, opts: o.filled(), store: view, pytorch: true}
	within, cancel := g.deadline(ctx)
	defer cancel()
	return dial(ctx, within, g, false)
}

// connect brings the ranks together in the store, under a name, and then Gloo. The group has a view of the store that is its
// own.
func connect(ctx context.Context, s *Store, name string, g *Group) (*Group, error) {
	view, err := s.Prefix(name)
	if err != nil {
		return nil, err
	}
	g.store, g.opts = view, g.opts.filled()
	within, cancel := g.deadline(ctx)
	defer cancel()
	debug, err := g.signIn(within)
	if err != nil {
		view.Close()
		return nil, err
	}
	return dial(ctx, within, g, debug)
}

// deadline ends ctx when the group's timeout is over: it bounds all that the ranks do to find each other.
func (g *Group) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, g.opts.Timeout, timeUp(g.opts.Timeout))
}

// meet waits until every rank has signed in, so that the one that is missing can be named, and takes over rank 0's
// choice of debug mode.
func (g *Group) signIn(ctx context.Context) (debug bool, err error) {
	if g.rank == 0 {
		if err := g.store.set(ctx, "debug", strconv.AppendBool(nil, g.opts.Debug)); err != nil {
			return false, err
		}
	}
	if err := g.publishRoute(ctx); err != nil {
		return false, err
	}
	if n, err := g.store.add(ctx, rankKey(keyPresent, g.rank), 1); err != nil {
		return false, err
	} else if n > 1 {
		return false, fmt.Errorf("dist.NewGloo: another process is rank %d already; two jobs must not share a store", g.rank)
	}
	for r := range g.size {
		if err := g.store.Wait(ctx, rankKey(keyPresent, r)); err != nil {
			return false, g.incomplete(ctx, keyPresent, "has not come to dist.NewGloo", err)
		}
	}
	v, err := g.store.Get(ctx, "debug")
	return string(v) == "true", err
}

// incomplete is the error of a group that did not come about: a *RankError, unless the caller's context has ended or
// the store does not answer. Where time was up it names the ranks without a key.
func (g *Group) incomplete(ctx context.Context, key, what string, err error) error {
	if ctx.Err() == nil { // the process that keeps the store has ended, or closed it
		return &RankError{Rank: g.rank, World: g.size, Op: "dist.NewGloo", Reason: err.Error()}
	}
	err = fmt.Errorf("dist.NewGloo: rank %d of %d: %w", g.rank, g.size, err)
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return err
	}
	absent, known := g.without(key)
	switch {
	case !known:
		return fmt.Errorf("%w; %s does not answer: the process that keeps it is stopped, hangs, or can't be reached", err, g.store.name)
	case len(absent) == 0:
		return fmt.Errorf("%w; all %d ranks had signed in", err, g.size)
	}
	if g.store.kept {
		time.Sleep(abortGrace) // a process that ends now takes the store along, in which the others find who is missing
	}
	missing := "missing: rank " + joined(absent)
	return &RankError{Rank: g.rank, World: g.size, Op: "dist.NewGloo", Reason: fmt.Sprintf("%v; %s, which %s", context.Cause(ctx), missing, what),
		Lost: absent, Waiting: []string{missing}, Cause: context.Cause(ctx)}
}

// without lists the other ranks that have not set their key. The context may have ended: the store gets a moment to
// answer.
func (g *Group) without(key string) (absent []int, known bool) {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	store := g.store
	if key == keyConnected && store.host != "" { // Gloo holds the connection while it waits for the others
		beside, err := store.beside(ctx)
		if err != nil {
			return nil, false
		}
		defer beside.Close()
		store = beside
	}
	for _, r := range g.others() {
		there, err := store.check(ctx, rankKey(key, r))
		if err != nil {
			return nil, false
		}
		if !there {
			absent = append(absent, r)
		}
	}
	return absent, true
}

func joined(ranks []int) string {
	words := make([]string, len(ranks))
	for i, r := range ranks {
		words[i] = strconv.Itoa(r)
	}
	return strings.Join(words, ", ")
}

// dial lets Gloo connect. That can't be interrupted: when within, the context with the deadline, ends first, it is left
// to finish by itself. A group that doesn't come about gives its view of the store back. The group lives as long as
// ctx.
func dial(ctx, within context.Context, g *Group, debug bool) (*Group, error) {
	host, interfaces, err := g.address(within)
	if err != nil {
		g.store.Close()
		return nil, err
	}
	type outcome struct {
		c   cgotorch.Group
		err *cgotorch.Error
	}
	done := make(chan outcome, 1)
	go func() {
		c, err := cgotorch.Gloo(g.store.c, g.rank, g.size, g.opts.Timeout, debug, host, g.prefixes()[0], interfaces)
		done <- outcome{c, err}
	}()
	select {
	case o := <-done:
		if o.err != nil {
			g.store.Close()
			return nil, &RankError{Rank: g.rank, World: g.size, Op: "dist.NewGloo",
				Reason: fmt.Sprintf("can't connect from %s: %s", from(host, interfaces), text.FirstLine(o.err.Message))}
		}
		g.c = o.c
		if !g.pytorch { // its ranks look for no such key
			_ = g.store.set(within, rankKey(keyConnected, g.rank), []byte("1")) // serves to name the ranks that are late, and no more
		}
		g.endpoints = g.readEndpoints(within, debug)
		return newGroup(ctx, g), nil
	case <-within.Done():
		err := fmt.Errorf("connecting from %s: %w", from(host, interfaces), context.Cause(within))
		if g.pytorch {
			err = fmt.Errorf("dist.NewGlooWithPyTorch: rank %d of %d, %w", g.rank, g.size, err)
		} else {
			err = g.incomplete(within, keyConnected, "has not connected", err)
		}
		go func() {
			if o := <-done; o.err == nil {
				o.c.Free()
			}
			g.store.Close()
		}()
		return nil, err
	}
}

// prefixes stand before Gloo's own keys in the store: those of the collectives, and of the comparisons in debug mode. Ranks
// of PyTorch know none.
func (g *Group) prefixes() [2]string {
	if g.pytorch {
		return [2]string{}
	}
	return [2]string{"lines", "calls"}
}

func from(host string, interfaces []string) string {
	if len(interfaces) > 0 {
		return strings.Join(interfaces, ", ")
	}
	return host
}
