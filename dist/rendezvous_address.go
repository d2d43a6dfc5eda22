package dist

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/golite/golite/dist/internal/health"
)

// loopback reports whether a host's name can only mean this machine. Other names may lead to a loopback address as
// well, on the machine that they are the name of.
func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// route finds the addresses, here and there, between which this machine reaches the store.
func (s *Store) route(ctx context.Context) (here, there net.IP, err error) {
	// Connecting a UDP socket sends nothing: the kernel only looks up the route.
	c, err := (&net.Dialer{}).DialContext(ctx, "udp", net.JoinHostPort(s.host, strconv.Itoa(s.port)))
	if err != nil {
		return nil, nil, fmt.Errorf("dist.NewGloo: no route to %s: %w; name a network interface in GLOO_SOCKET_IFNAME",
			s.host, err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).IP, c.RemoteAddr().(*net.UDPAddr).IP, nil
}

// publishRoute writes where this rank reaches the store, where that may be another address for others.
func (t *glooTransport) publishRoute(ctx context.Context, rank int) error {
	if t.store.host == "" || loopback(t.store.host) {
		return nil
	}
	_, there, err := t.store.route(ctx)
	if err != nil {
		return err
	}
	return t.store.set(ctx, health.Key(keyRoute, rank), []byte(there.String()))
}

// address chooses where Gloo listens: the interfaces that were named, else the address from which this machine reaches
// the store. Where the store's host is this machine, its name may lead to a loopback address, of no use to other
// machines: then it is the address that they use.
func (t *glooTransport) address(ctx context.Context, g *Group) (host string, interfaces []string, err error) {
	interfaces = g.opts.Interfaces
	if env := os.Getenv("GLOO_SOCKET_IFNAME"); len(interfaces) == 0 && env != "" {
		interfaces = strings.Split(env, ",")
	}
	for _, name := range interfaces {
		if _, err := net.InterfaceByName(name); err != nil {
			return "", nil, fmt.Errorf("dist.NewGloo: this machine has no network interface %q; it has %s", name,
				interfaceNames())
		}
	}
	if len(interfaces) > 0 {
		return "", interfaces, nil
	}
	if t.store.host == "" || loopback(t.store.host) {
		// a file, memory, or a store of this machine's: the ranks share it unless an interface is named
		return "127.0.0.1", nil, nil
	}
	here, _, err := t.store.route(ctx)
	if err == nil && here.IsLoopback() && g.size > 1 {
		here, err = t.seenFromOutside(ctx, g, here)
	}
	if err != nil {
		return "", nil, err
	}
	return here.String(), nil, nil
}

// seenFromOutside is the address by which ranks on other machines reach the store's machine, this one. Without any it
// is the one given.
func (t *glooTransport) seenFromOutside(ctx context.Context, g *Group, inside net.IP) (net.IP, error) {
	mine, err := ownAddresses()
	if err != nil {
		return nil, fmt.Errorf("dist.NewGloo: the addresses of this machine: %w; name a network interface in "+
			"GLOO_SOCKET_IFNAME", err)
	}
	if g.transport.foreign() { // its ranks publish no routes
		if len(mine) == 1 {
			return mine[0], nil
		}
		return nil, t.nameAnInterface(mine)
	}
	outside := false
	for r := range g.size {
		v, err := t.store.Get(ctx, health.Key(keyRoute, r))
		if err != nil {
			return nil, err
		}
		seen := net.ParseIP(string(v))
		if seen == nil || seen.IsLoopback() {
			continue
		}
		outside = true
		for _, ip := range mine {
			if ip.Equal(seen) {
				return ip, nil
			}
		}
	}
	if outside {
		return nil, t.nameAnInterface(mine)
	}
	return inside, nil
}

func (t *glooTransport) nameAnInterface(mine []net.IP) error {
	return fmt.Errorf("dist.NewGloo: %q leads to a loopback address on this machine, and which of its addresses %v "+
		"others can reach is not known; name its network interface in GLOO_SOCKET_IFNAME (there are %s)",
		t.store.host, mine, interfaceNames())
}

// ownAddresses lists this machine's addresses that other machines can use.
func ownAddresses() ([]net.IP, error) {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var own []net.IP
	for _, a := range list {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			own = append(own, n.IP)
		}
	}
	return own, nil
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
