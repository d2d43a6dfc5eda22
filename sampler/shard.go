package sampler

import (
	"iter"

	"github.com/golite/golite/torch"
)

// part is a rank's share of an order: every replicas-th value, after those that the pass had given before it was
// resumed.
type part struct {
	replicas, rank int
	exact          bool // ranks may differ by one value; else the first ones are given again where they don't divide evenly
	dropLast       bool // what doesn't divide is left out
	from           int  // values of the order that the pass has given
}

// len returns the number of values of the rank, of an order of n.
func (p part) len(n int) int {
	left := max(n-p.from, 0)
	each, over := left/p.replicas, left%p.replicas
	if over == 0 || p.dropLast || p.exact && p.rank >= over {
		return each
	}
	return each + 1
}

// Shard gives a rank every replicas-th index of another sampler, whose order must be the same on all ranks: it shards
// samplers of the user's own.
type Shard struct {
	s    Sampler
	part part
}

// NewShard makes the part of one rank. Ranks get the same number of indices, the first ones given again where they
// don't divide evenly; with exact they may differ by one, and none is given twice. It panics with a *torch.Error if
// there is no such rank or s is nil.
func NewShard(s Sampler, replicas, rank int, exact bool) *Shard {
	given(s, "sampler.NewShard", "the sampler")
	checked(replicas > 0 && rank >= 0 && rank < replicas, "sampler.NewShard", "rank %d of %d is none of 0 … %d", rank, replicas, replicas-1)
	return &Shard{s: s, part: part{replicas: replicas, rank: rank, exact: exact}}
}

// SetEpoch passes the number of the pass on.
func (s *Shard) SetEpoch(epoch int) {
	if e, ok := s.s.(EpochSetter); ok {
		e.SetEpoch(epoch)
	}
}

// Generator returns the generator that the other sampler was given, nil if none.
func (s *Shard) Generator() *torch.Generator { return generatorOf(s.s) }

// Replicas returns the number of ranks that share the order.
func (s *Shard) Replicas() int { return s.part.replicas }

// Resume returns the rank's part of what is left of one pass: after the first consumed indices of the other sampler,
// which may be any number of ranks' work.
func (s *Shard) Resume(consumed int) Sampler {
	rest := *s
	rest.part.from = max(consumed, 0)
	return &rest
}

// Len returns the number of indices of this rank.
func (s *Shard) Len() int { return s.part.len(s.s.Len()) }

// Indices starts a pass.
func (s *Shard) Indices() iter.Seq[int] {
	return func(yield func(int) bool) {
		most := -1
		if s.part.dropLast {
			most = s.Len()
		}
		shard(s.s.Indices(), s.part, most, yield)
	}
}

// ShardBatches gives a rank every replicas-th batch of a batch sampler of the user's own, whose batches must be the
// same on all ranks.
type ShardBatches struct {
	b    BatchSampler
	part part
}

// NewShardBatches makes the part of one rank. Ranks get the same number of batches, the first ones given again where
// they don't divide evenly; with exact they may differ by one, and none is given twice. It panics with a *torch.Error
// if there is no such rank or b is nil.
func NewShardBatches(b BatchSampler, replicas, rank int, exact bool) *ShardBatches {
	given(b, "sampler.NewShardBatches", "the batch sampler")
	checked(replicas > 0 && rank >= 0 && rank < replicas, "sampler.NewShardBatches", "rank %d of %d is none of 0 … %d", rank, replicas, replicas-1)
	return &ShardBatches{b: b, part: part{replicas: replicas, rank: rank, exact: exact}}
}

// SetEpoch passes the number of the pass on.
func (s *ShardBatches) SetEpoch(epoch int) {
	if e, ok := s.b.(EpochSetter); ok {
		e.SetEpoch(epoch)
	}
}

// Generator returns the generator that the other sampler was given, nil if none.
func (s *ShardBatches) Generator() *torch.Generator { return generatorOf(s.b) }

// Replicas returns the number of ranks that share the batches.
func (s *ShardBatches) Replicas() int { return s.part.replicas }

// Resume returns the rank's part of what is left of one pass: after the first consumed batches of the other sampler,
// which may be any number of ranks' work.
func (s *ShardBatches) Resume(consumed int) BatchSampler {
	rest := *s
	rest.part.from = max(consumed, 0)
	return &rest
}

// Len returns the number of batches of this rank.
func (s *ShardBatches) Len() int { return s.part.len(s.b.Len()) }

// Batches starts a pass.
func (s *ShardBatches) Batches() iter.Seq[[]int] {
	return func(yield func([]int) bool) { shard(s.b.Batches(), s.part, -1, yield) }
}

// shard passes a rank's part on, most values at most (-1: all), and gives the first ones again where they don't divide
// evenly.
func shard[T any](all iter.Seq[T], p part, most int, yield func(T) bool) {
	if most == 0 {
		return
	}
	var first []T
	at := -p.from // the place in what is left
	for v := range all {
		if len(first) < p.replicas {
			first = append(first, v)
		}
		if at >= 0 && at%p.replicas == p.rank {
			if !yield(v) {
				return
			}
			if most--; most == 0 {
				return
			}
		}
		at++
	}
	if p.exact || p.dropLast || at <= 0 {
		return
	}
	for pad := 0; at%p.replicas != 0; at, pad = at+1, pad+1 {
		if at%p.replicas == p.rank && !yield(first[pad%len(first)]) {
			return
		}
	}
}

// generatorOf returns the generator that a sampler draws from, nil if that is not known.
func generatorOf(s any) *torch.Generator {
	if g, ok := s.(interface{ Generator() *torch.Generator }); ok {
		return g.Generator()
	}
	return nil
}
