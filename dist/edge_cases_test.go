package dist_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/ranktest"
	"github.com/golite/golite/torch"
)

// TestAWaitForWhatIsDone returns, whatever became of the context meanwhile, and the group goes on.
func TestAWaitForWhatIsDone(t *testing.T) {
	ranktest.Everywhere(t, func(ctx context.Context, t *testing.T, g *dist.Group) error {
		ended, cancel := context.WithCancel(ctx)
		w := g.AllReduceAsync(filled(1, 1), dist.Sum)
		for !w.Done() {
			time.Sleep(time.Millisecond)
		}
		cancel()
		if err := w.Wait(ended); err != nil {
			return err
		}
		g.Barrier()
		return nil
	})
}

// TestNoCollectiveBeginsWhenTheContextHasEnded, however soon it does.
func TestNoCollectiveBeginsWhenTheContextHasEnded(t *testing.T) {
	for _, kind := range ranktest.AllKinds {
		for range 20 {
			ctx, cancel := context.WithCancel(t.Context())
			errs := ranktest.RunWith(t, ctx, 1, ranktest.Joiner(t, kind, 1, dist.Options{}),
				func(_ context.Context, g *dist.Group) error {
					g.Barrier()
					cancel()
					return dist.Try(g.Barrier)
				})
			require.ErrorIs(t, errs[0], context.Canceled)
		}
	}
}

// TestARankOfALocalWorldIsTakenOnce, and again when all have left.
func TestARankOfALocalWorldIsTakenOnce(t *testing.T) {
	world := dist.NewLocalWorld(2)
	defer world.Close()
	take := func(r int) *dist.Group {
		g, err := world.Group(t.Context(), r)
		require.NoError(t, err)
		return g
	}
	zero := take(0)
	_, err := world.Group(t.Context(), 0)
	require.ErrorContains(t, err, "dist.LocalWorld.Group: rank 0 has been taken already")
	one := take(1)
	zero.Close()
	_, err = world.Group(t.Context(), 0)
	require.ErrorContains(t, err, "rank 0 has closed its group, and others have not")
	one.Close()

	// The second round knows nothing of the first, also when ranks wait for each other for a while.
	join := func(ctx context.Context, r int) (*dist.Group, error) { return world.Group(ctx, r) }
	ranktest.RequireNone(t, ranktest.RunWith(t, t.Context(), 2, join, func(_ context.Context, g *dist.Group) error {
		if g.Rank() == 1 {
			time.Sleep(2500 * time.Millisecond)
		}
		if got := floats(g.AllReduce(filled(1, 1), dist.Sum))[0]; got != 2 {
			return fmt.Errorf("the sum is %v", got)
		}
		return g.Leave()
	}))
}

func TestValuesToAndFromOneRank(t *testing.T) {
	ranktest.Everywhere(t, func(ctx context.Context, t *testing.T, g *dist.Group) error {
		r, n, last := g.Rank(), g.Size(), g.Size()-1
		mine := greeting{strings.Repeat("x", r), []int{r}}
		list := dist.GatherValues(g, mine, last)
		if r == last {
			for i := range n {
				assert.Equal(t, greeting{strings.Repeat("x", i), []int{i}}, list[i])
			}
		}
		assert.Equal(t, r == last, len(list) == n)
		var parts []map[string]float64
		if r == 0 {
			for i := range n {
				parts = append(parts, map[string]float64{"rank": float64(i)})
			}
		}
		assert.Equal(t, map[string]float64{"rank": float64(r)}, dist.ScatterValues(g, parts, 0))
		if n == 1 {
			return nil
		}
		if r == 0 {
			seen := map[int]bool{}
			for range n - 1 {
				got, from := dist.RecvValue[greeting](g, dist.AnyRank, 5)
				assert.Equal(t, []int{from}, got.Ranks)
				seen[from] = true
			}
			assert.Len(t, seen, n-1)
		} else {
			dist.SendValue(g, mine, 0, 5)
		}
		g.Barrier()
		return nil
	})
}

// TestBytesBeyondOneMessage, of lengths that differ.
func TestBytesBeyondOneMessage(t *testing.T) {
	if testing.Short() {
		t.Skip("it sends 200 MB")
	}
	for _, kind := range ranktest.Kinds {
		ranktest.RequireNone(t, ranktest.Run(t, kind, 2, dist.Options{}, func(_ context.Context, g *dist.Group) error {
			b := []byte(strings.Repeat("golite", (1<<26+100)/6*(g.Rank()+1)))
			if got := g.BroadcastBytes(b, 0); len(got) != (1<<26+100)/6*6 || string(got[len(got)-6:]) != "golite" {
				return fmt.Errorf("%d bytes have come", len(got))
			}
			for i, got := range g.AllGatherBytes(b) {
				if len(got) != (1<<26+100)/6*6*(i+1) || string(got[len(got)-6:]) != "golite" ||
					string(got[1<<26-4:1<<26+2]) != "golite" {
					return fmt.Errorf("%d bytes have come from %d", len(got), i)
				}
			}
			return nil
		}))
	}
}

// TestALengthThatIsNone: a peer that is out of step, or hostile, makes no rank allocate memory for data that never
// comes.
func TestALengthThatIsNone(t *testing.T) {
	for _, length := range []int64{-1, 1 << 50, 1<<63 - 1} {
		for name, receive := range map[string]func(g *dist.Group){
			"BroadcastBytes": func(g *dist.Group) { g.BroadcastBytes(nil, 0) },
			"AllGatherBytes": func(g *dist.Group) { g.AllGatherBytes(nil) },
			"RecvBytes":      func(g *dist.Group) { g.RecvBytes(0, 1) },
		} {
			ranktest.RequireNone(t, ranktest.Run(t, "plain gloo", 2, dist.Options{},
				func(_ context.Context, g *dist.Group) error {
					if g.Rank() == 0 {
						n := torch.From([]int64{length}, 1)
						switch name {
						case "BroadcastBytes":
							g.Broadcast(n, 0)
						case "AllGatherBytes":
							g.AllGather(n)
						default:
							g.Send(n, 1, 1)
						}
						return nil
					}
					var te *torch.Error
					if err := dist.Try(func() { receive(g) }); !errors.As(err, &te) || !strings.Contains(err.Error(),
						"rank 0 announces") {
						return fmt.Errorf("%s of %d: %v", name, length, err)
					}
					return nil
				}))
		}
	}
}
