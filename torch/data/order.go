package data

import (
	"fmt"
	"math"

	"github.com/golite/golite/sampler"
)

// division is how a loader's batches divide an order. Where lite has set the loader up that is the order that all ranks
// share; from its start the ranks together have always taken a stretch without gaps.
type division struct {
	size     int // indices a batch; 1 where the order is one of batches
	replicas int // ranks that share the order; 1 if none do
	sampler  any // what divides it: a sampler.Sampler, a sampler.BatchSampler, or nil of an Iterable or a Zip
	shuffled bool
}

func (l *Loader[B]) division() division {
	d := division{size: 1, replicas: 1, shuffled: l.o.Shuffle}
	switch b := l.batches.(type) {
	case nil:
		d.replicas = max(l.replicas, 1)
		return d
	case *sampler.Batch:
		d.size, d.sampler = b.Size(), b.Sampler()
	default:
		d.sampler = b
	}
	if s, ok := d.sampler.(interface{ Replicas() int }); ok {
		d.replicas = max(s.Replicas(), 1)
	}
	return d
}

// seed returns the seed of the order, where that follows from a seed and the number of the pass.
func (d division) seed() (seed uint64, ok bool) {
	if s, is := d.sampler.(*sampler.Distributed); is {
		return s.Seed()
	}
	return 0, false
}

// consumed returns how much of the order has been given up to a position.
func (d division) consumed(p *position) int {
	return p.from + d.stretch(p.given-p.base, d.replicas)
}

// stretch is what so many batches of each of so many ranks take of the order.
func (d division) stretch(batches, replicas int) int {
	return product(product(batches, replicas), d.size)
}

// product is a*b, and half of the largest number where it is more than that: a batch size may have no bound.
func product(a, b int) int {
	if a == 0 || b <= math.MaxInt/2/a {
		return a * b
	}
	return math.MaxInt / 2
}

// batches is how many batches of each rank such a stretch is, rounded up.
func (d division) batches(stretch int) int { return ceil(ceil(stretch, d.replicas), d.size) }

func ceil(n, by int) int {
	if n%by == 0 {
		return n / by
	}
	return n/by + 1
}

// Earlier versions saved the number of batches alone. Where the number of ranks has changed lite adds the data of the
// run that wrote them.
const (
	earlierRanks = "run_replicas" // the number of ranks
	earlierSeed  = "run_seed"     // what lite.SeedEverything was given
)

// place puts a position where a state says that the pass was.
func (d division) place(p *position, s map[string]any) error {
	for key, v := range s {
		switch key {
		case "consumed", "replicas", "seed", earlierRanks, earlierSeed:
			least := map[string]int{"replicas": 1, earlierRanks: 1, "seed": math.MinInt, earlierSeed: math.MinInt}[key]
			if n, ok := v.(int); !ok || n < least {
				return fmt.Errorf("data: a loader's state: %s is %v, want a number of that kind", key, v)
			}
		}
	}
	number := func(key string) (int, bool) { n, ok := s[key].(int); return n, ok }
	replicas, today := number("replicas")
	if !today {
		replicas = d.replicas
		if n, ok := number(earlierRanks); ok {
			replicas = n
		}
	}
	if d.sampler == nil { // an Iterable passes over as many batches of its own part
		p.given = product(p.given, replicas) / d.replicas
		return nil
	}
	if consumed, ok := number("consumed"); ok {
		p.from = consumed
	} else {
		p.from = d.stretch(p.given, replicas)
	}
	if !p.ended {
		p.given = d.batches(p.from)
	}
	p.base = p.given
	if seed, ok := number("seed"); ok || today {
		p.orderSeed, p.seeded = uint64(seed), ok
		return nil
	}
	p.orderSeed, p.seeded = d.seed()
	if !d.shuffled || replicas == d.replicas {
		return nil
	}
	seed, _ := number(earlierSeed)
	p.orderSeed, p.seeded = uint64(seed), replicas > 1
	return nil
}

// rest gives the batches that are left of a resumed pass.
func (l *Loader[B]) rest(p *position) sampler.BatchSampler {
	b, ok := l.batches.(*sampler.Batch)
	if !ok {
		if s, ok := l.batches.(interface {
			Resume(consumed int) sampler.BatchSampler
		}); ok {
			return s.Resume(p.from)
		}
		return sampler.NewShardBatches(l.batches, 1, 0, true).Resume(p.from)
	}
	return b.WithSampler(l.restOf(b.Sampler(), p))
}

// restOf gives the indices that are left of a resumed pass. One rank alone draws a shuffled order from a generator,
// several from a seed: a pass keeps the order that it was begun with.
func (l *Loader[B]) restOf(s sampler.Sampler, p *position) sampler.Sampler {
	var order sampler.Sampler // nil: the sampler's own
	if p.seeded {
		order = sampler.NewDistributed(l.n, 1, 0, sampler.DistributedOptions{Seed: p.orderSeed})
	}
	switch s := s.(type) {
	case *sampler.Distributed:
		seed, shuffles := s.Seed()
		switch {
		case p.seeded && shuffles && seed == p.orderSeed:
			order = nil
		case !p.seeded && shuffles && l.o.Shuffle:
			order = sampler.NewRandom(l.n, sampler.RandomOptions{Generator: l.o.Generator})
		}
		return s.Resume(p.from, order)
	case interface {
		Resume(consumed int) sampler.Sampler
	}:
		return s.Resume(p.from)
	}
	if order == nil || !l.o.Shuffle {
		order = s
	}
	return sampler.NewShard(order, 1, 0, true).Resume(p.from)
}
