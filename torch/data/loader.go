package data

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime/debug"
	"time"

	"github.com/golite/golite/sampler"
	"github.com/golite/golite/torch"
)

// Options are a loader's optional arguments (those of torch.utils.data.DataLoader).
type Options struct {
	Shuffle   bool // another random order each pass
	DropLast  bool // leave out a last batch with fewer samples
	Workers   int  // goroutines that read ahead; 0: the loop reads by itself
	Prefetch  int  // batches that each worker reads ahead; 0: 2
	PinMemory bool // batches in page-locked memory, for copies to a GPU that don't wait

	Sampler      sampler.Sampler      // the order, in place of Shuffle
	BatchSampler sampler.BatchSampler // the batches, in place of the batch size, Shuffle, Sampler and DropLast
	Generator    *torch.Generator     // for Shuffle and the workers' seeds; nil: the default one

	Timeout    time.Duration         // the longest wait for a batch; 0: for ever
	WorkerInit func(w *Worker) error // runs on each worker before its first sample
}

// source reads batches of type B, however they are made.
type source[B any] struct {
	samples  int                                            // of the data set; -1: an Iterable
	batch    func(ctx context.Context, at []int) (B, error) // a whole batch at once; nil: by read
	read     func(ctx context.Context, w *Worker, at []int) (B, error)
	stream   func(ctx context.Context, size int, dropLast bool) iter.Seq2[streamed[B], error] // of an Iterable
	shard    func(rank, replicas int) (*source[B], error)
	zipped   func(ctx context.Context) iter.Seq2[B, error]
	children []stateful // of Zip
	length   func() int // of Zip
}

// Loader gives a data set's samples in batches of type B, pass after pass (torch.utils.data.DataLoader).
type Loader[B any] struct {
	src       source[B]
	batchSize int
	o         Options
	err       error                             // what is wrong with the options
	batches   sampler.BatchSampler              // nil for streams
	finish    []func(context.Context, *B) error // what is done to each batch, by the loop: moving it to a device
	stage     func(context.Context, *B) (ready func(), err error)

	pass  position
	store *resume // set by LoadStateDict, taken by the next pass
}

// NewLoader makes a loader whose batches have the samples' own type: the tensors of the samples are stacked along a new
// first dimension (see Collate). It never fails: bad options are reported by lite.SetupDataLoader, or by Batches first.
func NewLoader[S any](ds Dataset[S], batchSize int, opts ...Options) *Loader[S] {
	l := newLoader(ds, batchSize, Collate[S], opts)
	if b, ok := ds.(Batcher[S]); ok {
		l.src.batch = b.Batch
	}
	return l
}

// NewLoaderFunc makes a loader whose batches are what collate makes of the samples.
func NewLoaderFunc[S, B any](ds Dataset[S], batchSize int, collate func([]S) (B, error), opts ...Options) *Loader[B] {
	return newLoader(ds, batchSize, collate, opts)
}

// NewIterableLoader makes a loader over a data set that gives its samples in its own order. One worker at most reads ahead.
func NewIterableLoader[S any](ds Iterable[S], batchSize int, opts ...Options) *Loader[S] {
	return NewIterableLoaderFunc(ds, batchSize, Collate[S], opts...)
}

// NewIterableLoaderFunc is NewIterableLoader with a collate function.
func NewIterableLoaderFunc[S, B any](ds Iterable[S], batchSize int, collate func([]S) (B, error), opts ...Options) *Loader[B] {
	l := &Loader[B]{src: streamSource(ds, collate), batchSize: batchSize}
	l.setOptions(opts)
	return l
}

func newLoader[S, B any](ds Dataset[S], batchSize int, collate func([]S) (B, error), opts []Options) *Loader[B] {
	l := &Loader[B]{batchSize: batchSize}
	l.src.samples = ds.Len()
	l.src.read = func(ctx context.Context, w *Worker, at []int) (B, error) { return readSamples(ctx, w, ds, at, collate) }
	l.setOptions(opts)
	return l
}

// readSamples reads a batch sample by sample.
func readSamples[S, B any](ctx context.Context, w *Worker, ds Dataset[S], at []int, collate func([]S) (B, error)) (B, error) {
	samples := make([]S, len(at))
	for k, i := range at {
		w.begin(i)
		s, err := guardedGet(ctx, ds, i)
		if err != nil {
			var none B
			return none, &Error{Index: i, Worker: w.ID, Err: err}
		}
		samples[k] = s
	}
	return collate(samples)
}

func guardedGet[S any](ctx context.Context, ds Dataset[S], i int) (s S, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{v, debug.Stack()}
		}
	}()
	return ds.Get(ctx, i)
}

// setOptions checks the options, which are only reported later.
func (l *Loader[B]) setOptions(opts []Options) {
	if len(opts) > 1 {
		l.err = fmt.Errorf("data: want at most one Options, got %d", len(opts))
		return
	}
	if len(opts) == 1 {
		l.o = opts[0]
	}
	if l.err = l.check(); l.err != nil || l.src.stream != nil {
		return
	}
	l.batches = l.o.BatchSampler
	if l.batches == nil {
		s := l.o.Sampler
		if s == nil && l.o.Shuffle {
			s = sampler.NewRandom(l.src.samples, sampler.RandomOptions{Generator: l.o.Generator})
		} else if s == nil {
			s = sampler.NewSequential(l.src.samples)
		}
		l.batches = sampler.NewBatch(s, l.batchSize, l.o.DropLast)
	}
}

func (l *Loader[B]) check() error {
	o := l.o
	switch {
	case o.BatchSampler != nil && (o.Shuffle || o.Sampler != nil || o.DropLast || l.batchSize > 1):
		return errors.New("data: a BatchSampler decides about the batches alone: leave out Shuffle, Sampler, DropLast, and give 0 or 1 as the batch size")
	case o.BatchSampler == nil && l.batchSize < 1:
		return fmt.Errorf("data: the batch size is %d: want 1 or more", l.batchSize)
	case o.Sampler != nil && o.Shuffle:
		return errors.New("data: Sampler and Shuffle exclude each other: a sampler decides about the order")
	case l.src.stream != nil && (o.Shuffle || o.Sampler != nil || o.BatchSampler != nil):
		return errors.New("data: an Iterable has an order of its own: leave out Shuffle, Sampler and BatchSampler")
	case o.Workers < 0 || o.Prefetch < 0 || o.Timeout < 0:
		return fmt.Errorf("data: Workers (%d), Prefetch (%d) and Timeout (%v) can't be negative", o.Workers, o.Prefetch, o.Timeout)
	case l.src.stream != nil && o.Workers > 1:
		return fmt.Errorf("data: %d workers would each read the whole Iterable: want 0 or 1", o.Workers)
	case l.src.samples == 0 && o.Shuffle:
		return errors.New("data: the data set has no samples to shuffle")
	case l.src.samples == 0 && l.src.stream == nil && l.src.zipped == nil:
		return errors.New("data: the data set has no samples")
	}
	return nil
}

// Err returns what is wrong with the loader's options, nil if nothing is.
func (l *Loader[B]) Err() error { return l.err }

// Len returns the number of batches of a pass (len(DataLoader)), -1 if it can't be known.
func (l *Loader[B]) Len() int {
	switch {
	case l.src.length != nil:
		return l.src.length()
	case l.batches != nil:
		return l.batches.Len()
	}
	return -1
}

// Batches makes one pass: it ranges over the batches, or gives an error and ends. The body of the loop is a memory
// scope where the goroutine was locked by lite.Run, torch.Root or torch.Scope, and runs on the calling goroutine.
// Leaving the loop in any way stops the workers and ends the pass.
func (l *Loader[B]) Batches(ctx context.Context) iter.Seq2[B, error] {
	return func(yield func(B, error) bool) {
		var none B
		body := torch.NewLoopScope()
		defer body.End()
		for b, err := range l.each(ctx) {
			if err != nil {
				yield(none, err)
				return
			}
			body.Next()
			body.Adopt(l.pass.made)
			if err := l.finishBatch(ctx, &b); err != nil {
				yield(none, &Error{Batch: l.pass.given - 1, Index: -1, Worker: -1, Err: err})
				return
			}
			more := yield(b, nil)
			body.End() // before the next batch is read: it would be freed with this one's body
			if !more {
				return
			}
		}
	}
}

func (l *Loader[B]) finishBatch(ctx context.Context, b *B) error {
	ready := l.pass.ready
	l.pass.ready = nil
	if ready == nil && l.stage != nil { // a stream's, or another loader's
		var err error
		if ready, err = l.stage(ctx, b); err != nil {
			return err
		}
	}
	if ready != nil {
		ready()
	}
	for _, f := range l.finish {
		if err := f(ctx, b); err != nil {
			return err
		}
	}
	return nil
}
