package sampler

import (
	"iter"

	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/internal/permutation"
	"github.com/golite/golite/torch"
)

// DistributedOptions are NewDistributed's optional arguments (those of torch.utils.data.DistributedSampler; it shuffles by
// default, as that does).
type DistributedOptions struct {
	NoShuffle bool   // the indices in order
	Seed      uint64 // the same on all ranks; pass e uses Seed + e
	DropLast  bool   // leave out what doesn't divide among the ranks, instead of giving some indices twice
	Exact     bool   // neither pad nor drop: ranks may differ by one index
}

// Distributed gives each rank its part of a data set's indices (torch.utils.data.DistributedSampler): every
// replicas-th of one order that all ranks share, another one each epoch.
type Distributed struct {
	n, replicas, rank int
	o                 DistributedOptions
	epoch             int
}

// NewDistributed makes the sampler of one rank among replicas, over a data set of n samples. It panics with a *torch.Error if
// there is no such rank, n is negative, or Exact and DropLast are set together.
func NewDistributed(n, replicas, rank int, opts ...DistributedOptions) *Distributed {
	checked(n >= 0, "sampler.NewDistributed", "want a data set of 0 samples or more, got %d", n)
	checked(replicas > 0 && rank >= 0 && rank < replicas, "sampler.NewDistributed", "rank %d of %d is none of 0 … %d", rank, replicas, replicas-1)
	o := options.Must("sampler.NewDistributed", opts, torch.Fail)
	checked(!o.Exact || !o.DropLast, "sampler.NewDistributed", "Exact and DropLast exclude each other")
	return &Distributed{n: n, replicas: replicas, rank: rank, o: o}
}

// SetEpoch sets the number of the pass, which changes the order.
func (s *Distributed) SetEpoch(epoch int) { s.epoch = epoch }

// Replicas returns the number of ranks that share the order (num_replicas).
func (s *Distributed) Replicas() int { return s.replicas }

// Seed returns the seed of the order, and whether it shuffles.
func (s *Distributed) Seed() (seed uint64, shuffles bool) { return s.o.Seed, !s.o.NoShuffle }

// Resume returns the rank's part of what is left of one pass: after the first consumed indices of the order that the
// ranks share, which may be any number of ranks' work. order gives that pass in place of the sampler's own order, for
// one that was begun with another seed or in a single rank's order; nil: the sampler's own.
func (s *Distributed) Resume(consumed int, order Sampler) Sampler {
	if order == nil {
		order = &Distributed{n: s.n, replicas: 1, o: DistributedOptions{NoShuffle: s.o.NoShuffle, Seed: s.o.Seed}, epoch: s.epoch}
	}
	return &Shard{s: order, part: part{s.replicas, s.rank, s.o.Exact, s.o.DropLast, max(consumed, 0)}}
}

// Len returns the number of indices of this rank.
func (s *Distributed) Len() int {
	return part{s.replicas, s.rank, s.o.Exact, s.o.DropLast, 0}.len(s.n)
}

// Indices starts a pass.
func (s *Distributed) Indices() iter.Seq[int] {
	return func(yield func(int) bool) {
		order := s.order()
		for k := range s.Len() {
			// What is added to divide evenly is the order from its start, as often as it takes.
			i := (uint64(k)*uint64(s.replicas) + uint64(s.rank)) % uint64(s.n)
			if !yield(order(int(i))) {
				return
			}
		}
	}
}

// order gives the epoch's order of all indices.
func (s *Distributed) order() func(i int) int {
	if s.o.NoShuffle || s.n == 0 {
		return func(i int) int { return i }
	}
	g := torch.NewGenerator(s.o.Seed + uint64(s.epoch))
	perm := permutation.Draw[int64]("sampler.Distributed", s.n, g)
	return func(i int) int { return int(perm[i]) }
}
