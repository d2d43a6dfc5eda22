package dist_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/ranktest"
)

// Ranks that wait for one at work wait for longer than a collective may take, and for the last one at work.
func TestWithoutTimeout(t *testing.T) {
	for _, kind := range ranktest.Kinds {
		t.Run(kind, func(t *testing.T) {
			start := time.Now()
			errs := ranktest.Run(t, kind, 3, dist.Options{Timeout: 300 * time.Millisecond},
				func(_ context.Context, g *dist.Group) error {
					for round, seconds := range []float64{0, 1.5} {
						ended := false
						work := []func(){
							func() { time.Sleep(time.Duration(seconds * float64(time.Second))); ended = true },
							func() { time.Sleep(50 * time.Millisecond); ended = true },
							nil,
						}[g.Rank()]
						g.WithoutTimeout(work)
						if took := time.Since(start); took.Seconds() < seconds || ended != (work != nil) {
							return errors.New("it didn't wait for the last one")
						}
						if got := g.AllReduce(filled(float64(round), 1), dist.Sum).Item(); got != float64(3*round) {
							return errors.New("the next collective is out of step")
						}
					}
					return nil
				})
			ranktest.RequireNone(t, errs)
			require.Less(t, time.Since(start), 20*time.Second)
		})
	}
}

// What ends a collective ends the wait, soon: a panic of the one at work, the context, a rank that has left, one that
// never comes.
func TestWithoutTimeoutEnds(t *testing.T) {
	const timeout = time.Second
	for _, kind := range ranktest.Kinds {
		for how, want := range map[string]string{"panic": "gave up", "cancel": "cancelled", "leave": "",
			"absent": "time is up"} {
			t.Run(kind+"/"+how, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				start := time.Now()
				errs := ranktest.RunWith(t, ctx, 3, ranktest.Joiner(t, kind, 3, dist.Options{Timeout: timeout}),
					func(ctx context.Context, g *dist.Group) error {
						switch {
						case g.Rank() == 0 && how == "panic":
							defer func() { _ = recover(); g.Abort("rank 0 gave up") }()
							g.WithoutTimeout(func() { time.Sleep(100 * time.Millisecond); panic("gave up") })
						case g.Rank() == 0 && how == "cancel":
							g.WithoutTimeout(func() { time.Sleep(100 * time.Millisecond); cancel(errors.New("cancelled")) })
						case g.Rank() == 0:
							g.WithoutTimeout(func() { time.Sleep(3 * timeout) })
						case g.Rank() == 2 && how == "leave":
							return nil
						case g.Rank() == 2 && how == "absent":
							time.Sleep(3 * timeout)
						default:
							g.WithoutTimeout(nil)
						}
						return nil
					})
				var lost *dist.RankError
				require.ErrorAs(t, errs[1], &lost)
				require.ErrorContains(t, errs[1], want)
				require.Less(t, time.Since(start), 15*time.Second)
				if how != "panic" {
					require.ErrorAs(t, errs[0], &lost, "the rank at work fails when its function has ended")
				}
			})
		}
	}
}
