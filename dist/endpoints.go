package dist

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"

	"github.com/golite/golite/dist/internal/health"
)

// readEndpoints reads the addresses of all ranks, which Gloo has left in the store. What can't be read is left out: it
// serves to name lost ranks only.
func readEndpoints(ctx context.Context, s *Store, size int, debug bool) []health.Endpoint {
	if size == 1 {
		return nil
	}
	prefixes := []string{linesPrefix, callsPrefix}
	if !debug {
		prefixes = prefixes[:1]
	}
	var list []health.Endpoint
	for r := range size {
		for _, p := range prefixes {
			key := fmt.Sprintf("%s/0/%d", p, r)
			if there, err := s.check(ctx, key); err != nil || !there {
				continue
			}
			if v, err := s.read(ctx, key); err == nil {
				if ip, port, ok := parseEndpoint(v); ok {
					list = append(list, health.Endpoint{Rank: r, IP: ip, Port: port})
				}
			}
		}
	}
	return list
}

// parseEndpoint reads Gloo's description of a rank: the machine's name, and the address of a socket, each after its
// length.
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
