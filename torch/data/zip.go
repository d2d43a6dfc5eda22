package data

import (
	"context"
	"errors"
	"iter"
)

// Pair is a batch of each of two loaders.
type Pair[A, B any] struct {
	First  A // the first loader's
	Second B // the second loader's
}

// Zip walks two loaders at once, until the shorter one ends (Python's zip of two DataLoaders). Its state is theirs: it
// can be saved, and resumed in mid-pass. The two must not be the same loader. It panics with a *torch.Error if one is
// nil.
func Zip[A, B any](a *Loader[A], b *Loader[B]) *Loader[Pair[A, B]] {
	given(a != nil && b != nil, "data.Zip", "one of the loaders")
	l := &Loader[Pair[A, B]]{src: &zipped[A, B]{a, b}, n: -1, batchSize: 1, at: new(passes)}
	if l.err = a.Err(); l.err == nil {
		l.err = b.Err()
	}
	if any(a) == any(b) {
		l.err = errors.New("data: Zip of a loader with itself would save one position for two passes: make two loaders " +
			"over the data set")
	}
	return l
}

// zipped reads two loaders.
type zipped[A, B any] struct {
	a *Loader[A]
	b *Loader[B]
}

func (z *zipped[A, B]) samples() int { return -1 }

func (z *zipped[A, B]) of() any { return nil }

func (z *zipped[A, B]) missing() string { return "" }

func (z *zipped[A, B]) parts() []part { return []part{z.a, z.b} }

func (z *zipped[A, B]) length() int {
	n, m := z.a.Len(), z.b.Len()
	if n < 0 || m >= 0 && m < n {
		return m
	}
	return n
}

func (z *zipped[A, B]) run(ctx context.Context, l *Loader[Pair[A, B]], p *position,
	yield func(result[Pair[A, B]]) bool) {
	next, stop := iter.Pull(z.b.each(ctx))
	begun := false
	defer func() {
		if stop(); !begun { // the first loader had nothing left, and the second one's pass ends with its
			z.b.leave()
		}
	}()
	for x := range z.a.each(ctx) {
		if x.err != nil {
			yield(result[Pair[A, B]]{err: x.err})
			return
		}
		begun = true
		y, ok := next()
		if !ok {
			x.discard()
			return
		}
		if y.err != nil {
			x.discard()
			yield(result[Pair[A, B]]{err: y.err})
			return
		}
		if !yield(z.pair(ctx, l, p, x, y)) {
			return
		}
	}
}

// pair finishes both batches, each as its own loader does.
func (z *zipped[A, B]) pair(ctx context.Context, l *Loader[Pair[A, B]], at *position, x result[A],
	y result[B]) result[Pair[A, B]] {
	r := l.produce(ctx, func() (p Pair[A, B], err error) {
		if err = z.a.finished(ctx, &x); err == nil {
			err = z.b.finished(ctx, &y)
		}
		return Pair[A, B]{x.batch, y.batch}, err
	})
	r.made = append(append(r.made, x.made...), y.made...)
	if r.err != nil {
		r.err = &Error{Batch: at.given, Index: -1, Worker: -1, Err: r.err}
	}
	return r
}
