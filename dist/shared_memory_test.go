package dist_test

import (
	"bytes"
	"context"
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

// manySums starts sums of many sizes and types at once, more than have a place in the ranks' memory, some in pieces, one too big for it, and returns
// their bits.
func manySums(ctx context.Context, g *dist.Group) (bits [][]byte, err error) {
	gen := torch.NewGenerator(uint64(7 + g.Rank()))
	var list []*torch.Tensor
	var works []*dist.Work
	for _, n := range []int{1, 5, 1000, 100_003, 4 << 20 / 4, 4<<20/4 + 1, 1_700_001} {
		for i, d := range []torch.DType{torch.Float32, torch.Float64, torch.Float16, torch.BFloat16} {
			t := torch.Options{Generator: gen}.Randn(n).To(d)
			list = append(list, t)
			works = append(works, g.AllReduceAsync(t, []dist.Op{dist.Sum, dist.Mean}[i%2]))
		}
	}
	big := torch.Options{Generator: gen}.Randn(9 << 20)
	list, works = append(list, big), append(works, g.AllReduceAsync(big, dist.Sum))
	for i, w := range works {
		if err := w.Wait(ctx); err != nil {
			return nil, err
		}
		bits = append(bits, list[i].ToBytes())
	}
	return bits, nil
}

func TestSumsThroughMemory(t *testing.T) {
	for _, ranks := range []int{2, 3} {
		t.Run(fmt.Sprint(ranks, " ranks"), func(t *testing.T) {
			sums := map[string][][][]byte{}
			for _, kind := range []string{"plain gloo", "gloo", "inprocess"} {
				got := make([][][]byte, ranks)
				ranktest.RequireNone(t, ranktest.Run(t, kind, ranks, dist.Options{}, func(ctx context.Context, g *dist.Group) (err error) {
					if got[g.Rank()], err = manySums(ctx, g); err != nil {
						return err
					}
					if shares := sharesMemory(t); shares != (runtime.GOOS == "linux" && kind != "inprocess") {
						return fmt.Errorf("ranks share memory: %v", shares)
					}
					return nil
				}))
				sums[kind] = got
			}
			for r := range ranks {
				require.Equal(t, sums["inprocess"][0], sums["inprocess"][r])
				require.Equal(t, sums["inprocess"][0], sums["plain gloo"][r])
				require.Equal(t, sums["inprocess"][0], sums["gloo"][r])
			}
			require.False(t, sharesMemory(t), "all groups are closed")
		})
	}
}

// Ranks that share memory see that their calls differ without debug mode.
func TestSumsThroughMemoryThatDiffer(t *testing.T) {
	for name, mine := range map[string]func(rank int) (*torch.Tensor, dist.Op){
		"size": func(r int) (*torch.Tensor, dist.Op) { return filled(1, 3+r), dist.Sum },
		"dtype": func(r int) (*torch.Tensor, dist.Op) {
			return filled(1, 4).To([]torch.DType{torch.Float32, torch.Float16}[r]), dist.Sum
		},
		"op": func(r int) (*torch.Tensor, dist.Op) { return filled(1, 4), []dist.Op{dist.Sum, dist.Mean}[r] },
	} {
		t.Run(name, func(t *testing.T) {
			for r, err := range ranktest.Run(t, "plain gloo", 2, dist.Options{}, func(_ context.Context, g *dist.Group) error {
				x, op := mine(g.Rank())
				g.AllReduce(x, op)
				return nil
			}) {
				require.ErrorContains(t, err, "ranks made different calls", "rank %d", r)
			}
		})
	}
}
