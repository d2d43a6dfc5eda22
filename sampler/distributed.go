package sampler

import (
	"iter"

	"github.com/golite/golite/internal/options"
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

// total is the length of the order that the ranks divide among them.
func (s *Distributed) total() int {
	switch {
	case s.o.Exact:
		return s.n
	case s.o.DropLast:
		return s.n / s.replicas * s.replicas
	default:
		return (s.n + s.replicas - 1) / s.replicas * s.replicas
	}
}

// Len returns the number of indices of this rank.
func (s *Distributed) Len() int { return (s.total() - s.rank + s.replicas - 1) / s.replicas }

// Indices starts a pass.
func (s *Distributed) Indices() iter.Seq[int] {
	return func(yield func(int) bool) {
		order := s.order()
		for i := s.rank; i < s.total(); i += s.replicas {
			// What is added to divide evenly is the order from its start, as often as it takes.
			if !yield(order(i % s.n)) {
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
	perm := slice(func() *torch.Tensor { return torch.Options{Generator: g}.RandPerm(s.n) })
	return func(i int) int { return int(perm[i]) }
}

// Shard gives a rank every replicas-th index of another sampler, whose order must be the same on all ranks: it shards
// samplers of the user's own.
type Shard struct {
	s              Sampler
	replicas, rank int
	exact          bool
}

// NewShard makes the part of one rank. Ranks get the same number of indices, the first ones given again where they
// don't divide evenly; with exact they may differ by one, and none is given twice. It panics with a *torch.Error if there is no
// such rank.
func NewShard(s Sampler, replicas, rank int, exact bool) *Shard {
	checked(replicas > 0 && rank >= 0 && rank < replicas, "sampler.NewShard", "rank %d of %d is none of 0 … %d", rank, replicas, replicas-1)
	return &Shard{s: s, replicas: replicas, rank: rank, exact: exact}
}

// SetEpoch passes the number of the pass on.
func (s *Shard) SetEpoch(epoch int) {
	if e, ok := s.s.(EpochSetter); ok {
		e.SetEpoch(epoch)
	}
}

// Len returns the number of indices of this rank.
func (s *Shard) Len() int {
	if s.exact {
		return (s.s.Len() - s.rank + s.replicas - 1) / s.replicas
	}
	return (s.s.Len() + s.replicas - 1) / s.replicas
}

// Indices starts a pass.
func (s *Shard) Indices() iter.Seq[int] {
	return func(yield func(int) bool) { shard(s.s.Indices(), s.replicas, s.rank, s.exact, yield) }
}

// ShardBatches gives a rank every replicas-th batch of a batch sampler of the user's own, whose batches must be the
// same on all ranks.
type ShardBatches struct {
	b              BatchSampler
	replicas, rank int
	exact          bool
}

// NewShardBatches makes the part of one rank. Ranks get the same number of batches, the first ones given again where
// they don't divide evenly; with exact they may differ by one, and none is given twice. It panics with a *torch.Error if there
// is no such rank.
func NewShardBatches(b BatchSampler, replicas, rank int, exact bool) *ShardBatches {
	checked(replicas > 0 && rank >= 0 && rank < replicas, "sampler.NewShardBatches", "rank %d of %d is none of 0 … %d", rank, replicas, replicas-1)
	return &ShardBatches{b, replicas, rank, exact}
}

// SetEpoch passes the number of the pass on.
func (s *ShardBatches) SetEpoch(epoch int) {
	if e, ok := s.b.(EpochSetter); ok {
		e.SetEpoch(epoch)
	}
}

// Len returns the number of batches of this rank.
func (s *ShardBatches) Len() int {
	if s.exact {
		return (s.b.Len() - s.rank + s.replicas - 1) / s.replicas
	}
	return (s.b.Len() + s.replicas - 1) / s.replicas
}

// Batches starts a pass.
func (s *ShardBatches) Batches() iter.Seq[[]int] {
	return func(yield func([]int) bool) { shard(s.b.Batches(), s.replicas, s.rank, s.exact, yield) }
}

// shard passes every replicas-th value on, and gives the first ones again where they don't divide evenly.
func shard[T any](all iter.Seq[T], replicas, rank int, exact bool, yield func(T) bool) {
	var first []T
	at := 0
	for v := range all {
		if len(first) < replicas {
			first = append(first, v)
		}
		if at%replicas == rank && !yield(v) {
			return
		}
		at++
	}
	if exact || at == 0 {
		return
	}
	for pad := 0; at%replicas != 0; at, pad = at+1, pad+1 {
		if at%replicas == rank && !yield(first[pad%len(first)]) {
			return
		}
	}
}
