package dist_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/ranktest"
	"github.com/golite/golite/torch"
)

// TestARankThatHasFinished: a rank that ends while others wait for it, as batches were uneven or a collective was left
// out, frees them within moments, with the reason, and itself learns that something is wrong. The default timeout is
// far.
func TestARankThatHasFinished(t *testing.T) {
	for name, c := range map[string]struct {
		rank1  func(g *dist.Group) // until it is through
		others func(g *dist.Group)
		says   string
	}{
		"uneven batches": {
			func(g *dist.Group) { g.AllReduce(filled(1, 4), dist.Sum) },
			func(g *dist.Group) { g.AllReduce(filled(1, 4), dist.Sum); g.AllReduce(filled(1, 4), dist.Sum) },
			"rank 1 has finished, and rank [02] waits for it in all_reduce\\(sum\\) of Float\\[4\\] \\(number 2\\) at " +
				"dist/finished_test.go:",
		},
		"a collective left out": {
			func(g *dist.Group) {
				for range 4 {
					g.AllReduce(filled(1, 4), dist.Sum)
				}
			},
			func(g *dist.Group) {
				for range 5 {
					g.AllReduce(filled(1, 4), dist.Sum)
				}
			},
			"rank 1 has finished, and rank [02] waits for it in all_reduce\\(sum\\) of Float\\[4\\] \\(number 5\\)",
		},
		"a rooted one left out": {
			func(g *dist.Group) {},
			func(g *dist.Group) { g.Reduce(filled(1, 4), 0, dist.Sum); g.Barrier() },
			"rank 1 has finished, and rank [02] waits for it in ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, kind := range ranktest.AllKinds {
				t.Run(kind, func(t *testing.T) {
					start := time.Now()
					errs := ranktest.Run(t, kind, 3, dist.Options{}, func(_ context.Context, g *dist.Group) error {
						if g.Rank() == 1 {
							c.rank1(g)
						} else {
							c.others(g)
						}
						return g.Leave()
					})
					require.Less(t, time.Since(start), freedIn)
					for r, e := range rankErrors(t, errs) {
						if kind != "plain gloo" {
							require.Contains(t, e.Reason, "ranks made different calls", "they are compared")
							continue
						}
						require.Regexp(t, c.says, e.Reason)
						if r != 1 && len(e.Lost) > 0 {
							require.Equal(t, []int{1}, e.Lost)
						}
					}
				})
			}
		})
	}
}

// TestAMessageFromARankThatHasFinished never comes. One that was sent before does.
func TestAMessageFromARankThatHasFinished(t *testing.T) {
	for _, kind := range ranktest.AllKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			errs := ranktest.Run(t, kind, 2, dist.Options{}, func(_ context.Context, g *dist.Group) error {
				if g.Rank() == 1 {
					g.Send(filled(1, 4), 0, 1)
					return g.Leave()
				}
				time.Sleep(time.Second)
				x := torch.Empty(4)
				if from := g.Recv(x, dist.AnyRank, 1); from != 1 || floats(x)[3] != 1 {
					return errors.New("what was sent has not come")
				}
				return dist.Try(func() { g.Recv(x, 1, 1) })
			})
			require.Less(t, time.Since(start), 3*freedIn/2)
			for _, e := range rankErrors(t, errs) {
				require.Contains(t, e.Reason, "rank 1 has finished, and rank 0 waits for it in recv from rank 1 of Float[4]")
			}
		})
	}
}

// TestARankMayBeSlowerThanOthers: who has finished waits for it, and so does who needs it, also where a third one has
// finished.
func TestARankMayBeSlowerThanOthers(t *testing.T) {
	for _, kind := range ranktest.AllKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			ranktest.RequireNone(t, ranktest.Run(t, kind, 3, dist.Options{}, func(_ context.Context, g *dist.Group) error {
				sub, err := g.Sub(0, 1)
				if err != nil {
					return err
				}
				if sub != nil {
					sub.Barrier()
				}
				x := filled(float64(g.Rank()+1), 1)
				if g.Rank() == 2 {
					time.Sleep(4 * time.Second)
				}
				if list := g.Gather(x, 0); g.Rank() == 0 {
					assert.Equal(t, []float32{1, 2, 3}, floats(torch.Cat(list, 0)))
					time.Sleep(3 * time.Second)
				}
				return g.Leave()
			}))
		})
	}
}

// TestSubGroupsEndWithTheirGroup, whatever ends it, and a group goes on without its sub-groups.
func TestSubGroupsEndWithTheirGroup(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(g *dist.Group, cancel func()) // on rank 1, which is in no sub-group
		says string
	}{
		"abort": {func(g *dist.Group, _ func()) { g.Abort("the disk is full") },
			"rank 1 aborted the group: the disk is full"},
		"context": {func(_ *dist.Group, cancel func()) { cancel() }, "its context ended: context canceled"},
	} {
		for _, kind := range ranktest.AllKinds {
			t.Run(name+"/"+kind, func(t *testing.T) {
				join := ranktest.Joiner(t, kind, 3, dist.Options{})
				own := func(ctx context.Context, r int) (*dist.Group, error) { return join(ctx, r) }
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				start := time.Now()
				errs := ranktest.RunWith(t, ctx, 3, own, func(_ context.Context, g *dist.Group) error {
					sub, err := g.Sub(0, 2)
					if err != nil {
						return err
					}
					g.Barrier()
					if g.Rank() == 1 {
						time.Sleep(50 * time.Millisecond)
						c.end(g, cancel)
						return dist.Try(g.Barrier)
					}
					if g.Rank() == 0 { // its peer never comes
						defer func() { assert.Error(t, dist.Try(g.Barrier)) }()
						return dist.Try(sub.Barrier)
					}
					for aborted := false; !aborted; aborted, _ = sub.Aborted() {
						if time.Since(start) > freedIn {
							return errors.New("the sub-group goes on")
						}
						dist.Try(func() { g.Barrier() })
					}
					return dist.Try(sub.Barrier)
				})
				require.Less(t, time.Since(start), freedIn)
				for r, err := range errs {
					var re *dist.RankError
					require.ErrorAs(t, err, &re, "rank %d", r)
				}
				require.Contains(t, errs[1].Error(), c.says)
			})
		}
	}
}

// TestFaultsInASubGroup end it as they end a group, and leave the others whole.
func TestFaultsInASubGroup(t *testing.T) {
	for name, c := range map[string]struct {
		kinds []string
		one   func(sub *dist.Group) error
		other func(sub *dist.Group) error
		says  string
	}{
		"abort": {ranktest.AllKinds,
			func(sub *dist.Group) error { sub.Abort("enough"); return dist.Try(sub.Barrier) },
			func(sub *dist.Group) error { return dist.Try(sub.Barrier) }, "rank 0 aborted the group: enough"},
		"disagreement": {ranktest.Kinds,
			func(sub *dist.Group) error { return dist.Try(sub.Barrier) },
			func(sub *dist.Group) error { return dist.Try(func() { sub.AllReduce(filled(1, 3), dist.Sum) }) },
			"ranks made different calls: "},
		"timeout": {ranktest.AllKinds,
			func(sub *dist.Group) error { return dist.Try(sub.Barrier) },
			func(sub *dist.Group) error { time.Sleep(2500 * time.Millisecond); return dist.Try(sub.Barrier) },
			"time is up after 1s: rank 0 waited in barrier"},
		"left": {ranktest.AllKinds,
			func(sub *dist.Group) error { return dist.Try(sub.Barrier) },
			func(sub *dist.Group) error { sub.Close(); return nil }, ""},
	} {
		for _, kind := range c.kinds {
			t.Run(name+"/"+kind, func(t *testing.T) {
				start := time.Now()
				errs := ranktest.Run(t, kind, 3, dist.Options{Timeout: time.Second},
					func(_ context.Context, g *dist.Group) (err error) {
						sub, err := g.Sub(2, 0)
						if err != nil {
							return err
						}
						g.Barrier()
						g.WithoutTimeout(func() { // the others' time isn't up for that
							switch g.Rank() {
							case 2:
								err = c.one(sub)
							case 0:
								err = c.other(sub)
							}
						})
						assert.Equal(t, []float32{3}, floats(g.AllReduce(filled(1, 1), dist.Sum)), "the others' group goes on")
						return err
					})
				require.Less(t, time.Since(start), freedIn)
				require.NoError(t, errs[1])
				for _, r := range []int{0, 2} {
					if name == "left" && r == 0 {
						continue
					}
					var re *dist.RankError
					require.ErrorAs(t, errs[r], &re, "rank %d", r)
					require.Contains(t, re.Reason, c.says)
					require.Equal(t, 2, re.World)
				}
			})
		}
	}
}
