package torch

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/cgotorch"
)

// mostLive runs f, which calls seen now and then, and returns by how many the live tensors rose at most.
func mostLive(f func(seen func())) int {
	collectNow() // other tests' tensors are not to be counted
	before := LiveTensors()
	var most atomic.Int64
	f(func() {
		for n := int64(LiveTensors() - before); ; {
			if m := most.Load(); n <= m || most.CompareAndSwap(m, n) {
				return
			}
		}
	})
	return int(most.Load())
}

// What a long scope's program has dropped is freed before the scope's end, however small it is; its log does not grow
// with it.
func TestLongScopesFreeSmallTensors(t *testing.T) {
	for _, c := range []struct {
		what  string
		n     int // elements of a tensor
		count int
		most  int
	}{
		{"4 floats", 4, 300_000, 100_000},
		{"4 KB", 1 << 10, 100_000, 20_000},
		{"100 KB", 25 << 10, 4_000, 800},
	} {
		t.Run(c.what, func(t *testing.T) {
			x := Ones(c.n)
			most := mostLive(func(seen func()) {
				Scope(func() {
					s := scopeOf(cgotorch.Scope())
					y := x
					for i := range c.count {
						if y = x.Add(y); i%(c.count/50) == 0 {
							seen()
						}
					}
					require.LessOrEqual(t, len(s.log), scopeLog+2*c.most)
				})
			})
			t.Logf("at most %d of %d live at once", most, c.count)
			require.Less(t, most, c.most)
		})
	}
}

// A view costs its objects, whatever it is a view of.
func TestLongScopesFreeViews(t *testing.T) {
	x := Ones(1000, 1000)
	most := mostLive(func(seen func()) {
		Scope(func() {
			for i := range 200_000 {
				if x.Select(0, i%1000); i%5000 == 0 {
					seen()
				}
			}
		})
	})
	require.Less(t, most, 100_000)
}

// A short scope leaves its tensors to its end: a cleanup for each would double what a small operation costs.
func TestShortScopesNeedNoCleanups(t *testing.T) {
	s := &scope{}
	for range 1000 {
		require.True(t, s.join(0, 64))
	}
	require.False(t, s.join(0, 1<<20), "a big tensor")
	for range scopeHolds / objectBytes {
		s.join(0, 64)
	}
	require.False(t, s.join(0, 64), "one of many")
}

// Goroutines that make small tensors without a scope don't make them faster than they are freed.
func TestManyProducersOfSmallTensors(t *testing.T) {
	const producers, each = 10, 60_000
	most := mostLive(func(seen func()) {
		var wg sync.WaitGroup
		for range producers {
			wg.Go(func() {
				x := Ones(27)
				for i := range each {
					if x.Add(x); i%2000 == 0 {
						seen()
					}
				}
			})
		}
		wg.Wait()
	})
	t.Logf("at most %d of %d live at once", most, producers*each)
	require.Less(t, most, 200_000)
}

// A service with a goroutine for each request, none of which opens a scope.
func TestAGoroutineForEachRequest(t *testing.T) {
	const requests, each = 4000, 100
	most := mostLive(func(seen func()) {
		x := Ones(27)
		var wg sync.WaitGroup
		slots := make(chan struct{}, 16)
		for i := range requests {
			slots <- struct{}{}
			wg.Go(func() {
				y := x
				for range each {
					y = y.Add(x)
				}
				require.EqualValues(t, each+1, y.Index(3).Item())
				<-slots
			})
			if i%100 == 0 {
				seen()
			}
		}
		wg.Wait()
	})
	t.Logf("at most %d of %d live at once", most, requests*each)
	require.Less(t, most, 200_000)
}

// A program that holds many tensors is not kept waiting: the collections that find nothing become rare as it grows.
func TestHoldingManyTensorsCollectsRarely(t *testing.T) {
	collectNow()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var wg sync.WaitGroup
	held := make([][]*Tensor, 4)
	for g := range held {
		wg.Go(func() {
			x := Ones(27)
			for range 50_000 {
				held[g] = append(held[g], x.Add(x))
			}
		})
	}
	wg.Wait()
	runtime.ReadMemStats(&after)
	forced := after.NumForcedGC - before.NumForcedGC
	t.Logf("%d collections for 200,000 tensors", forced)
	require.Less(t, forced, uint32(60))
	for _, h := range held {
		require.False(t, slices.ContainsFunc(h, (*Tensor).Released))
	}
}

// A goroutine waits for another's collection for a bounded time, and only where tensors come too fast.
func TestTakingTurns(t *testing.T) {
	pacer.Lock()
	begin := time.Now()
	require.False(t, takeTurn(paceLook))
	require.Less(t, time.Since(begin), 50*time.Millisecond)
	require.False(t, takeTurn(paceAhead*paceLook))
	time.AfterFunc(5*time.Millisecond, pacer.Unlock)
	require.True(t, takeTurn(paceAhead*paceLook))
	pacer.Unlock()
}
