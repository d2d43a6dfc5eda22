package dist

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// endpoint is the address at which Gloo listens on a rank.
type endpoint struct {
	rank int
	ip   string
	port int
}

// readEndpoints reads the addresses of all ranks, which Gloo has left in the store. What can't be read is left out: it serves
// to name lost ranks only.
func (g *Group) readEndpoints(ctx context.Context, debug bool) []endpoint {
	if g.pytorch || g.size == 1 {
		return nil
	}
	prefixes := g.prefixes()
	use := prefixes[:1]
	if debug {
		use = prefixes[:]
	}
	var list []endpoint
	for r := range g.size {
		for _, p := range use {
			key := fmt.Sprintf("%s/0/%d", p, r)
			if there, err := g.store.check(ctx, key); err != nil || !there {
				continue
			}
			if v, err := g.store.read(ctx, key); err == nil {
				if ip, port, ok := parseEndpoint(v); ok {
					list = append(list, endpoint{r, ip, port})
				}
			}
		}
	}
	return list
}

// parseEndpoint reads Gloo's description of a rank: the machine's name, and the address of a socket, each after its length.
func parseEndpoint(b []byte) (ip string, port int, ok bool) {
	next := func() []byte {
		if len(b) < 8 || binary.LittleEndian.Uint64(b) > uint64(len(b)-8) {
			return nil
		}
		n := 8 + int(binary.LittleEndian.Uint64(b))
		part := b[8:n]
		b = b[n:]
		return part
	}
	next()
	a := next()
	if len(a) < 24 {
		return "", 0, false
	}
	port = int(binary.BigEndian.Uint16(a[2:]))
	switch binary.NativeEndian.Uint16(a) {
	case familyIPv4:
		return net.IP(a[4:8]).String(), port, true
	case familyIPv6:
		return net.IP(a[8:24]).String(), port, true
	}
	return "", 0, false
}

// lostPeerPattern matches the reason of a closed connection: the reporting rank, and the address of the other end.
var lostPeerPattern = regexp.MustCompile(`rank (\d+) lost a peer in .*\[([0-9a-fA-F.:]+)\]:(\d+)`)

// exitedPeerPattern matches the reason of a peer in shared memory that has exited.
var exitedPeerPattern = regexp.MustCompile(`lost a peer in .*: rank (\d+) has (?:ended|left the group)`)

// candidates returns the ranks whose endpoint matches the address in a Gloo error. Of a connection that was made from the
// other side only the machine is known.
func (g *Group) candidates(reason string) []int {
	if m := exitedPeerPattern.FindStringSubmatch(reason); m != nil {
		rank, _ := strconv.Atoi(m[1])
		return []int{rank}
	}
	m := lostPeerPattern.FindStringSubmatch(reason)
	if m == nil {
		return nil
	}
	reporter, _ := strconv.Atoi(m[1])
	port, _ := strconv.Atoi(m[3])
	var exact, there []int
	for _, l := range g.endpoints {
		if l.ip != m[2] || l.rank == reporter {
			continue
		}
		if port == l.port || port == l.port>>8|l.port&255<<8 { // Gloo prints it as it lies in memory
			exact = append(exact, l.rank)
		}
		if !slices.Contains(there, l.rank) {
			there = append(there, l.rank)
		}
	}
	if len(exact) > 0 {
		return exact
	}
	return there
}

// lostRanks removes secondary failures from the candidates: ranks that have published keyFailed within 200 ms. Where the
// store does not answer the lost rank is known in a group of two only.
func (g *Group) lostRanks(reason string) []int {
	left := g.candidates(reason)
	for range 10 {
		if len(left) == 0 {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
		for _, r := range slices.Clone(left) {
			v, answered := g.getKey(rankKey(keyFailed, r))
			if !answered && g.size > 2 {
				return nil
			}
			if v != "" {
				left = slices.DeleteFunc(left, func(s int) bool { return s == r })
			}
			if !answered {
				return left
			}
		}
	}
	if len(left) != 1 {
		return nil
	}
	return left
}

// failure makes the *RankError of a collective that ended with a reason.
func (g *Group) failure(op, site, reason string) *RankError {
	reason, _, _ = strings.Cut(reason, "\nException raised from ") // C++ adds its stack
	e := &RankError{Rank: g.rank, World: g.size, Op: op, Site: site, Reason: reason}
	if g.local != nil {
		g.awaitAborted()
	}
	if strings.Contains(reason, "lost a peer") {
		g.setKey(rankKey(keyFailed, g.rank), "1")
	}
	if published := g.awaitAbortReason(); published != "" && !strings.Contains(reason, published) {
		e.Reason = published
	}
	g.freeSubs(e.Reason)
	g.mu.Lock()
	e.Cause, e.Lost = g.cause, g.lost
	if g.timeoutReport != nil {
		e.Waiting, e.Stacks = g.timeoutReport.waiting, g.timeoutReport.stacks
	}
	g.mu.Unlock()
	if e.Lost == nil {
		if e.Lost = g.lostRanks(e.Reason); len(e.Lost) == 1 {
			e.Reason += fmt.Sprintf(" (rank %d)", e.Lost[0])
		}
	}
	return e
}

// awaitAborted waits up to 10 ms for the abort flag: the in-process backend sets its own first, and refuses calls.
func (g *Group) awaitAborted() {
	for range 100 {
		if aborted, _ := g.Aborted(); aborted {
			return
		}
		time.Sleep(100 * time.Microsecond)
	}
}
