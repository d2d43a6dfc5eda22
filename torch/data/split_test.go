package data_test

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
)

func TestRandomSplitIsPyTorchs(t *testing.T) {
	n := 0
	for _, c := range fixture.Open(t, "testdata/loader.json.gz").Cases {
		if !strings.HasPrefix(c.Name, "random_split/") {
			continue
		}
		n++
		t.Run(c.Name, func(t *testing.T) {
			var r struct {
				N         int
				Lengths   []float64
				Generator *uint64
				Indices   [][]int
			}
			c.Decode(t, &r)
			torch.ManualSeed(c.Seed)
			var parts []*data.Subset[int]
			switch whole := wholes(r.Lengths); {
			case r.Generator != nil && whole != nil:
				parts = data.RandomSplit(numbers(r.N), *r.Generator, whole...)
			case r.Generator != nil:
				parts = data.RandomSplit(numbers(r.N), *r.Generator, r.Lengths...)
			case whole != nil:
				parts = data.RandomSplitWith(numbers(r.N), nil, whole...)
			default:
				parts = data.RandomSplitWith(numbers(r.N), nil, r.Lengths...)
			}
			require.Len(t, parts, len(r.Indices))
			for k, part := range parts {
				require.Equal(t, r.Indices[k], part.Indices())
			}
			c.Equal(t, "next", bits(torch.Rand(4)))
		})
	}
	require.Equal(t, 6, n)
}

// wholes returns numbers of samples, nil where they are fractions.
func wholes(lengths []float64) (out []int) {
	for _, x := range lengths {
		if x != math.Trunc(x) {
			return nil
		}
		out = append(out, int(x))
	}
	return out
}

func TestFractionsAreRoundedAsPyTorchDoes(t *testing.T) {
	for _, c := range []struct {
		n         int
		fractions []float64
		want      []int
	}{
		{10, []float64{1}, []int{10}},
		{10, []float64{0.7, 0.2, 0.1}, []int{7, 2, 1}},
		{11, []float64{0.5, 0.3, 0.2}, []int{6, 3, 2}},
		{3, []float64{0.25, 0.25, 0.25, 0.25}, []int{1, 1, 1, 0}},
		{5, []float64{0.9, 0.1, 0}, []int{5, 0, 0}},
		{7, []float64{1. / 3, 1. / 3, 1. / 3}, []int{3, 2, 2}},
	} {
		var got []int
		seen := map[int]bool{}
		for _, part := range data.RandomSplit(numbers(c.n), 1, c.fractions...) {
			got = append(got, part.Len())
			for _, i := range part.Indices() {
				seen[i] = true
			}
		}
		require.Equal(t, c.want, got, "%d in %v", c.n, c.fractions)
		require.Len(t, seen, c.n, "each sample is in one part")
	}
}

func TestRandomSplitRefuses(t *testing.T) {
	ds := numbers(10)
	for want, f := range map[string]func(){
		"[7 4] add up to 11, and the data set has 10": func() { data.RandomSplit(ds, 42, 7, 4) },
		"length 1 is -3":                         func() { data.RandomSplit(ds, 42, 13, -3) },
		"[0.7 0.2] add up to 0.8999999999999999": func() { data.RandomSplit(ds, 42, 0.7, 0.2) },
		"[0.7 0.4] add up to 1.1":                func() { data.RandomSplitWith(ds, nil, 0.7, 0.4) },
		"length 0 is NaN":                        func() { data.RandomSplit(ds, 42, math.NaN()) },
		"length 1 is -0.5":                       func() { data.RandomSplit(ds, 42, 1.5, -0.5) },
		"[] add up to 0":                         func() { data.RandomSplit[int, int](ds, 42) },
	} {
		require.ErrorContains(t, torch.Try(f), want)
	}
}
