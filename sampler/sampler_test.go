package sampler_test

import (
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

// Rows 23, 26 and 27 of the behaviour sheet, for a sampler of the user's own.
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
	} {
		t.Run(name, func(t *testing.T) {
			err := torch.Try(f)
			require.Error(t, err)
			require.True(t, strings.HasPrefix(err.Error(), "sampler.New"), err.Error())
		})
	}
}
