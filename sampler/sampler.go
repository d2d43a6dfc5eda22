package sampler

import (
	"fmt"
	"iter"
	"reflect"

	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/internal/permutation"
	"github.com/golite/golite/torch"
)

// Sampler gives the indices of one pass over a data set after another (torch.utils.data.Sampler).
type Sampler interface {
	// Len returns how many indices a pass has.
	Len() int
	// Indices starts a pass. What is random is drawn when the iteration begins.
	Indices() iter.Seq[int]
}

// EpochSetter is a sampler whose order depends on the number of the pass, as DistributedSampler.set_epoch does. A data loader
// calls SetEpoch before each, with 0 for the first: a loop need not.
type EpochSetter interface{ SetEpoch(epoch int) }

// given panics with a *torch.Error where a sampler is nil, or a nil pointer.
func given(s any, operation, what string) {
	v := reflect.ValueOf(s)
	checked(v.IsValid(), operation, "%s is nil", what)
	checked(v.Kind() != reflect.Pointer || !v.IsNil(), operation, "%s is a nil %T", what, s)
}

// checked panics with a *torch.Error where a sampler was given nonsense.
func checked(ok bool, operation, format string, args ...any) {
	if !ok {
		torch.Fail(operation, "%s", fmt.Sprintf(format, args...))
	}
}

// Sequential gives 0, 1, 2 … (torch.utils.data.SequentialSampler).
type Sequential struct{ n int }

// NewSequential makes a sampler of n indices in order. It panics with a *torch.Error if n is negative.
func NewSequential(n int) *Sequential {
	checked(n >= 0, "sampler.NewSequential", "want a count of 0 or more, got %d", n)
	return &Sequential{n}
}

// Len returns the number of indices.
func (s *Sequential) Len() int { return s.n }

// Indices gives them in order.
func (s *Sequential) Indices() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range s.n {
			if !yield(i) {
				return
			}
		}
	}
}

// RandomOptions are NewRandom's optional arguments (those of torch.utils.data.RandomSampler).
type RandomOptions struct {
	Replacement bool             // an index may come more than once
	Samples     int              // indices a pass; 0: as many as the data set has
	Generator   *torch.Generator // nil: a new one each pass, with a seed from the default generator
}

// Random gives the indices in a random order, another one each pass (torch.utils.data.RandomSampler).
type Random struct {
	n int
	o RandomOptions
}

// NewRandom makes a sampler over a data set of n samples. It panics with a *torch.Error if a count is negative; without
// replacement a pass does where there is no memory for an order of n indices.
func NewRandom(n int, opts ...RandomOptions) *Random {
	o := options.Must("sampler.NewRandom", opts, torch.Fail)
	checked(n >= 0 && o.Samples >= 0, "sampler.NewRandom", "want counts of 0 or more, got %d samples of %d", o.Samples, n)
	return &Random{n, o}
}

// Len returns the number of indices a pass.
func (s *Random) Len() int {
	if s.o.Samples > 0 {
		return s.o.Samples
	}
	return s.n
}

// Generator returns the generator that the sampler was given, nil if none.
func (s *Random) Generator() *torch.Generator { return s.o.Generator }

// Indices starts a pass.
func (s *Random) Indices() iter.Seq[int] {
	return func(yield func(int) bool) {
		if s.n == 0 {
			return
		}
		g := s.o.Generator
		if g == nil {
			g = torch.NewGenerator(DrawSeed(nil))
		}
		left := s.Len()
		for {
			// PyTorch draws once more for the remainder, even if nothing remains.
			part := s.draw(g, left)
			if len(part) == 0 {
				return
			}
			for _, i := range part {
				if !yield(int(i)) {
					return
				}
			}
			left -= len(part)
		}
	}
}

// draw gives the next part of a pass with so many indices left.
func (s *Random) draw(g *torch.Generator, left int) []int64 {
	if s.o.Replacement {
		n := min(left, 32)
		return slice(func() *torch.Tensor { return torch.Options{Generator: g}.RandInt(0, s.n, n) })
	}
	order := permutation.Draw[int64]("sampler.Random", s.n, g)
	return order[:min(left, len(order))]
}

// slice reads a tensor of integers that f makes, and frees it.
func slice(f func() *torch.Tensor) (out []int64) {
	torch.Scope(func() { out = torch.ToSlice[int64](f()) })
	return out
}

// DrawSeed draws a seed from a generator, nil for the default one, as PyTorch does with
// torch.empty((), dtype=torch.int64).random_().
func DrawSeed(g *torch.Generator) (seed uint64) {
	torch.Scope(func() { seed = uint64(torch.Item[int64](torch.Options{DType: torch.Int64}.Empty().Random_(g))) })
	return seed
}

// SubsetRandom gives some indices in a random order (torch.utils.data.SubsetRandomSampler).
type SubsetRandom struct {
	indices []int
	g       *torch.Generator
}

// NewSubsetRandom makes a sampler of the given indices, which it keeps. g may be nil: the default generator.
func NewSubsetRandom(indices []int, g *torch.Generator) *SubsetRandom {
	return &SubsetRandom{indices, g}
}

// Len returns the number of indices.
func (s *SubsetRandom) Len() int { return len(s.indices) }

// Generator returns the generator that the sampler was given, nil if none.
func (s *SubsetRandom) Generator() *torch.Generator { return s.g }

// Indices starts a pass.
func (s *SubsetRandom) Indices() iter.Seq[int] {
	return func(yield func(int) bool) {
		for _, i := range permutation.Draw[int64]("sampler.SubsetRandom", len(s.indices), s.g) {
			if !yield(s.indices[i]) {
				return
			}
		}
	}
}

// WeightedRandom draws indices with given weights (torch.utils.data.WeightedRandomSampler).
type WeightedRandom struct {
	weights     *torch.Tensor
	samples     int
	replacement bool
	g           *torch.Generator
}

// mostWeights is how many weights libtorch's multinomial takes: single-precision floats count no further.
const mostWeights = 1 << 24

// NewWeightedRandom makes a sampler that draws so many indices a pass, index i with weight weights[i]; without
// replacement no index comes twice. g may be nil: the default generator. It panics with a *torch.Error where samples is
// less than 1, or more than the weights without replacement, and where there are no weights or more than 2^24, which
// multinomial does not take; a pass does where a weight is negative or none is more than 0.
func NewWeightedRandom(weights []float64, samples int, replacement bool, g *torch.Generator) *WeightedRandom {
	checked(samples > 0, "sampler.NewWeightedRandom", "want 1 sample or more, got %d", samples)
	checked(len(weights) <= mostWeights, "sampler.NewWeightedRandom",
		"%d weights are more than 2^24 = %d, the most that multinomial takes: give samples of one weight a single one, as a class, "+
			"and draw the sample of the class in a Sampler of your own", len(weights), mostWeights)
	checked(len(weights) > 0, "sampler.NewWeightedRandom", "there are no weights to draw %d samples by", samples)
	checked(samples <= permutation.Most, "sampler.NewWeightedRandom",
		"%d samples are drawn at once, and there is no memory for their %.3g GB: draw fewer a pass, in more passes", samples, 8*float64(samples)/1e9)
	checked(replacement || samples <= len(weights), "sampler.NewWeightedRandom",
		"%d samples without replacement are more than the %d weights", samples, len(weights))
	return &WeightedRandom{torch.From(weights).Keep(), samples, replacement, g}
}

// Len returns the number of indices a pass.
func (s *WeightedRandom) Len() int { return s.samples }

// Generator returns the generator that the sampler was given, nil if none.
func (s *WeightedRandom) Generator() *torch.Generator { return s.g }

// Indices starts a pass.
func (s *WeightedRandom) Indices() iter.Seq[int] {
	return func(yield func(int) bool) {
		for _, i := range slice(func() *torch.Tensor { return s.weights.Multinomial(s.samples, s.replacement, s.g) }) {
			if !yield(int(i)) {
				return
			}
		}
	}
}
