package data

import (
	"context"
	"iter"
)

// Pair is a batch of each of two loaders.
type Pair[A, B any] struct {
	First  A
	Second B
}

// Zip walks two loaders at once, until the shorter one ends.
func Zip[A, B any](a *Loader[A], b *Loader[B]) *Loader[Pair[A, B]] {
	l := &Loader[Pair[A, B]]{batchSize: 1}
	l.src.samples = -1
	l.src.children = []stateful{a, b}
	l.src.length = func() int {
		n, m := a.Len(), b.Len()
		if n < 0 || m >= 0 && m < n {
			return m
		}
		return n
	}
	l.src.zipped = func(ctx context.Context) iter.Seq2[Pair[A, B], error] {
		return func(yield func(Pair[A, B], error) bool) { zip(ctx, a, b, yield) }
	}
	if l.err = a.err; l.err == nil {
		l.err = b.err
	}
	return l
}

func zip[A, B any](ctx context.Context, a *Loader[A], b *Loader[B], yield func(Pair[A, B], error) bool) {
	next, stop := iter.Pull2(b.each(ctx))
	defer stop()
	for x, err := range a.each(ctx) {
		var p Pair[A, B]
		if err == nil {
			err = a.finishBatch(ctx, &x)
		}
		if err == nil {
			y, yerr, ok := next()
			if !ok {
				return
			}
			if err = yerr; err == nil {
				err = b.finishBatch(ctx, &y)
			}
			p = Pair[A, B]{x, y}
		}
		if !yield(p, err) || err != nil {
			return
		}
	}
}
