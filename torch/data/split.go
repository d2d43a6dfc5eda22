package data

import (
	"math"

	"github.com/golite/golite/internal/permutation"
	"github.com/golite/golite/torch"
)

// RandomSplit divides a data set at random into parts (torch.utils.data.random_split with a generator of that seed).
// Lengths are numbers of samples, whose sum must be the data set's, or fractions, whose sum must be 1: a part then has
// its fraction of the samples rounded down, and those left go to the parts one by one, from the first on. It panics
// with a *torch.Error where the lengths don't fit, ds is nil, or there is no memory for a random order of its samples.
//
//	parts := data.RandomSplit(photos, 42, 0.9, 0.1)
func RandomSplit[S any, N int | float64](ds Dataset[S], seed uint64, lengths ...N) []*Subset[S] {
	return RandomSplitWith(ds, torch.NewGenerator(seed), lengths...)
}

// RandomSplitWith is RandomSplit that draws from a generator, nil for the default one (random_split's generator).
func RandomSplitWith[S any, N int | float64](ds Dataset[S], g *torch.Generator, lengths ...N) []*Subset[S] {
	n := samplesOf(ds, "data.RandomSplit", "the data set")
	if n > permutation.Most {
		torch.Fail("data.RandomSplit", "data set %T: %v", ds, permutation.TooLong(n))
	}
	counts := countsOf(n, lengths)
	order := permutation.Draw[int]("data.RandomSplit", n, g)
	parts := make([]*Subset[S], len(counts))
	for k, n := range counts {
		parts[k] = NewSubset(ds, order[:n:n])
		order = order[n:]
	}
	return parts
}

// countsOf makes numbers of samples of lengths.
func countsOf[N int | float64](total int, lengths []N) []int {
	counts, sum := make([]int, len(lengths)), N(0)
	_, whole := any(sum).(int)
	for k, length := range lengths {
		if !(length >= 0) {
			torch.Fail("data.RandomSplit", "length %d is %v: want 0 or more", k, length)
		}
		if whole && int(length) > math.MaxInt-int(sum) {
			torch.Fail("data.RandomSplit", "the lengths %v add up to more than an int counts, and the data set has %d samples",
				lengths, total)
		}
		sum += length
		counts[k] = int(length)
	}
	if whole {
		if int(sum) != total {
			torch.Fail("data.RandomSplit", "the lengths %v add up to %v, and the data set has %d samples", lengths, sum, total)
		}
		return counts
	}
	left := total
	for k, fraction := range lengths {
		counts[k] = int(math.Floor(float64(total) * float64(fraction)))
		left -= counts[k]
	}
	if !(math.Abs(float64(sum)-1) <= 1e-9) || left < 0 {
		torch.Fail("data.RandomSplit", "the fractions %v add up to %v: want 1 (numbers of samples are an int each)", lengths,
			sum)
	}
	for k := range left {
		counts[k%len(counts)]++
	}
	return counts
}
