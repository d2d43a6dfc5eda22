package torch

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCollectionsThatAreWorthIt(t *testing.T) {
	pacer.Lock()
	defer pacer.Unlock()
	before := pacer.lastDuration
	defer func() { pacer.lastDuration = before }()
	const mib = 1 << 20
	for _, c := range []struct {
		what       string
		base, live int64
		soon, long bool
		worth      bool
	}{
		{"little of little", 0, 3 * mib, false, false, false},
		{"what is looked at", 0, 4 * mib, false, false, true},
		{"less than a share", 1200 * mib, 1299 * mib, false, false, false},
		{"a share", 1200 * mib, 1300 * mib, false, false, true},
		{"a share, just after another", 1200 * mib, 1300 * mib, true, false, false},
		{"a quarter, just after another", 1200 * mib, 1500 * mib, true, false, true},
		{"a quarter, where one takes long", 1200 * mib, 1500 * mib, true, true, false},
		{"half, where one takes long", 1200 * mib, 1800 * mib, true, true, true},
	} {
		pacer.lastDuration = time.Millisecond
		if c.long {
			pacer.lastDuration = time.Second
		}
		require.Equal(t, c.worth, shouldCollect(c.base, c.live, c.soon), c.what)
	}
}

// What libtorch has reserved on GPUs is used before anything there is collected.
func TestRoomOnGPUs(t *testing.T) {
	require.True(t, gpuCacheHasRoom(5<<30, 12<<30), "a step within what the one before took")
	require.False(t, gpuCacheHasRoom(11<<30+1, 12<<30), "near what it took")
	require.False(t, gpuCacheHasRoom(5<<30, 5<<30+20<<20), "the first step: libtorch has no more than it uses")
	require.False(t, gpuCacheHasRoom(0, 0))
}
