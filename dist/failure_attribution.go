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

// line is where Gloo listens on a rank.
type line struct {
	rank int
	ip   string
	port int
}

// readLines reads where the ranks listen, from what Gloo has left in the store. What can't be read is left out: it serves to
// say who was lost, and no more.
func (g *Group) readLines(ctx context.Context, debug bool) []line {
	if g.pytorch || g.size == 1 {
		return nil
	}
	prefixes := g.prefixes()
	use := prefixes[:1]
	if debug {
		use = prefixes[:]
	}
	var list []line
	for r := range g.size {
		for _, p := range use {
			key := fmt.Sprintf("%s/0/%d", p, r)
			if there, err := g.store.check(ctx, key); err != nil || !there {
				continue
			}
			if v, err := g.store.read(ctx, key); err == nil {
				if ip, port, ok := parseLine(v); ok {
					list = append(list, line{r, ip, port})
				}
			}
		}
	}
	return list
}

// parseLine reads Gloo's description of a rank: the machine's name, and the address of a socket, each after its length.
func parseLine(b []byte) (ip string, port int, ok bool) {
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

// lostPeer is how a rank tells that a connection has closed: the rank, what it was in, and the other end.
var lostPeer = regexp.MustCompile(`rank (\d+) lost a peer in .*\[([0-9a-fA-F.:]+)\]:(\d+)`)

// goneFrom is how a rank tells it of one that shared memory with it.
var goneFrom = regexp.MustCompile(`lost a peer in .*: rank (\d+) has (?:ended|left the group)`)

// suspects are the ranks to which the connection may have led of which a reason tells: the one that listens there. Of a
// connection that was made from the other side only the machine is known.
func (g *Group) suspects(reason string) []int {
	if m := goneFrom.FindStringSubmatch(reason); m != nil {
		rank, _ := strconv.Atoi(m[1])
		return []int{rank}
	}
	m := lostPeer.FindStringSubmatch(reason)
	if m == nil {
		return nil
	}
	teller, _ := strconv.Atoi(m[1])
	port, _ := strconv.Atoi(m[3])
	var exact, there []int
	for _, l := range g.lines {
		if l.ip != m[2] || l.rank == teller {
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

// missed names the rank that was lost. Those whose connections closed because they had lost one themselves are not: they
// say so in the store, and get a moment for that. Where the store is gone as well it isn't known, but of two ranks.
func (g *Group) missed(reason string) []int {
	suspects := g.suspects(reason)
	for range 10 {
		if len(suspects) == 0 {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
		for _, r := range slices.Clone(suspects) {
			v, answered := g.look(of(keyFailed, r))
			if !answered && g.size > 2 {
				return nil
			}
			if v != "" {
				suspects = slices.DeleteFunc(suspects, func(s int) bool { return s == r })
			}
			if !answered {
				return suspects
			}
		}
	}
	if len(suspects) != 1 {
		return nil
	}
	return suspects
}

// failure makes the *RankError of a collective that ended with a reason.
func (g *Group) failure(op, site, reason string) *RankError {
	reason, _, _ = strings.Cut(reason, "\nException raised from ") // C++ adds its stack
	e := &RankError{Rank: g.rank, World: g.size, Op: op, Site: site, Reason: reason}
	if g.hub != nil {
		g.settle()
	}
	if strings.Contains(reason, "lost a peer") {
		g.write(of(keyFailed, g.rank), "1")
	}
	if told := g.toldSoon(); told != "" && !strings.Contains(reason, told) {
		e.Reason = told
	}
	g.freeSubs(e.Reason)
	g.mu.Lock()
	e.Cause, e.Lost = g.cause, g.lost
	if g.lateDump != nil {
		e.Waiting, e.Stacks = g.lateDump.waiting, g.lateDump.stacks
	}
	g.mu.Unlock()
	if e.Lost == nil {
		if e.Lost = g.missed(e.Reason); len(e.Lost) == 1 {
			e.Reason += fmt.Sprintf(" (rank %d)", e.Lost[0])
		}
	}
	return e
}

// settle waits until a goroutine's group knows that it was aborted, if it was: the hub knows a moment earlier, and refuses
// calls.
func (g *Group) settle() {
	for range 100 {
		if aborted, _ := g.Aborted(); aborted {
			return
		}
		time.Sleep(100 * time.Microsecond)
	}
}
