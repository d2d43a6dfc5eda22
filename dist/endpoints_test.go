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
