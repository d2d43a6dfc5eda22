package sampler_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/sampler"
	"github.com/golite/golite/torch"
)

func TestMain(m *testing.M) { fixture.Main(m) }

type recorded struct {
	Kind        string
	N           int
	NumSamples  int `json:"num_samples"`
	Replacement bool
	Generator   *uint64
	Indices     []int
	Weights     []float64
	BatchSize   int  `json:"batch_size"`
	DropLast    bool `json:"drop_last"`
	Length      int
	Orders      []any
	Replicas    int    `json:"num_replicas"`
	Seed        uint64 `json:"sampler_seed"`
	Shuffle     bool
	Epochs      map[int][][]int
}

func (r recorded) sampler(g *torch.Generator) sampler.Sampler {
	switch r.Kind {
	case "random", "batch":
		return sampler.NewRandom(r.N, sampler.RandomOptions{Replacement: r.Replacement, Samples: r.NumSamples, Generator: g})
	case "subset_random":
		return sampler.NewSubsetRandom(r.Indices, g)
	case "weighted_random":
		return sampler.NewWeightedRandom(r.Weights, r.NumSamples, r.Replacement, g)
	}
	return sampler.NewSequential(r.N)
}

// numbers flattens JSON's lists of numbers.
func numbers(v any) (out []int) {
	switch v := v.(type) {
	case float64:
		return []int{int(v)}
	case []any:
		for _, x := range v {
			out = append(out, numbers(x)...)
		}
	}
	return out
}

func TestOrdersArePyTorchs(t *testing.T) {
	file := fixture.Open(t, "testdata/sampler.json.gz")
	for _, c := range file.Cases {
		t.Run(c.Name, func(t *testing.T) {
			var r recorded
			c.Decode(t, &r)
			if r.Kind == "distributed" {
				checkDistributed(t, r)
				return
			}
			torch.ManualSeed(c.Seed)
			var g *torch.Generator
			if r.Generator != nil {
				g = torch.NewGenerator(*r.Generator)
			}
			s := r.sampler(g)
			for _, want := range r.Orders {
				var got []int
				if r.Kind == "batch" {
					b := sampler.NewBatch(s, r.BatchSize, r.DropLast)
					require.Equal(t, r.Length, b.Len())
					for batch := range b.Batches() {
						got = append(got, batch...)
					}
				} else {
					require.Equal(t, r.Length, s.Len())
					got = slices.Collect(s.Indices())
				}
				require.Equal(t, numbers(want), got)
			}
			c.Equal(t, "next", tensor(torch.Rand(4)))
			if g != nil {
				c.Equal(t, "own_next", tensor(torch.Options{Generator: g}.Rand(4)))
			}
		})
	}
}

func checkDistributed(t *testing.T, r recorded) {
	for epoch, ranks := range r.Epochs {
		for rank, want := range ranks {
			s := sampler.NewDistributed(r.N, r.Replicas, rank, sampler.DistributedOptions{NoShuffle: !r.Shuffle, Seed: r.Seed, DropLast: r.DropLast})
			s.SetEpoch(epoch)
			require.Equal(t, r.Length, s.Len())
			require.Equal(t, want, slices.Collect(s.Indices()), "epoch %d, rank %d", epoch, rank)
		}
	}
}

func tensor(t *torch.Tensor) fixture.Tensor {
	return fixture.Tensor{DType: t.DType().String(), Shape: t.Shape(), Data: t.ToBytes()}
}

func TestExactShardingReadsEachSampleOnce(t *testing.T) {
	for _, n := range []int{0, 1, 5, 10, 10000} {
		for _, replicas := range []int{1, 2, 3, 7} {
			var all []int
			for rank := range replicas {
				s := sampler.NewDistributed(n, replicas, rank, sampler.DistributedOptions{Exact: true, Seed: 3})
				mine := slices.Collect(s.Indices())
				require.Len(t, mine, s.Len())
				all = append(all, mine...)
			}
			slices.Sort(all)
			require.Equal(t, slices.Collect(sampler.NewSequential(n).Indices()), all)
		}
	}
}

// A sampler of the user's own.
func TestShard(t *testing.T) {
	for _, c := range []struct {
		n, replicas int
		want        [][]int
	}{
		{8, 2, [][]int{{0, 2, 4, 6}, {1, 3, 5, 7}}},
		{5, 2, [][]int{{0, 2, 4}, {1, 3, 0}}},
		{1, 4, [][]int{{0}, {0}, {0}, {0}}},
		{10, 4, [][]int{{0, 4, 8}, {1, 5, 9}, {2, 6, 0}, {3, 7, 1}}},
	} {
		for rank, want := range c.want {
			s := sampler.NewShard(sampler.NewSequential(c.n), c.replicas, rank, false)
			require.Equal(t, want, slices.Collect(s.Indices()))
			require.Equal(t, len(want), s.Len())
			b := sampler.NewShardBatches(sampler.NewBatch(sampler.NewSequential(c.n), 1, false), c.replicas, rank, false)
			require.Equal(t, len(want), b.Len())
			require.Len(t, slices.Collect(b.Batches()), len(want))
		}
	}
}

func TestSamplersRefuseNonsense(t *testing.T) {
	for name, f := range map[string]func(){
		"batch size of 0":    func() { sampler.NewBatch(sampler.NewSequential(3), 0, false) },
		"rank out of range":  func() { sampler.NewDistributed(10, 2, 2) },
		"too many drawn":     func() { sampler.NewWeightedRandom([]float64{1, 2}, 3, false, nil) },
		"exact and drop":     func() { sampler.NewDistributed(10, 2, 0, sampler.DistributedOptions{Exact: true, DropLast: true}) },
		"negative data sets": func() { sampler.NewRandom(-1) },
		"negative in order":  func() { sampler.NewSequential(-1) },
		"too many weights":   func() { sampler.NewWeightedRandom(make([]float64, 1<<24+1), 1, true, nil) },
		"nil, in batches":    func() { sampler.NewBatch(nil, 2, false) },
		"no weights":         func() { sampler.NewWeightedRandom(nil, 3, true, nil) },
		"too many at once":   func() { sampler.NewWeightedRandom([]float64{1, 2}, math.MaxInt, true, nil) },
		"nil pointer":        func() { sampler.NewBatch((*sampler.Random)(nil), 2, false) },
		"the same, sharded":  func() { sampler.NewShard((*sampler.Random)(nil), 2, 0, false) },
		"nil batch pointer":  func() { sampler.NewShardBatches((*sampler.Batch)(nil), 2, 0, false) },
		"nil, sharded":       func() { sampler.NewShard(nil, 2, 0, false) },
		"nil batches":        func() { sampler.NewShardBatches(nil, 2, 0, false) },
	} {
		t.Run(name, func(t *testing.T) {
			err := torch.Try(f)
			require.Error(t, err)
			require.True(t, strings.HasPrefix(err.Error(), "sampler.New"), err.Error())
		})
	}
}

// What is left of a pass after any number of indices is divided among any number of ranks, and together they read the
// order to its end, from its start again where it doesn't divide evenly.
func TestResumeDividesWhatIsLeft(t *testing.T) {
	for _, n := range []int{0, 1, 2, 7, 24} {
		for _, o := range []sampler.DistributedOptions{{Seed: 3}, {NoShuffle: true}, {Seed: 3, DropLast: true}, {Seed: 3, Exact: true}} {
			whole := func(replicas int) (order []int) {
				ranks := make([][]int, replicas)
				for rank := range replicas {
					s := sampler.NewDistributed(n, replicas, rank, o)
					s.SetEpoch(2)
					ranks[rank] = slices.Collect(s.Indices())
				}
				return interleaved(ranks)
			}
			order := whole(1)
			for _, replicas := range []int{1, 2, 3, 5} {
				for _, consumed := range []int{0, 1, 4, 6, 24, 30} {
					want := slices.Clone(order[min(consumed, n):])
					switch over := len(want) % replicas; {
					case o.DropLast:
						want = want[:len(want)-over]
					case !o.Exact && over > 0:
						for i := range replicas - over {
							want = append(want, order[i%n])
						}
					}
					var own, shards [][]int
					for rank := range replicas {
						s := sampler.NewDistributed(n, replicas, rank, o)
						require.Equal(t, replicas, s.Replicas())
						rest := s.Resume(consumed, nil)
						rest.(sampler.EpochSetter).SetEpoch(2)
						own = append(own, slices.Collect(rest.Indices()))
						require.Len(t, own[rank], rest.Len())
						if consumed == 0 {
							require.Equal(t, slices.Collect(func() *sampler.Distributed { s.SetEpoch(2); return s }().Indices()), own[rank])
						}
						first := sampler.NewDistributed(n, 1, 0, sampler.DistributedOptions{Seed: o.Seed, NoShuffle: o.NoShuffle})
						first.SetEpoch(2)
						given := sampler.NewDistributed(n, replicas, rank, sampler.DistributedOptions{Seed: 99, DropLast: o.DropLast, Exact: o.Exact}).Resume(consumed, first)
						require.Equal(t, own[rank], slices.Collect(given.Indices()), "another order")
						if !o.DropLast {
							shards = append(shards, slices.Collect(sampler.NewShard(first, replicas, rank, o.Exact).Resume(consumed).Indices()))
						}
					}
					require.Equal(t, want, interleaved(own), "%d samples, %+v, %d ranks after %d", n, o, replicas, consumed)
					if !o.DropLast {
						require.Equal(t, want, interleaved(shards))
					}
				}
			}
		}
	}
}

func interleaved(ranks [][]int) []int {
	out := []int{}
	for i := range ranks[0] {
		for _, mine := range ranks {
			if i < len(mine) {
				out = append(out, mine[i])
			}
		}
	}
	return out
}

// A batch size or a data set without a bound is counted and read as any other.
func TestSizesWithoutABound(t *testing.T) {
	for _, size := range []int{1e12, math.MaxInt} {
		b := sampler.NewBatch(sampler.NewSequential(5), size, false)
		require.Equal(t, 1, b.Len())
		require.Equal(t, [][]int{{0, 1, 2, 3, 4}}, slices.Collect(b.Batches()))
		require.Zero(t, sampler.NewBatch(sampler.NewSequential(5), size, true).Len())
	}
	s := sampler.NewDistributed(math.MaxInt, 3, 2, sampler.DistributedOptions{NoShuffle: true})
	require.Equal(t, math.MaxInt/3+1, s.Len())
	for i := range s.Indices() {
		require.Equal(t, 2, i)
		break
	}
	require.Equal(t, math.MaxInt/7, sampler.NewBatch(sampler.NewSequential(math.MaxInt-1), 7, false).Len())
}
