package data

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/golite/golite/torch"
)

// Dataset is a data set whose samples are read by index, from 0 to Len()-1 (torch.utils.data.Dataset). Get may be
// called from several workers at once, and should heed its context. Len is read when a loader is made: samples that are
// added later aren't read, and those taken away are still requested.
type Dataset[S any] interface {
	Len() int
	Get(ctx context.Context, i int) (S, error)
}

// Batcher is a Dataset that can read a whole batch at once, faster than sample by sample and a collate after it. The
// loader uses it when no collate function was given (as a Dataset's __getitems__). Where Batch returns
// errors.ErrUnsupported the samples are read one by one.
type Batcher[S any] interface {
	Batch(ctx context.Context, indices []int) (S, error)
}

// Iterable is a data set that gives its samples in its own order (torch.utils.data.IterableDataset), such as a stream.
// It ends with the first error that it gives. Each pass calls Samples anew.
type Iterable[S any] interface {
	Samples(ctx context.Context) iter.Seq2[S, error]
}

// Sharder is an Iterable that can give one rank its own part: those from 0 to replicas-1 together are the whole. It
// corresponds to what an IterableDataset's __iter__ does with the rank's number.
type Sharder[S any] interface {
	// Shard returns the part of a rank, from 0, among so many replicas.
	Shard(rank, replicas int) Iterable[S]
}

// Example is an input with its target: a sample, or with one more dimension in front a batch.
type Example struct{ Input, Target *torch.Tensor }

// Subset is some samples of another data set (torch.utils.data.Subset).
type Subset[S any] struct {
	ds      Dataset[S]
	indices []int
}

// NewSubset makes the data set of the samples ds[indices[0]], ds[indices[1]] …, in that order. The indices are kept;
// one outside of ds is ds's error when it is read. It panics with a *torch.Error if ds is nil.
func NewSubset[S any](ds Dataset[S], indices []int) *Subset[S] {
	samplesOf(ds, "data.NewSubset", "the data set")
	return &Subset[S]{ds, indices}
}

// samplesOf returns the Len of a data set. It panics with a *torch.Error that names a data set that is nil, or whose
// Len is negative or does not work on a nil pointer.
func samplesOf[S any](ds Dataset[S], operation, what string) int {
	given(ds != nil, operation, what)
	if isNil(ds) {
		defer func() {
			if v := recover(); v != nil {
				torch.Fail(operation, "%s is a nil %T", what, ds)
			}
		}()
	}
	n := ds.Len()
	if n < 0 {
		torch.Fail(operation, "the Len of %s is %d: want 0 or more", what, n)
	}
	return n
}

// given panics with a *torch.Error that names what is nil.
func given(ok bool, operation, what string) {
	if !ok {
		torch.Fail(operation, "%s is nil", what)
	}
}

// Len returns the number of samples.
func (d *Subset[S]) Len() int { return len(d.indices) }

// Indices returns the places of the samples in the whole.
func (d *Subset[S]) Indices() []int { return d.indices }

// Get returns sample i of the subset. An index outside of it is an error.
func (d *Subset[S]) Get(ctx context.Context, i int) (S, error) {
	if i < 0 || i >= len(d.indices) {
		var none S
		return none, fmt.Errorf("index %d is outside of a subset of %d samples", i, len(d.indices))
	}
	return d.ds.Get(ctx, d.indices[i])
}

// Batch reads a batch at once, if the whole data set can.
func (d *Subset[S]) Batch(ctx context.Context, indices []int) (S, error) {
	b, ok := d.ds.(Batcher[S])
	if !ok {
		var none S
		return none, errors.ErrUnsupported
	}
	at := make([]int, len(indices))
	for k, i := range indices {
		at[k] = d.indices[i]
	}
	return b.Batch(ctx, at)
}

// ConcatDataset is data sets one after the other (torch.utils.data.ConcatDataset).
type ConcatDataset[S any] struct {
	parts []Dataset[S]
	ends  []int
}

// NewConcatDataset joins data sets, whose lengths it reads now. It panics with a *torch.Error if one is nil or has a
// negative length.
func NewConcatDataset[S any](parts ...Dataset[S]) *ConcatDataset[S] {
	d := &ConcatDataset[S]{parts: parts}
	end := 0
	for k, p := range parts {
		n := samplesOf(p, "data.NewConcatDataset", fmt.Sprint("data set ", k))
		if n > math.MaxInt-end {
			torch.Fail("data.NewConcatDataset", "the data sets up to %d, %T of %d samples, have more samples together than "+
				"an int counts", k, p, n)
		}
		end += n
		d.ends = append(d.ends, end)
	}
	return d
}

// Len returns the number of samples of all parts.
func (d *ConcatDataset[S]) Len() int {
	if len(d.ends) == 0 {
		return 0
	}
	return d.ends[len(d.ends)-1]
}

// Get returns sample i, counted through all parts. An index outside of them is an error.
func (d *ConcatDataset[S]) Get(ctx context.Context, i int) (S, error) {
	start := 0
	for k, end := range d.ends {
		if i >= start && i < end {
			return d.parts[k].Get(ctx, i-start)
		}
		start = end
	}
	var none S
	return none, fmt.Errorf("index %d is outside of a data set of %d samples", i, d.Len())
}

// Map applies a function to every sample of a data set when it is read, by the workers if there are some: the transform
// argument of torchvision's data sets. An error of f is the sample's. It panics with a *torch.Error if ds or f is nil.
func Map[S, T any](ds Dataset[S], f func(ctx context.Context, s S) (T, error)) Dataset[T] {
	samplesOf(ds, "data.Map", "the data set")
	given(f != nil, "data.Map", "the function")
	return &mapped[S, T]{ds, f}
}

type mapped[S, T any] struct {
	ds Dataset[S]
	f  func(context.Context, S) (T, error)
}

func (d *mapped[S, T]) Len() int { return d.ds.Len() }

func (d *mapped[S, T]) Get(ctx context.Context, i int) (T, error) {
	s, err := d.ds.Get(ctx, i)
	if err != nil {
		var none T
		return none, err
	}
	return d.f(ctx, s)
}
