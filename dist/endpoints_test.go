package dist

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

// description4 makes Gloo's description of a rank, as it lies in the store.
func description4(host string, ip [4]byte, port uint16) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(host)))
	b = append(b, host...)
	b = binary.LittleEndian.AppendUint64(b, 136)
	a := make([]byte, 136)
	binary.NativeEndian.PutUint16(a, familyIPv4)
	binary.BigEndian.PutUint16(a[2:], port)
	copy(a[4:], ip[:])
	return append(b, a...)
}

func TestParseEndpoint(t *testing.T) {
	whole := description4("vm", [4]byte{10, 0, 0, 7}, 42357)
	ip, port, ok := parseEndpoint(whole)
	require.True(t, ok)
	require.Equal(t, "10.0.0.7", ip)
	require.Equal(t, 42357, port)
	for n := range whole {
		if _, _, ok := parseEndpoint(whole[:n]); ok {
			t.Fatalf("%d of %d bytes are taken for a description", n, len(whole))
		}
	}
	_, _, ok = parseEndpoint(binary.LittleEndian.AppendUint64(nil, 1<<63))
	require.False(t, ok)
}

func TestCandidates(t *testing.T) {
	g := &Group{rank: 0, size: 4, endpoints: []endpoint{
		{0, "10.0.0.1", 1000}, {1, "10.0.0.1", 0x8983}, {2, "10.0.0.2", 1000}, {3, "10.0.0.2", 2000},
	}}
	for reason, want := range map[string][]int{
		"rank 2 lost a peer in barrier (number 2): [pair.cc:547] Connection closed by peer [10.0.0.1]:33673":           {1}, // as it lies in memory
		"rank 3 lost a peer in barrier (number 2): [pair.cc:547] Connection closed by peer [10.0.0.1]:35203":           {1},
		"rank 1 lost a peer in barrier (number 2): [pair.cc:538] Read error [10.0.0.2]:5123: Connection reset by peer": {2, 3},
		"rank 0 lost a peer in barrier (number 2): [pair.cc:538] Read error [10.0.0.1]:5123: Connection reset by peer": {1},
		"rank 2 lost a peer in all_reduce(sum) of Float[3] (number 2) at a.go:7: Read error [10.0.0.2]:5123: reset":    {3},
		"rank 0 lost a peer in barrier: [10.9.9.9]:1":                                                                  nil,
		"rank 1 aborted the group: [10.0.0.1]:33673":                                                                   nil,
		"time is up after 1s: rank 0 waited in all_reduce":                                                             nil,
	} {
		require.Equal(t, want, g.candidates(reason), reason)
	}
}
