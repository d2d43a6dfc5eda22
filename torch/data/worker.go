package data

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/debug"

	"github.com/golite/golite/torch"
)

// Worker is who reads a sample: what is random about a sample comes from here.
type Worker struct {
	// ID counts the workers from 0; it is -1 where the loop reads by itself.
	ID int
	// Rand is seeded from the loader's seed of this pass and the sample's index: the same whichever worker reads it. For
	// an Iterable it is seeded once a pass. Ranks whose loader lite has set up draw differently.
	Rand *rand.Rand
	// Generator is what torch's random operations draw from, in a worker: seeded as Rand is, and before the first sample
	// as PyTorch's worker of that number is. Where the loop reads by itself it is nil, and they draw from the default
	// generator, as PyTorch's do: that one is alike on all ranks.
	Generator *torch.Generator

	source *rand.PCG
	seed   uint64
	ready  bool // WorkerInit is behind it
	index  int  // the sample that it reads; -1: none
}

type workerKey struct{}

// WorkerFrom returns the worker that a Dataset's Get was called by. NoScope of a loader it is one of ID -1 with a
// fixed seed.
func WorkerFrom(ctx context.Context) *Worker {
	if w, ok := ctx.Value(workerKey{}).(*Worker); ok {
		return w
	}
	return workerOf(-1, 0)
}

func workerOf(id int, seed uint64) *Worker {
	w := &Worker{ID: id, source: rand.NewPCG(seed, 0), seed: seed, index: -1}
	w.Rand = rand.New(w.source)
	return w
}

// newWorker makes a worker of this pass. What a sample draws follows from the pass, the rank and the sample, and not
// from the worker's number, so that it doesn't depend on how many there are.
func (l *Loader[B]) newWorker(p *position, id int) *Worker {
	seed := p.seed
	if l.ranked {
		seed = seedOf(p.seed, 0, l.rank)
	}
	w := workerOf(id, seed)
	switch {
	case id < 0: // the loop itself
	case l.ranked:
		w.Generator = torch.NewGenerator(seedOf(p.seed, id, l.rank))
	default:
		w.Generator = torch.NewGenerator(p.seed + uint64(id))
	}
	return w
}

// seedOf mixes a pass's seed with the numbers of a worker and a rank, as Fabric's pl_worker_init_function does: their
// 128 bits side by side go through MurmurHash3's finaliser and one step of Knuth's congruential generator.
func seedOf(seed uint64, worker, rank int) uint64 {
	high, low := seed>>32, seed<<32|uint64(worker)<<16|uint64(rank)
	low ^= high<<31 | low>>33 // of what is shifted out above, these bits come back
	low *= 0xff51afd7ed558ccd
	low ^= low >> 33
	low *= 0xc4ceb9fe1a85ec53
	low ^= low >> 33
	return low*6364136223846793005 + 1
}

// begin reseeds the worker for a sample.
func (w *Worker) begin(index int) {
	w.index = index
	w.source.Seed(w.seed, uint64(index))
	if w.Generator != nil {
		// A splitmix step keeps the streams of neighbouring indices apart.
		z := w.seed + uint64(index)*0x9e3779b97f4a7c15
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		w.Generator.ManualSeed((z ^ z>>27) * 0x94d049bb133111eb >> 1)
	}
}

// during says of an error that it came from WorkerInit, if that hadn't returned yet.
func (w *Worker) during(err error) error {
	if w.ready {
		return err
	}
	return fmt.Errorf("WorkerInit: %w", err)
}

// asWorker runs f as a worker: locked to a thread, with one thread for each operation, and random streams of its own.
// broken is what WorkerInit returned.
func (l *Loader[B]) asWorker(ctx context.Context, w *Worker, f func(ctx context.Context, broken error)) {
	ctx = context.WithValue(ctx, workerKey{}, w)
	torch.RunRank(func() {
		torch.WithNumThreads(1, func() {
			torch.WithGenerator(w.Generator, func() { f(ctx, l.initWorker(w)) })
		})
	})
}

func (l *Loader[B]) initWorker(w *Worker) (err error) {
	if l.o.WorkerInit == nil {
		w.ready = true
		return nil
	}
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{v, debug.Stack()}
		}
	}()
	if err = l.o.WorkerInit(w); err == nil {
		w.ready = true
	}
	return err
}
