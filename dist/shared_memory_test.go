package dist_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/ranktest"
	"github.com/golite/golite/torch"
)

// sharesMemory reports whether this process has mapped memory that ranks share.
func sharesMemory(t *testing.T) bool {
	maps, err := os.ReadFile("/proc/self/maps")
	require.NoError(t, err)
	return bytes.Contains(maps, []byte("memfd:golite-ranks"))
}

// run runs ranks of a kind, or, as "sockets", ranks that exchange everything by Gloo, as those among ranks of PyTorch
// do.
func run(t *testing.T, kind string, ranks int, f func(ctx context.Context, g *dist.Group) error) []error {
	t.Helper()
	if kind != "sockets" {
		return ranktest.Run(t, kind, ranks, dist.Options{}, f)
	}
	store, err := dist.NewMemoryStore()
	require.NoError(t, err)
	t.Cleanup(store.Close)
	return ranktest.RunWith(t, t.Context(), ranks, func(ctx context.Context, r int) (*dist.Group, error) {
		return dist.NewGlooWithPyTorch(ctx, store, r, ranks)
	}, f)
}

// manyCollectives starts collectives of many kinds, sizes and types at once, more than have a place in the ranks'
// memory, some in many pieces, and returns a digest of the bits of each result.
func manyCollectives(ctx context.Context, g *dist.Group) (bits [][sha256.Size]byte, err error) {
	gen := torch.NewGenerator(uint64(7 + g.Rank()))
	var results []*torch.Tensor
	var works []*dist.Work
	started := func(w *dist.Work, out ...*torch.Tensor) {
		works, results = append(works, w), append(results, out...)
	}
	for _, n := range []int{0, 1, 5, 1000, 100_003, 300_001, 1 << 20, 1<<20 + 1, 1_700_001} {
		for i, d := range []torch.DType{torch.Float32, torch.Float64, torch.Float16, torch.BFloat16, torch.Int64} {
			if n >= 1<<20 && d != torch.Float32 { // the others have pieces enough with less
				continue
			}
			op := []dist.Op{dist.Sum, dist.Mean, dist.Max, dist.Sum, dist.BitXor}[i]
			random := func(n int) *torch.Tensor { return torch.Options{Generator: gen}.Randn(n).MulScalar(100).To(d) }
			empty := func(n int) *torch.Tensor { return torch.Options{DType: d}.Empty(n) }
			last := g.Size() - 1
			x := random(n)
			started(g.AllReduceAsync(x, op), x)
			x, part := random(n*g.Size()), empty(n)
			started(g.ReduceScatterTensorAsync(part, x, op), part)
			x, whole := random(n), empty(n*g.Size())
			started(g.AllGatherIntoAsync(whole, x), whole)
			x = random(n)
			started(g.BroadcastAsync(x, last), x)
			x = random(n)
			started(g.ReduceAsync(x, last, op), x)
			list, part := random(n*g.Size()).Chunk(g.Size(), 0), empty(n)
			if n > 0 {
				started(g.ReduceScatterAsync(part, list, op), part)
				if part = empty(n); g.Rank() != last {
					list = nil
				}
				started(g.ScatterAsync(part, list, last), part)
			}
			all, w := g.AllGatherAsync(random(n))
			started(w, all...)
			all, w = g.GatherAsync(random(n), last)
			started(w, all...)
		}
	}
	for _, w := range works {
		if err := w.Wait(ctx); err != nil {
			return nil, err
		}
	}
	for _, t := range results {
		bits = append(bits, sha256.Sum256(t.ToBytes()))
	}
	return bits, nil
}

// TestCollectivesThroughMemory: those of processes that share memory have the bits of goroutine ranks, and of Gloo.
func TestCollectivesThroughMemory(t *testing.T) {
	for _, ranks := range []int{2, 3, 4} {
		t.Run(fmt.Sprint(ranks, " ranks"), func(t *testing.T) {
			sums := map[string][][][sha256.Size]byte{}
			for _, kind := range []string{"plain gloo", "gloo", "inprocess", "sockets"} {
				got := make([][][sha256.Size]byte, ranks)
				ranktest.RequireNone(t, run(t, kind, ranks, func(ctx context.Context, g *dist.Group) (err error) {
					if got[g.Rank()], err = manyCollectives(ctx, g); err != nil {
						return err
					}
					if shares := sharesMemory(t); shares != (runtime.GOOS == "linux" && kind != "inprocess" && kind != "sockets") {
						return fmt.Errorf("ranks share memory: %v", shares)
					}
					return nil
				}))
				sums[kind] = got
			}
			for r := range ranks {
				for _, kind := range []string{"plain gloo", "gloo", "sockets"} {
					require.Len(t, sums[kind][r], len(sums["inprocess"][r]))
					for i, want := range sums["inprocess"][r] {
						require.Equal(t, want, sums[kind][r][i], "result %d of rank %d over %s", i, r, kind)
					}
				}
			}
			require.False(t, sharesMemory(t), "all groups are closed")
		})
	}
}

// TestCallsThroughMemoryThatDiffer: ranks that share memory see it without debug mode, and each names the calls of all.
func TestCallsThroughMemoryThatDiffer(t *testing.T) {
	half := func(r int) torch.DType { return []torch.DType{torch.Float32, torch.Float16}[r] }
	typed := func(d torch.DType, n int) *torch.Tensor { return torch.Options{DType: d}.Zeros(n) }
	const big = 20 << 20 / 4 // many pieces on one rank, one on the other
	for name, c := range map[string]struct {
		call func(g *dist.Group, r int)
		says []string
	}{
		"sizes of a sum": {func(g *dist.Group, r int) { g.AllReduce(filled(1, 3+r), dist.Sum) },
			[]string{"Float[3]", "Float[4]"}},
		"pieces of a sum": {func(g *dist.Group, r int) { g.AllReduce(filled(1, 1+r*big), dist.Sum) },
			[]string{"Float[1]", "Float[5242881]"}},
		"dtypes of a sum": {func(g *dist.Group, r int) { g.AllReduce(typed(half(r), 4), dist.Sum) },
			[]string{"Float[4]", "Half[4]"}},
		"operations": {func(g *dist.Group, r int) { g.AllReduce(filled(1, 4), []dist.Op{dist.Sum, dist.Mean}[r]) },
			[]string{"(sum)", "(mean)"}},
		"sizes of a gather": {func(g *dist.Group, r int) { g.AllGather(filled(1, 3+r)) }, []string{"all_gather of Float[3]",
			"Float[4]"}},
		"ranks of one size": {func(g *dist.Group, r int) {
			g.AllGatherInto(torch.Zeros(2), torch.Zeros(1))
			g.Broadcast(filled(1, 2), r)
		}, []string{"from rank 0", "from rank 1"}},
		"dtypes of a gather": {func(g *dist.Group, r int) { g.AllGatherInto(typed(half(r), 4), typed(half(r), 2)) },
			[]string{"Float[2]", "Half[2]"}},
		"sizes of parts": {func(g *dist.Group, r int) {
			g.ReduceScatterTensor(filled(1, 3+r), filled(1, 6+2*r),
				dist.Sum)
		}, []string{"reduce_scatter_tensor(sum) of Float[3]", "Float[4]"}},
		"pieces of parts": {func(g *dist.Group, r int) {
			g.ReduceScatterTensor(filled(1, 1+r*big), filled(1, 2+2*r*big),
				dist.Sum)
		}, []string{"Float[1]", "Float[5242881]"}},
		"dtypes of a broadcast": {func(g *dist.Group, r int) { g.Broadcast(typed(half(r), 4), 0) },
			[]string{"broadcast from rank 0 of Float[4]", "Half[4]"}},
		"kinds": {func(g *dist.Group, r int) { sumOrCast(g, r) },
			[]string{"all_reduce(sum)", "broadcast from rank 0"}},
		"lengths of a list": {func(g *dist.Group, r int) {
			g.AllReduceCoalesced([]*torch.Tensor{filled(1, 2), filled(1, 2)}[r:], dist.Sum)
		}, []string{"2 tensors", "1 tensor,"}},
		"shapes of a list": {func(g *dist.Group, r int) {
			g.AllReduceCoalesced([]*torch.Tensor{filled(1, 2+r), filled(1, 3-r)}, dist.Sum)
		}, []string{"of 2 tensors, in all Float[5]"}},
		"shapes beyond a header": {func(g *dist.Group, r int) {
			g.Broadcast(filled(1, 1, 1, 1, 1, 1, 1, 1, 1, 2+r).View(1, 1, 1, 1, 1, 1, 1, 1, 2+r), 0)
		}, []string{"broadcast from rank 0"}},
	} {
		t.Run(name, func(t *testing.T) {
			for r, err := range ranktest.Run(t, "plain gloo", 2, dist.Options{}, func(_ context.Context, g *dist.Group) error {
				c.call(g, g.Rank())
				return nil
			}) {
				require.ErrorContains(t, err, "ranks made different calls: rank 0 ", "rank %d", r)
				require.Regexp(t, `at dist/shared_memory_test.go:\d+; rank 1 .*at dist/shared_memory_test.go:\d+`, err.Error())
				for _, text := range c.says {
					require.ErrorContains(t, err, text)
				}
			}
		})
	}
}

func sumOrCast(g *dist.Group, r int) {
	if r == 0 {
		g.AllReduce(filled(1, 2), dist.Sum)
	} else {
		g.Broadcast(filled(1, 2), 0)
	}
}

// TestOutAndInThatAreOneMemory: a gather whose part lies in the result, and a reduce-scatter whose result lies in its
// part, as NCCL takes them.
func TestOutAndInThatAreOneMemory(t *testing.T) {
	const n = 400_000 // two pieces
	for _, kind := range ranktest.AllKinds {
		ranktest.RequireNone(t, ranktest.Run(t, kind, 3, dist.Options{}, func(_ context.Context, g *dist.Group) error {
			whole := filled(float64(g.Rank()+1), n*3)
			own := whole.Narrow(0, g.Rank()*n, n)
			g.ReduceScatterTensor(own, whole, dist.Sum)
			if got := floats(own); got[0] != 6 || got[n-1] != 6 {
				return fmt.Errorf("reduce_scatter over %s: %v, %v", kind, got[0], got[n-1])
			}
			own.MulScalar_(float64(g.Rank()))
			g.AllGatherInto(whole, own)
			for r := range 3 {
				if got := floats(whole); got[r*n] != float32(6*r) || got[r*n+n-1] != float32(6*r) {
					return fmt.Errorf("all_gather over %s: part %d is %v", kind, r, got[r*n])
				}
			}
			return nil
		}))
	}
}
