package dist

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/dist/internal/health"
	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/internal/text"
)

// NewGloo makes the group of a rank whose peers are other processes, over Gloo (torch.distributed.init_process_group
// with backend gloo). It waits until all have signed in and are connected. The group is aborted when ctx is cancelled.
// Two groups must not share a store, other than through a Prefix of each its own. Where all ranks are on one host
// (Linux, one network, and each may open the others' files in /proc), collectives of CPU tensors go through memory that
// they share, all but AllToAll, AllToAllSingle, Send, Recv and Barrier. The bits are the same.
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

// glooTransport connects processes, by a view of the store that is the group's own.
type glooTransport struct {
	store *Store
	ends  []health.Endpoint // where Gloo listens on the ranks
}

func (*glooTransport) inProcess() bool                { return false }
func (*glooTransport) foreign() bool                  { return false }
func (t *glooTransport) endpoints() []health.Endpoint { return t.ends }
func (*glooTransport) leave(*Group)                   {}
func (t *glooTransport) close()                       { t.store.Close() }

func (t *glooTransport) board(g *Group) health.Board {
	return health.NewStoreBoard(t.store, g.rank, g.size, g.size == 1)
}

func (t *glooTransport) keepsBoard() bool { return t.store.kept }

func (t *glooTransport) sub(ctx context.Context, sub *Group, _ cgotorch.Group) (*Group, error) {
	return connect(ctx, t.store, sub.name, sub)
}

func (t *glooTransport) bootstrap(*Group) (cgotorch.Store, func(), error) {
	return t.store.c, func() {}, nil
}

// connect signs the rank in at the store, under a name, and then connects Gloo. The group has a view of the store that
// is its own.
func connect(ctx context.Context, s *Store, name string, g *Group) (*Group, error) {
	view, err := s.Prefix(name)
	if err != nil {
		return nil, err
	}
	t := &glooTransport{store: view}
	g.transport, g.opts = t, g.opts.filled()
	within, cancel := g.deadline(ctx)
	defer cancel()
	debug, err := t.signIn(within, g)
	if err != nil {
		view.Close()
		return nil, err
	}
	c, err := t.dial(within, g, debug, linesPrefix, func(err error) error {
		return t.incomplete(within, g, keyConnected, "has not connected", err)
	})
	if err != nil {
		return nil, err
	}
	g.c = c
	// serves to name the ranks that are late, and no more
	_ = view.set(within, health.Key(keyConnected, g.rank), []byte("1"))
	t.ends = readEndpoints(within, view, g.size, debug)
	return newGroup(ctx, g), nil
}

// Keys of the rendezvous.
const (
	keyPresent   = "here"      // by rank: it has signed in
	keyRoute     = "route"     // by rank: the store's address, as resolved on its machine
	keyConnected = "connected" // by rank: Gloo has reached all others
	keyLooked    = "looked"    // by rank: it has read which ranks are missing
)

// Prefixes of Gloo's own keys in the store: those of the collectives, and of the comparisons in debug mode.
const linesPrefix, callsPrefix = "lines", "calls"

// deadline ends ctx when the group's timeout is over: it bounds the whole rendezvous.
func (g *Group) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, g.opts.Timeout, timeUp(g.opts.Timeout))
}

// signIn waits until every rank has signed in, so that a missing one can be named, and takes over rank 0's choice of
// debug mode.
func (t *glooTransport) signIn(ctx context.Context, g *Group) (debug bool, err error) {
	if g.rank == 0 {
		if err := t.store.set(ctx, "debug", strconv.AppendBool(nil, g.opts.Debug)); err != nil {
			return false, err
		}
	}
	if err := t.publishRoute(ctx, g.rank); err != nil {
		return false, err
	}
	if n, err := t.store.add(ctx, health.Key(keyPresent, g.rank), 1); err != nil {
		return false, err
	} else if n > 1 {
		return false, fmt.Errorf("dist.NewGloo: another process is rank %d already; two jobs must not share a store", g.rank)
	}
	for r := range g.size {
		if err := t.store.Wait(ctx, health.Key(keyPresent, r)); err != nil {
			return false, t.incomplete(ctx, g, keyPresent, "has not come to dist.NewGloo", err)
		}
	}
	v, err := t.store.Get(ctx, "debug")
	return string(v) == "true", err
}

// incomplete is the error of a group that was not made: a *RankError, unless the caller's context has ended or the
// store does not answer. Where time was up it names the ranks without a key.
func (t *glooTransport) incomplete(ctx context.Context, g *Group, key, what string, err error) error {
	if ctx.Err() == nil { // the process that keeps the store has ended, or closed it
		return &RankError{Rank: g.rank, World: g.size, Op: "dist.NewGloo", Reason: err.Error()}
	}
	err = fmt.Errorf("dist.NewGloo: rank %d of %d: %w", g.rank, g.size, err)
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return err
	}
	absent, known := t.without(g, key)
	switch {
	case !known:
		return fmt.Errorf("%w; %s does not answer: the process that keeps it is stopped, hangs, or can't be reached", err,
			t.store.name)
	case len(absent) == 0:
		return fmt.Errorf("%w; all %d ranks had signed in", err, g.size)
	}
	missing := "missing: rank " + joined(absent)
	return &RankError{Rank: g.rank, World: g.size, Op: "dist.NewGloo", Reason: fmt.Sprintf("%v; %s, which %s",
		context.Cause(ctx), missing, what),
		Lost: absent, Waiting: []string{missing}, Cause: context.Cause(ctx)}
}

// without lists the other ranks that have not set their key. The context may have ended: the store has a moment to
// answer. The process that keeps the store stays until the ranks that have signed in have read it as well, or for
// readersTime.
func (t *glooTransport) without(g *Group, key string) (absent []int, known bool) {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	store := t.store
	if key == keyConnected && store.host != "" { // Gloo holds the connection while it waits for the others
		beside, err := store.beside(ctx)
		if err != nil {
			return nil, false
		}
		defer beside.Close()
		store = beside
	}
	var present []string
	for r := range g.size {
		if r == g.rank {
			continue
		}
		there, err := store.check(ctx, health.Key(key, r))
		switch {
		case err != nil:
			return nil, false
		case there:
			present = append(present, health.Key(keyLooked, r))
		default:
			absent = append(absent, r)
		}
	}
	_ = store.set(ctx, health.Key(keyLooked, g.rank), []byte("1"))
	if t.store.kept && len(present) > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), readersTime)
		defer cancel()
		// if this process ends now, so does the store, from which the others read which ranks are missing
		_ = store.Wait(ctx, present...)
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

// dial connects Gloo. That can't be interrupted: when within, the context with the deadline, ends first, it is left to
// finish by itself. A group that is not made releases its view of the store. prefix stands before Gloo's own keys in
// the store; "" is for ranks of PyTorch. late makes the error of a group that was not connected in time.
func (t *glooTransport) dial(within context.Context, g *Group, debug bool, prefix string,
	late func(error) error) (cgotorch.Group, error) {
	host, interfaces, err := t.address(within, g)
	if err != nil {
		t.store.Close()
		return 0, err
	}
	type outcome struct {
		c   cgotorch.Group
		err *cgotorch.Error
	}
	done := make(chan outcome, 1)
	go func() {
		c, err := cgotorch.Gloo(t.store.c, g.rank, g.size, g.opts.Timeout, debug, host, prefix, interfaces)
		done <- outcome{c, err}
	}()
	select {
	case o := <-done:
		if o.err != nil {
			t.store.Close()
			return 0, &RankError{Rank: g.rank, World: g.size, Op: "dist.NewGloo",
				Reason: fmt.Sprintf("can't connect from %s: %s", from(host, interfaces), text.FirstLine(o.err.Message))}
		}
		return o.c, nil
	case <-within.Done():
		err := late(fmt.Errorf("connecting from %s: %w", from(host, interfaces), context.Cause(within)))
		go func() {
			if o := <-done; o.err == nil {
				o.c.Free()
			}
			t.store.Close()
		}()
		return 0, err
	}
}

func from(host string, interfaces []string) string {
	if len(interfaces) > 0 {
		return strings.Join(interfaces, ", ")
	}
	return host
}
