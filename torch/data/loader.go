package data

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"runtime/debug"
	"time"

	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/internal/permutation"
	"github.com/golite/golite/sampler"
	"github.com/golite/golite/torch"
)

// Options are a loader's optional arguments (those of torch.utils.data.DataLoader). There is no pin_memory: on their
// way to a GPU lite.SetupDataLoader's batches go through page-locked memory by themselves.
type Options struct {
	Shuffle  bool // another random order each pass
	DropLast bool // leave out a last batch with fewer samples
	Workers  int  // goroutines that read ahead; 0: the loop reads by itself
	Prefetch int  // batches that each worker reads ahead; 0: 2, and of batches below 2 MB as many as fit into 4, up to 16

	Sampler      sampler.Sampler      // the order, in place of Shuffle
	BatchSampler sampler.BatchSampler // the batches, in place of the batch size, Shuffle, Sampler and DropLast
	Generator    *torch.Generator     // for Shuffle and the workers' seeds; nil: the default one

	// Timeout is the longest wait for a batch, 0 for ever; it needs Workers. The loop then gets an Error whose cause is
	// context.DeadlineExceeded. A worker that still reads 5 s after its context was cancelled is left behind, for a
	// goroutine can't be killed: let Get heed its context.
	Timeout    time.Duration
	WorkerInit func(w *Worker) error // runs on each worker before its first sample (worker_init_fn)
}

// Loader gives a data set's samples in batches of type B, pass after pass (torch.utils.data.DataLoader).
type Loader[B any] struct {
	src       source[B]
	n         int // samples when the loader was made, -1 where that can't be known
	replicas  int // ranks that read parts of an Iterable; 0: one reads the whole
	batchSize int
	o         Options
	err       error                             // what is wrong with the options
	batches   sampler.BatchSampler              // nil where the source has an order of its own
	finish    []func(context.Context, *B) error // what is done to each batch, by the loop: moving it to a device
	transfer  func(context.Context, *B) (ready func(), err error)
	gate      func() error // called before each batch; its error ends the pass
	ranked    bool         // workers draw as this rank's
	rank      int

	at *passes
}

// source is where a loader's batches come from: a data set that is read by index, an Iterable, or two loaders.
type source[B any] interface {
	// samples is the number of samples, -1 where it can't be known.
	samples() int
	// of returns the data set; nil: there is none.
	of() any
	// missing names what is nil in it; empty: nothing.
	missing() string
	// run makes one pass, from its position on, and gives one result after another until yield returns false.
	run(ctx context.Context, l *Loader[B], p *position, yield func(result[B]) bool)
}

// result is a batch, or its failure.
type result[B any] struct {
	n     int // its number in the pass
	batch B
	made  []*torch.Tensor // for the batch: they go with the loop's body
	ready func()          // what the transfer returned for the loop to call; nil: nothing
	err   error
}

// discard releases a batch that is not delivered.
func (r result[B]) discard() {
	for _, t := range r.made {
		t.Release()
	}
}

// NewLoader makes a loader whose batches have the samples' own type: the tensors of the samples are stacked along a new
// first dimension (see Collate). A batch size above the number of samples gives one batch. It returns no error: bad
// options, a data set that is nil and a Len that is negative or panics are reported by Err, lite.SetupDataLoader, or by
// Batches first.
func NewLoader[S any](ds Dataset[S], batchSize int, opts ...Options) *Loader[S] {
	src := &indexed[S, S]{ds: ds, collate: Collate[S]}
	src.batcher, _ = ds.(Batcher[S])
	return newLoader(src, batchSize, opts)
}

// NewLoaderFunc makes a loader whose batches are what collate makes of the samples (DataLoader's collate_fn). The
// workers call it. Bad options are reported as by NewLoader.
func NewLoaderFunc[S, B any](ds Dataset[S], batchSize int, collate func([]S) (B, error), opts ...Options) *Loader[B] {
	return newLoader(&indexed[S, B]{ds: ds, collate: collate}, batchSize, opts)
}

// NewIterableLoader makes a loader over a data set that gives its samples in its own order (a DataLoader of an
// IterableDataset). One worker at most reads ahead. Bad options are reported as by NewLoader.
func NewIterableLoader[S any](ds Iterable[S], batchSize int, opts ...Options) *Loader[S] {
	return NewIterableLoaderFunc(ds, batchSize, Collate[S], opts...)
}

// NewIterableLoaderFunc is NewIterableLoader with a collate function, as NewLoaderFunc is to NewLoader.
func NewIterableLoaderFunc[S, B any](ds Iterable[S], batchSize int, collate func([]S) (B, error),
	opts ...Options) *Loader[B] {
	return newLoader(&streamed[S, B]{ds, collate}, batchSize, opts)
}

// newLoader checks the options, which are only reported later.
func newLoader[B any](src source[B], batchSize int, opts []Options) *Loader[B] {
	l := &Loader[B]{src: src, n: -1, batchSize: batchSize, at: new(passes)}
	if l.o, l.err = options.One(opts); l.err != nil {
		l.err = fmt.Errorf("data: %w", l.err)
		return l
	}
	if l.n, l.err = count(src); l.err != nil {
		return l
	}
	if l.err = l.check(); l.err != nil || l.IsIterable() {
		return l
	}
	l.batches = l.o.BatchSampler
	if l.batches == nil {
		s := l.o.Sampler
		if s == nil && l.o.Shuffle {
			s = sampler.NewRandom(l.n, sampler.RandomOptions{Generator: l.o.Generator})
		} else if s == nil {
			s = sampler.NewSequential(l.n)
		}
		l.batches = sampler.NewBatch(s, l.batchSize, l.o.DropLast)
	}
	return l
}

// count returns a source's number of samples.
func count[B any](src source[B]) (n int, err error) {
	if missing := src.missing(); missing != "" {
		return -1, fmt.Errorf("data: the %s is nil", missing)
	}
	defer func() {
		switch v := recover(); {
		case v == nil:
		case isNil(src.of()):
			n, err = -1, fmt.Errorf("data: the data set is a nil %T", src.of())
		default:
			n, err = -1, fmt.Errorf("data: the Len of the data set %T: %w", src.of(), &PanicError{v, debug.Stack()})
		}
	}()
	if n = src.samples(); n < 0 && !isStream(src) {
		return -1, fmt.Errorf("data: the Len of the data set %T is %d: want 0 or more", src.of(), n)
	}
	return n, nil
}

// mostWorkers bounds Options.Workers: each holds a thread, and Go ends a process of 10,000.
const mostWorkers = 4096

func (l *Loader[B]) check() error {
	o, stream := l.o, l.IsIterable()
	switch {
	case isNil(o.Sampler) || isNil(o.BatchSampler):
		return fmt.Errorf("data: Sampler (%T) or BatchSampler (%T) is a nil pointer", o.Sampler, o.BatchSampler)
	case o.BatchSampler != nil && (o.Shuffle || o.Sampler != nil || o.DropLast || l.batchSize > 1):
		return errors.New("data: a BatchSampler alone sets the batches: leave out Shuffle, Sampler, DropLast, " +
			"and give 0 or 1 as the batch size")
	case o.BatchSampler == nil && l.batchSize < 1:
		return fmt.Errorf("data: the batch size is %d: want 1 or more", l.batchSize)
	case o.Sampler != nil && o.Shuffle:
		return errors.New("data: Sampler and Shuffle exclude each other: a sampler sets the order")
	case stream && (o.Shuffle || o.Sampler != nil || o.BatchSampler != nil):
		return errors.New("data: an Iterable has an order of its own: leave out Shuffle, Sampler and BatchSampler")
	case o.Workers < 0 || o.Prefetch < 0 || o.Timeout < 0:
		return fmt.Errorf("data: Workers (%d), Prefetch (%d) and Timeout (%v) can't be negative", o.Workers, o.Prefetch,
			o.Timeout)
	case o.Timeout > 0 && o.Workers == 0:
		return fmt.Errorf("data: a Timeout of %v needs Workers: a loop that reads by itself can't be interrupted", o.Timeout)
	case stream && o.Workers > 1:
		return fmt.Errorf("data: %d workers would each read the whole Iterable: want 0 or 1", o.Workers)
	case o.Workers > mostWorkers:
		return fmt.Errorf("data: %d workers would hold a thread each: want %d or fewer", o.Workers, mostWorkers)
	case o.Shuffle && l.n > permutation.Most:
		return fmt.Errorf("data: Shuffle of the data set %T: %w", l.src.of(), permutation.TooLong(l.n))
	case l.n == 0 && o.Shuffle:
		return errors.New("data: the data set has no samples to shuffle")
	case l.n == 0:
		return errors.New("data: the data set has no samples")
	}
	return nil
}

// isNil reports whether an interface holds a nil pointer. A nil interface is an option that was left out.
func isNil(v any) bool {
	r := reflect.ValueOf(v)
	return r.Kind() == reflect.Pointer && r.IsNil()
}

// Err returns what is wrong with the loader's options, nil if nothing is.
func (l *Loader[B]) Err() error {
	if l.at == nil {
		return errors.New("data: the loader was not made by NewLoader or another constructor")
	}
	return l.err
}

// Len returns the number of batches of a pass (len(DataLoader)), -1 if it can't be known.
func (l *Loader[B]) Len() int {
	if z, ok := l.src.(interface{ length() int }); ok {
		return z.length()
	}
	if l.batches != nil {
		return l.batches.Len()
	}
	return -1
}

// Batches makes one pass (iter(DataLoader)): it ranges over the batches, or gives an error and ends. The body of the
// loop is a memory scope where the goroutine was locked by lite.Run, torch.RunRank or torch.Scope, and runs on the
// calling goroutine. Leaving the loop in any way stops the workers and ends the pass; a worker that still reads 5 s
// later is left behind. Passes are independent: one may begin while others are open, as in nested loops.
//
// The failure of a batch is an *Error, once ctx has ended the context's error. Panics of the data set and of the
// collate function are errors, and in a worker so is runtime.Goexit.
func (l *Loader[B]) Batches(ctx context.Context) iter.Seq2[B, error] {
	return func(yield func(B, error) bool) {
		var none B
		body := torch.NewLoopScope()
		defer body.End()
		for r := range l.each(ctx) {
			if r.err != nil {
				yield(none, r.err)
				return
			}
			body.Next()
			body.Adopt(r.made)
			if err := l.finished(ctx, &r); err != nil {
				yield(none, &Error{Batch: r.n, Index: -1, Worker: -1, Err: err})
				return
			}
			more := yield(r.batch, nil)
			body.End() // before the next batch is read: it would be freed with this one's body
			if !more {
				return
			}
		}
	}
}

// finished does the loop's own part of a batch.
func (l *Loader[B]) finished(ctx context.Context, r *result[B]) error {
	if r.ready != nil {
		r.ready()
	}
	for _, f := range l.finish {
		if err := f(ctx, &r.batch); err != nil {
			return err
		}
	}
	return nil
}
