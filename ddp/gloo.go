package ddp

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/golite/golite/cgotorch"
)

// NewGloo makes the group of a rank whose peers are other processes, over Gloo (torch.distributed.init_process_group with
// backend gloo). It waits until all have come and are connected. The store is used on until the group is closed.
// The group is aborted when ctx is cancelled.
func NewGloo(ctx context.Context, s *Store, rank, size int, opts ...Options) (*Group, error) {
	o, err := optional("ddp.NewGloo", opts)
	if err != nil {
		return nil, err
	}
	if rank < 0 || rank >= size {
		return nil, fmt.Errorf("ddp.NewGloo: there is no rank %d among %d", rank, size)
	}
	return connect(ctx, &Group{rank: rank, size: size, opts: o, store: s})
}

// NewGlooWithPyTorch makes the group of a rank among ranks of which some are Python processes that call
// torch.distributed.init_process_group("gloo"). The store is the TCPStore at their init_method's address, kept by rank 0,
// in Go, or in Python (then with Workers set to size here). Collectives and DistributedDataParallel of both sides fit together.
// Ranks don't compare their calls, don't tell each other why they end, and have no sub-groups.
func NewGlooWithPyTorch(ctx context.Context, s *Store, rank, size int, opts ...Options) (*Group, error) {
	o, err := optional("ddp.NewGlooWithPyTorch", opts)
	if err != nil {
		return nil, err
	}
	if rank < 0 || rank >= size {
		return nil, fmt.Errorf("ddp.NewGlooWithPyTorch: there is no rank %d among %d", rank, size)
	}
	o.NoDebug, o.Debug = true, false
	// The names under which PyTorch's default group, its first backend and its CPU device look for each other.
	for _, p := range []string{"default_pg", "0/", "cpu/"} {
		if s, err = s.Prefix(p); err != nil {
			return nil, err
		}
	}
	g := &Group{rank: rank, size: size, opts: o, store: s, pytorch: true}
	if g.opts.Timeout <= 0 {
		g.opts.Timeout = DefaultTimeout
	}
	return dial(ctx, g, false)
}

// connect brings the ranks together in the store, and then Gloo.
func connect(ctx context.Context, g *Group) (*Group, error) {
	if g.opts.Timeout <= 0 {
		g.opts.Timeout = DefaultTimeout
	}
	debug, err := g.meet(ctx)
	if err != nil {
		return nil, err
	}
	return dial(ctx, g, debug)
}

// meet waits until every rank has signed in, so that the one that is missing can be named, and takes over rank 0's
// choice of debug mode.
func (g *Group) meet(ctx context.Context) (debug bool, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, g.opts.Timeout, fmt.Errorf("time is up after %v", g.opts.Timeout))
	defer cancel()
	if g.rank == 0 {
		mode := (g.opts.Debug || testing.Testing()) && !g.opts.NoDebug
		if err := g.store.Set("golite/debug", strconv.AppendBool(nil, mode)); err != nil {
			return false, err
		}
	}
	here := func(r int) string { return fmt.Sprintf("golite/here/%d", r) }
	if n, err := g.store.Add(here(g.rank), 1); err != nil {
		return false, err
	} else if n > 1 {
		return false, fmt.Errorf("ddp.NewGloo: another process is rank %d already; two jobs must not share a store", g.rank)
	}
	for r := range g.size {
		if err := g.store.Wait(ctx, here(r)); err != nil {
			return false, fmt.Errorf("ddp.NewGloo: rank %d of %d waits for the others, %s: %w", g.rank, g.size, g.missing(here), err)
		}
	}
	v, err := g.store.Get(ctx, "golite/debug")
	return string(v) == "true", err
}

func (g *Group) missing(key func(int) string) string {
	var absent []string
	for r := range g.size {
		if ok, err := g.store.Check(key(r)); err != nil {
			return "and the store is gone"
		} else if !ok {
			absent = append(absent, strconv.Itoa(r))
		}
	}
	return "missing: rank " + strings.Join(absent, ", ")
}

// dial lets Gloo connect. That can't be interrupted: when the context ends first, it is left to finish by itself.
func dial(ctx context.Context, g *Group, debug bool) (*Group, error) {
	host, interfaces, err := g.address()
	if err != nil {
		return nil, err
	}
	type outcome struct {
		c   cgotorch.Group
		err *cgotorch.Error
	}
	done := make(chan outcome, 1)
	go func() {
		c, err := cgotorch.Gloo(g.store.c, g.rank, g.size, g.opts.Timeout, debug, host, g.linesPrefix(), interfaces)
		done <- outcome{c, err}
	}()
	select {
	case o := <-done:
		if o.err != nil {
			return nil, fmt.Errorf("ddp.NewGloo: rank %d of %d can't connect from %s: %s", g.rank, g.size, from(host, interfaces), firstLine(o.err.Message))
		}
		g.c = o.c
		return newGroup(ctx, g), nil
	case <-ctx.Done():
		go func() {
			if o := <-done; o.err == nil {
				o.c.Free()
			}
		}()
		return nil, fmt.Errorf("ddp.NewGloo: rank %d of %d, connecting from %s: %w", g.rank, g.size, from(host, interfaces), context.Cause(ctx))
	}
}

// linesPrefix stands before Gloo's own keys in the store. Ranks of PyTorch know none.
func (g *Group) linesPrefix() string {
	if g.pytorch {
		return ""
	}
	return "lines"
}

func from(host string, interfaces []string) string {
	if len(interfaces) > 0 {
		return strings.Join(interfaces, ", ")
	}
	if host == "" {
		return "this machine's name"
	}
	return host
}

// address chooses where Gloo listens: the interfaces asked for, else the address from which this machine reaches the
// store. What the machine's own name leads to is often a loopback address, and of no use to other machines.
func (g *Group) address() (host string, interfaces []string, err error) {
	interfaces = g.opts.Interfaces
	if env := os.Getenv("GLOO_SOCKET_IFNAME"); len(interfaces) == 0 && env != "" {
		interfaces = strings.Split(env, ",")
	}
	for _, name := range interfaces {
		if _, err := net.InterfaceByName(name); err != nil {
			return "", nil, fmt.Errorf("ddp.NewGloo: this machine has no network interface %q; it has %s", name, interfaceNames())
		}
	}
	if len(interfaces) > 0 {
		return "", interfaces, nil
	}
	if g.store.host == "" {
		return "127.0.0.1", nil, nil // a file, or memory: the ranks share a machine unless an interface is named
	}
	// Connecting a UDP socket sends nothing: it only asks for the route.
	c, err := net.Dial("udp", net.JoinHostPort(g.store.host, strconv.Itoa(g.store.port)))
	if err != nil {
		return "", nil, fmt.Errorf("ddp.NewGloo: no way from here to %s: %w; name a network interface in GLOO_SOCKET_IFNAME", g.store.host, err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).IP.String(), nil, nil
}

func interfaceNames() string {
	list, err := net.Interfaces()
	if err != nil {
		return "none that can be listed"
	}
	var names []string
	for _, i := range list {
		names = append(names, i.Name)
	}
	return strings.Join(names, ", ")
}
