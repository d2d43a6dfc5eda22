package optim

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// point is a place along the direction of a line search: how far, and loss, gradients and slope there.
type point struct {
	t     num
	loss  float64
	grad  *torch.Tensor
	slope num
}

// The constants of the strong Wolfe conditions: how much the loss must fall, and the slope flatten.
const (
	wolfeFall = 1e-4
	wolfeFlat = 0.9
)

// wolfe is a line search for a point where the strong Wolfe conditions hold.
type wolfe struct {
	*search
	at    []*torch.Tensor // the parameters to start from
	dir   *torch.Tensor
	from  point
	most  int
	iter  int
	calls int
}

// evaluate is the point at t.
func (w *wolfe) evaluate(t num) point {
	w.add(t, w.dir)
	w.search.evaluate()
	for i, p := range w.tensors {
		aten.Copy_(p, w.at[i], false)
	}
	w.calls++
	return point{t, w.search.loss, w.search.grad, numOf(aten.Dot(w.search.grad, w.dir))}
}

// tooHigh reports whether the loss has not fallen enough.
func (w *wolfe) tooHigh(p point) bool {
	limit := plus(scalar(w.from.loss), product(product(scalar(wolfeFall), p.t), w.from.slope))
	return less(limit, scalar(p.loss))
}

// flat reports whether the slope has flattened enough.
func (w *wolfe) flat(p point) bool {
	return atMost(absolute(p.slope), product(scalar(-wolfeFlat), w.from.slope))
}

// run searches from a first length, and returns the best point and the number of evaluations.
func (w *wolfe) run(t num) (point, int) {
	bracket, done := w.bracket(t)
	if len(bracket) == 1 {
		return bracket[0], w.calls
	}
	low, high := order(bracket)
	reach := largest(w.dir)
	stuck := false
	for !done && w.iter < w.most {
		if less(product(absolute(minus(bracket[1].t, bracket[0].t)), reach), scalar(w.toleranceDelta)) {
			break
		}
		t := interpolate(bracket[0], bracket[1], lesser(bracket[0].t, bracket[1].t), greater(bracket[0].t, bracket[1].t))
		t, stuck = w.inside(t, bracket, stuck)
		p := w.evaluate(t)
		w.iter++
		if w.tooHigh(p) || p.loss >= bracket[low].loss {
			bracket[high] = p
			low, high = order(bracket)
			continue
		}
		if w.flat(p) {
			done = true
		} else if product(p.slope, minus(bracket[high].t, bracket[low].t)).v >= 0 {
			bracket[high] = bracket[low]
		}
		bracket[low] = p
	}
	return bracket[low], w.calls
}

// bracket finds two points with a good one between them, or one that is good itself.
func (w *wolfe) bracket(t num) (found []point, done bool) {
	before := w.from
	before.t = scalar(0)
	now := w.evaluate(t)
	for w.iter < w.most {
		switch {
		case w.tooHigh(now) || w.iter > 1 && now.loss >= before.loss:
			return []point{before, now}, false
		case w.flat(now):
			return []point{now}, true
		case now.slope.v >= 0:
			return []point{before, now}, false
		}
		least := plus(now.t, product(scalar(0.01), minus(now.t, before.t)))
		next := interpolate(before, now, least, product(now.t, scalar(10)))
		before, now = now, w.evaluate(next)
		w.iter++
	}
	start := w.from
	start.t = scalar(0)
	return []point{start, now}, false
}

// order gives the numbers of the point with the lower loss, and of the other.
func order(b []point) (low, high int) {
	if b[0].loss <= b[1].loss {
		return 0, 1
	}
	return 1, 0
}

// inside moves t away from the bracket's ends, where it makes too little progress.
func (w *wolfe) inside(t num, b []point, stuck bool) (num, bool) {
	lowest, highest := lesser(b[0].t, b[1].t), greater(b[0].t, b[1].t)
	margin := product(scalar(0.1), minus(highest, lowest))
	if !less(lesser(minus(highest, t), minus(t, lowest)), margin) {
		return t, false
	}
	if !stuck && less(t, highest) && less(lowest, t) {
		return t, true
	}
	if less(absolute(minus(t, highest)), absolute(minus(t, lowest))) {
		return minus(highest, margin), false
	}
	return plus(lowest, margin), false
}

// interpolate finds the lowest point of the cubic through two points and their slopes, within bounds.
func interpolate(a, b point, least, most num) num {
	ratio := quotient(scalar(3*(a.loss-b.loss)), minus(a.t, b.t))
	d1 := minus(plus(a.slope, b.slope), ratio)
	square := minus(product(d1, d1), product(a.slope, b.slope))
	if !(square.v >= 0) {
		return quotient(plus(least, most), scalar(2))
	}
	d2 := root(square)
	if less(b.t, a.t) {
		a, b = b, a
	}
	part := quotient(minus(plus(b.slope, d2), d1), plus(minus(b.slope, a.slope), product(scalar(2), d2)))
	return lesser(greater(minus(b.t, product(minus(b.t, a.t), part)), least), most)
}
