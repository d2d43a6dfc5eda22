package data

import (
	"context"
	"math/rand/v2"

	"github.com/golite/golite/torch"
)

// Worker is who reads a sample: what is random about a sample comes from here.
type Worker struct {
	// ID counts the workers from 0; it is -1 where the loop reads by itself.
	ID int
	// Rand is seeded from the loader's seed of this pass and the sample's index: the same whichever worker reads it.
	Rand *rand.Rand
	// Generator is what torch's random operations draw from, in a worker: seeded as Rand is. Where the loop reads by
	// itself it is nil, and they draw from the default generator, as PyTorch's do.
	Generator *torch.Generator

	source *rand.PCG
	seed   uint64
}

type workerKey struct{}

// WorkerFrom returns the worker that a Dataset's Get was called by. Outside of a loader it is one of ID -1 with a
// fixed seed.
func WorkerFrom(ctx context.Context) *Worker {
	if w, ok := ctx.Value(workerKey{}).(*Worker); ok {
		return w
	}
	return newWorker(-1, 0)
}

func newWorker(id int, seed uint64) *Worker {
	w := &Worker{ID: id, source: rand.NewPCG(seed, 0), seed: seed}
	w.Rand = rand.New(w.source)
	return w
}

// begin reseeds the worker for a sample.
func (w *Worker) begin(index int) {
	w.source.Seed(w.seed, uint64(index))
	if w.Generator != nil {
		// A splitmix step keeps the streams of neighbouring indices apart.
		z := w.seed + uint64(index)*0x9e3779b97f4a7c15
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		w.Generator.ManualSeed((z ^ z>>27) * 0x94d049bb133111eb >> 1)
	}
}
