package serial

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMemories compares with a look at every byte.
func TestMemories(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, most := range []int{3, 40, 3000} { // the longest run: few and many find room
		all := make([]byte, 1<<16)
		used := make([]bool, len(all))
		var m memories
		added := 0
		for range 20000 {
			from := random.IntN(len(all))
			to := min(from+random.IntN(most), len(all))
			free := true
			for _, u := range used[from:to] {
				free = free && !u
			}
			require.Equal(t, free, m.add(all[from:to]), "[%d, %d)", from, to)
			if free {
				for i := from; i < to; i++ {
					used[i] = true
				}
				added++
			}
		}
		require.Greater(t, added, 10)
		n := 0
		for _, b := range m.blocks {
			require.NotEmpty(t, b)
			require.LessOrEqual(t, len(b), mostRuns)
			n += len(b)
		}
		require.LessOrEqual(t, n, added)
	}
}
