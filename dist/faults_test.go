package dist_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/golite/golite/ddp"
	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/ranktest"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

// freedIn bounds how long a rank may wait for one that will never come. What is waited for happens within milliseconds,
// but the machine may be busy.
const freedIn = 10 * time.Second

// rankErrors are the errors of ranks that other ranks have failed.
func rankErrors(t *testing.T, errs []error) []*dist.RankError {
	t.Helper()
	list := make([]*dist.RankError, len(errs))
	for r, err := range errs {
		re, ok := errors.AsType[*dist.RankError](err)
		require.True(t, ok, "rank %d: %v", r, err)
		require.Equal(t, r, re.Rank)
		list[r] = re
	}
	return list
}

// together runs three ranks of some kinds and gives their errors; they must end within the bound.
func together(t *testing.T, kinds []string, o dist.Options, f func(ctx context.Context, g *dist.Group) error,
	check func(t *testing.T, errs []error)) {
	t.Helper()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			start := time.Now()
			errs := ranktest.Run(t, kind, 3, o, f)
			require.Less(t, time.Since(start), freedIn)
			check(t, errs)
		})
	}
}

// TestAnAbortFreesEveryRank: one rank aborts while the others wait for it, and they learn why.
func TestAnAbortFreesEveryRank(t *testing.T) {
	together(t, ranktest.AllKinds, dist.Options{}, func(_ context.Context, g *dist.Group) error {
		g.Barrier()
		if g.Rank() == 1 {
			g.Abort("the disk is full")
		}
		again := dist.Try(g.Barrier)
		if aborted, why := g.Aborted(); !aborted || why == "" {
			return errors.New("the group doesn't know that it was aborted")
		}
		assert.Error(t, dist.Try(g.Barrier), "a collective after the abort")
		return again
	}, func(t *testing.T, errs []error) {
		for _, e := range rankErrors(t, errs) {
			require.Contains(t, e.Error(), "rank 1 aborted the group: the disk is full")
			require.Equal(t, "Barrier", e.Op)
			require.Contains(t, e.Site, "faults_test.go:")
		}
	})
}

// TestACancelledContextFreesEveryRank: the context is that of one rank, which waits itself.
func TestACancelledContextFreesEveryRank(t *testing.T) {
	for _, kind := range ranktest.AllKinds {
		t.Run(kind, func(t *testing.T) {
			join := ranktest.Joiner(t, kind, 3, dist.Options{})
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			enough := errors.New("enough")
			var waiting atomic.Int32
			var once sync.Once
			over := make(chan struct{})
			own := func(c context.Context, r int) (*dist.Group, error) {
				if r == 2 {
					c = ctx
				}
				return join(c, r)
			}
			start := time.Now()
			errs := ranktest.RunWith(t, t.Context(), 3, own, func(_ context.Context, g *dist.Group) error {
				g.Barrier()
				if g.Rank() == 1 { // it comes when all is over
					<-over
					return dist.Try(g.Barrier)
				}
				if waiting.Add(1) == 2 {
					time.AfterFunc(50*time.Millisecond, func() { cancel(enough) })
				}
				defer once.Do(func() { close(over) })
				g.AllReduce(filled(1, 4), dist.Sum)
				return nil
			})
			require.Less(t, time.Since(start), freedIn)
			for r, e := range rankErrors(t, errs) {
				require.Contains(t, e.Error(), "rank 2 aborted the group: its context ended: enough")
				require.Equal(t, r == 2, errors.Is(e, enough), "the cause is an error only where the context is")
			}
		})
	}
}

// TestAWaitThatIsGivenUp: a rank that doesn't wait to the end takes the others with it, as they could never end.
func TestAWaitThatIsGivenUp(t *testing.T) {
	// Compared calls meet before the collective begins.
	for _, kind := range []string{"inprocess", "plain gloo"} {
		t.Run(kind, func(t *testing.T) {
			over := make(chan struct{})
			errs := ranktest.Run(t, kind, 3, dist.Options{}, func(ctx context.Context, g *dist.Group) error {
				g.Barrier()
				switch g.Rank() {
				case 0:
					defer close(over)
					short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
					defer cancel()
					return g.AllReduceAsync(filled(1, 4), dist.Sum).Wait(short)
				case 1:
					return g.AllReduceAsync(filled(1, 4), dist.Sum).Wait(ctx)
				}
				<-over
				return dist.Try(g.Barrier)
			})
			for _, e := range rankErrors(t, errs) {
				require.Contains(t, e.Error(), "the wait for AllReduce was cancelled: context deadline exceeded")
			}
		})
	}
}

// TestRanksThatDisagree: calls that don't fit fail at once, on every rank, with the calls of all and where they were
// made.
func TestRanksThatDisagree(t *testing.T) {
	for name, c := range map[string]struct {
		one, other func(g *dist.Group)
		says       []string
	}{
		"kinds": {func(g *dist.Group) { g.AllReduce(filled(1, 2), dist.Sum) }, func(g *dist.Group) { g.Barrier() },
			[]string{"all_reduce(sum) of Float[2]", "barrier"}},
		"a skipped one": {func(g *dist.Group) { g.AllReduce(filled(1, 2), dist.Sum); g.Barrier() },
			func(g *dist.Group) { g.Barrier() },
			[]string{"all_reduce(sum) of Float[2]", "barrier"}},
		"shapes": {func(g *dist.Group) { g.AllReduce(filled(1, 2), dist.Sum) },
			func(g *dist.Group) { g.AllReduce(filled(1, 3), dist.Sum) }, []string{"Float[2]", "Float[3]"}},
		"types": {func(g *dist.Group) { g.AllReduce(filled(1, 2), dist.Sum) },
			func(g *dist.Group) { g.AllReduce(filled(1, 2).To(torch.Int32), dist.Sum) },
			[]string{"Float[2]", "Int[2]"}},
		"operations": {func(g *dist.Group) { g.AllReduce(filled(1, 2), dist.Sum) },
			func(g *dist.Group) { g.AllReduce(filled(1, 2), dist.Max) }, []string{"(sum)", "(max)"}},
		"roots": {func(g *dist.Group) { g.Broadcast(filled(1, 2), 0) },
			func(g *dist.Group) { g.Broadcast(filled(1, 2), 1) }, []string{"from rank 0", "from rank 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			together(t, ranktest.Kinds, dist.Options{}, func(_ context.Context, g *dist.Group) error {
				g.Barrier()
				if g.Rank() == 1 {
					c.other(g)
				} else {
					c.one(g)
				}
				return nil
			}, func(t *testing.T, errs []error) {
				for _, e := range rankErrors(t, errs) {
					require.Regexp(t, `ranks made different calls: .*rank \d .*\(number 2\) at dist/faults_test.go:\d+; rank \d .*\(number 2\) at dist/faults_test.go:\d+`, e.Reason)
					for _, text := range c.says {
						require.Contains(t, e.Reason, text)
					}
				}
			})
		})
	}
}

// TestATimeoutSaysWhoWaitedForWhat: the collective, the call site, the rank that isn't there, and the stacks, of that
// rank too.
func TestATimeoutSaysWhoWaitedForWhat(t *testing.T) {
	for _, kind := range ranktest.AllKinds {
		t.Run(kind, func(t *testing.T) {
			over := make(chan struct{})
			var once sync.Once
			errs := ranktest.Run(t, kind, 3, dist.Options{Timeout: 2 * time.Second},
				func(ctx context.Context, g *dist.Group) error {
					g.Barrier()
					if g.Rank() == 1 {
						elsewhere(over)
						return dist.Try(g.Barrier)
					}
					defer once.Do(func() { close(over) })
					g.AllReduce(filled(1, 7), dist.Sum)
					return nil
				})
			list := rankErrors(t, errs)
			told := 0
			for _, e := range []*dist.RankError{list[0], list[2]} {
				require.Contains(t, e.Reason, "time is up after 2s: rank")
				require.Contains(t, e.Reason, "waited in all_reduce(sum) of Float[7] (number 2) at dist/faults_test.go:")
				if len(e.Waiting) == 0 {
					continue // the other one was the first
				}
				told++
				require.Len(t, e.Waiting, 3)
				said := strings.Join(e.Waiting, "\n")
				for _, r := range []int{0, 2} {
					require.Contains(t, said, fmt.Sprintf("rank %d waits in all_reduce(sum) of Float[7] (number 2) at "+
						"dist/faults_test.go:", r))
				}
				require.Contains(t, said, "rank 1 is in no collective")
				require.Equal(t, []int{1}, e.Lost)
				require.Contains(t, string(e.Stacks), "dist_test.elsewhere(")
				if kind != "inprocess" {
					require.Regexp(t, `(?s)rank [02]:\ngoroutine .*rank 1:\ngoroutine`, string(e.Stacks))
				}
				require.Contains(t, e.Error(), "\n  stacks:\n    ")
				require.Less(t, len(e.Error()), 60_000)
			}
			require.Positive(t, told, "no error lists what the others waited for")
		})
	}
}

//go:noinline
func elsewhere(over <-chan struct{}) { <-over }

// TestWhatARankSaidOnceIsTakenBack: a rank that was slow once isn't said to wait in a collective that it left long ago.
func TestWhatARankSaidOnceIsTakenBack(t *testing.T) {
	errs := ranktest.Run(t, "plain gloo", 3, dist.Options{Timeout: 2 * time.Second},
		func(ctx context.Context, g *dist.Group) error {
			if g.Rank() == 0 {
				time.Sleep(1500 * time.Millisecond) // the others say that they wait in a barrier
			}
			g.Barrier()
			if g.Rank() == 2 {
				time.Sleep(4 * time.Second)
				return dist.Try(g.Barrier)
			}
			if g.Rank() == 1 {
				g.Recv(torch.Empty(1), 0, 1) // messages have no number
				return nil
			}
			g.Recv(torch.Empty(1), 2, 1)
			return nil
		})
	var said []string
	for _, e := range rankErrors(t, errs) {
		said = append(said, e.Waiting...)
	}
	text := strings.Join(said, "\n")
	require.Contains(t, text, "rank 0 waits in recv from rank 2")
	require.Contains(t, text, "rank 1 waits in recv from rank 0")
	require.Contains(t, text, "rank 2 is in no collective")
	require.NotContains(t, text, "barrier")
}

// TestARankThatLeft: the others can't wait for a rank that has closed its group, whichever it is, and name it.
func TestARankThatLeft(t *testing.T) {
	for victim := range 3 {
		t.Run(fmt.Sprint(victim), func(t *testing.T) {
			together(t, ranktest.AllKinds, dist.Options{}, func(_ context.Context, g *dist.Group) error {
				g.Barrier()
				if g.Rank() == victim {
					return nil
				}
				return dist.Try(g.Barrier)
			}, func(t *testing.T, errs []error) {
				require.NoError(t, errs[victim])
				named := 0
				for r, err := range errs {
					if r == victim {
						continue
					}
					var re *dist.RankError
					require.ErrorAs(t, err, &re, "rank %d", r)
					if re.Lost != nil { // one that was cut off by the other doesn't know
						require.Equal(t, []int{victim}, re.Lost, re.Reason)
						named++
					}
				}
				require.Positive(t, named, "no error names the missing rank: %v", errs)
			})
		})
	}
}

// TestALossInBackward: the Reducer meets the others inside of backward, which then fails with the reason.
func TestALossInBackward(t *testing.T) {
	together(t, ranktest.AllKinds, dist.Options{}, func(ctx context.Context, g *dist.Group) error {
		net := nn.NewLinear(3, 2)
		d, err := ddp.Wrap(ctx, g, net)
		if err != nil {
			return err
		}
		defer d.Close()
		out := d.Forward(func() *torch.Tensor { return net.Forward(filled(1, 1, 3)) })
		if g.Rank() == 2 {
			g.Abort("no memory left")
			return dist.Try(g.Barrier)
		}
		g.TranslateErrors(func() { out.Sum().Backward() })
		return nil
	}, func(t *testing.T, errs []error) {
		for r, e := range rankErrors(t, errs) {
			require.Contains(t, e.Error(), "rank 2 aborted the group: no memory left")
			if r < 2 {
				require.Equal(t, "backward", e.Op)
				require.Contains(t, e.Site, "dist/faults_test.go:")
			}
		}
	})
}
