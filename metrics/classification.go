package metrics

import (
	"strconv"

	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/torch"
)

// Average is how the values of classes or labels become one.
//
// The averages are Micro, Macro, Weighted and NoAverage.
type Average string

// Averages.
const (
	Micro     Average = "micro"    // over all samples
	Macro     Average = "macro"    // of the classes' values, those without a sample left out
	Weighted  Average = "weighted" // of the classes' values, by their numbers of samples
	NoAverage Average = "none"     // a value for each class
)

// ClassOptions are the settings of metrics that count right and wrong classes.
type ClassOptions struct {
	// Average is Micro by default, and Macro for NewJaccard. Binary tasks have none.
	Average Average
	// TopK, of a multiclass task, takes a prediction for right if the target is among the TopK highest scores; 1 by default.
	TopK int
	// IgnoreIndex is a target that does not count; none by default.
	IgnoreIndex *int
	// ZeroDivision is the value of 0/0, 0 or 1. Specificity and Accuracy have 0.
	ZeroDivision float64
}

// Classification is a metric of a classifier's outputs: Update(preds, target), in the shapes of the metric's Task.
type Classification struct {
	base
	batch func(op string, preds, target *torch.Tensor) []*torch.Tensor
}

// Update adds a batch.
func (m *Classification) Update(preds, target *torch.Tensor) { m.run("Update", preds, target, false) }

// Forward adds a batch and returns the value of the batch alone, on this rank.
func (m *Classification) Forward(preds, target *torch.Tensor) *torch.Tensor {
	return m.run("Forward", preds, target, true)
}

func (m *Classification) run(method string, preds, target *torch.Tensor, wanted bool) *torch.Tensor {
	return m.add(method, func() []*torch.Tensor { return m.batch(m.op+"."+method, preds, target) }, wanted)
}

// NewAccuracy is the share of right predictions (torchmetrics.Accuracy).
func NewAccuracy(task Task, opts ...ClassOptions) *Classification {
	return statScores("metrics.NewAccuracy", task, opts, func(s scores) *torch.Tensor {
		if s.kind == multiclass {
			return s.average(s.tp, s.tp.Add(s.fn), 0, s.topK)
		}
		return s.average(s.tp.Add(s.tn), s.tp.Add(s.tn).Add_(s.fp).Add_(s.fn), 0, s.topK)
	})
}

// NewPrecision is the share of right predictions among those of a class (torchmetrics.Precision).
func NewPrecision(task Task, opts ...ClassOptions) *Classification {
	return statScores("metrics.NewPrecision", task, opts, func(s scores) *torch.Tensor {
		return s.average(s.tp, s.tp.Add(s.fp), s.zero, s.topK)
	})
}

// NewRecall is the share of a class's samples that are found (torchmetrics.Recall).
func NewRecall(task Task, opts ...ClassOptions) *Classification {
	return statScores("metrics.NewRecall", task, opts, func(s scores) *torch.Tensor {
		return s.average(s.tp, s.tp.Add(s.fn), s.zero, s.topK)
	})
}

// NewSpecificity is the share of other classes' samples that are told apart from a class (torchmetrics.Specificity).
func NewSpecificity(task Task, opts ...ClassOptions) *Classification {
	return statScores("metrics.NewSpecificity", task, opts, func(s scores) *torch.Tensor {
		return s.average(s.tn, s.tn.Add(s.fp), 0, 1)
	})
}

// NewF1 is the harmonic mean of precision and recall (torchmetrics.F1Score).
func NewF1(task Task, opts ...ClassOptions) *Classification {
	return fBeta("metrics.NewF1", task, 1, opts)
}

// NewFBeta is the weighted harmonic mean of precision and recall, in which recall counts beta times as much
// (torchmetrics.FBetaScore).
func NewFBeta(task Task, beta float64, opts ...ClassOptions) *Classification {
	if !(beta > 0) {
		torch.Fail("metrics.NewFBeta", "beta is %g; want one above 0", beta)
	}
	return fBeta("metrics.NewFBeta", task, beta, opts)
}

func fBeta(op string, task Task, beta float64, opts []ClassOptions) *Classification {
	b2 := beta * beta
	return statScores(op, task, opts, func(s scores) *torch.Tensor {
		tp := s.total(s.tp).To(torch.Float32).MulScalar(1 + b2)
		below := tp.Add(s.total(s.fn).To(torch.Float32).MulScalar(b2)).Add_(s.total(s.fp))
		return s.averaged(divided(tp, below, s.zero), 1)
	})
}

// scores are the counts of right and wrong predictions: of each class, or of all.
type scores struct {
	tp, fp, tn, fn *torch.Tensor
	kind           kind
	avg            Average
	topK           int
	zero           float64
}

// total sums the counts of labels for a micro average.
func (s scores) total(t *torch.Tensor) *torch.Tensor {
	if s.avg == Micro && t.Dim() > 0 {
		return t.Sum()
	}
	return t
}

func (s scores) average(above, below *torch.Tensor, zero float64, topK int) *torch.Tensor {
	return s.averaged(divided(s.total(above), s.total(below), zero), topK)
}

// averaged is _adjust_weights_safe_divide of torchmetrics.
func (s scores) averaged(score *torch.Tensor, topK int) *torch.Tensor {
	if s.avg == NoAverage || s.avg == Micro || s.kind == binary {
		return score
	}
	weights := s.tp.Add(s.fn)
	if s.avg == Macro {
		empty := weights
		weights = torch.OnesLike(score)
		if s.kind == multiclass {
			if topK == 1 {
				empty = empty.Add(s.fp)
			}
			weights = weights.MaskedFill(empty.EqScalar(0), 0)
		}
	}
	return divided(weights.Mul(score), weights.SumKeepDim(-1), 0).Sum(-1)
}

func (o ClassOptions) check(op string, t Task, average Average) ClassOptions {
	if o.Average == "" {
		o.Average = average
	}
	switch o.Average {
	case Micro, Macro, Weighted, NoAverage:
	default:
		torch.Fail(op, "Average %q; want metrics.Micro, Macro, Weighted or NoAverage", o.Average)
	}
	if o.TopK == 0 {
		o.TopK = 1
	}
	if o.TopK < 1 || o.TopK > 1 && (t.kind != multiclass || o.TopK > t.n) {
		torch.Fail(op, "TopK %d; want 1, or up to the number of classes in a multiclass task", o.TopK)
	}
	if o.ZeroDivision != 0 && o.ZeroDivision != 1 {
		torch.Fail(op, "ZeroDivision %g; want 0 or 1", o.ZeroDivision)
	}
	return o
}

func statScores(op string, t Task, opts []ClassOptions, value func(scores) *torch.Tensor) *Classification {
	o := options.Must(op, opts, torch.Fail).check(op, t.check(op), Micro)
	m := &Classification{base: base{op: op, verify: t.wrongValues(o.IgnoreIndex)}}
	m.fields = []field{{name: "tp"}, {name: "fp"}, {name: "tn"}, {name: "fn"}, {name: "invalid"}}
	m.zero = func() []*torch.Tensor {
		shape := []int{}
		if t.kind == multilabel || t.kind == multiclass && o.Average != Micro {
			shape = []int{t.n}
		}
		z := func(shape ...int) *torch.Tensor { return torch.Options{DType: torch.Int64}.Zeros(shape...) }
		return []*torch.Tensor{z(shape...), z(shape...), z(shape...), z(shape...), z()}
	}
	m.value = func(s []*torch.Tensor) *torch.Tensor {
		return value(scores{s[0], s[1], s[2], s[3], t.kind, o.Average, o.TopK, o.ZeroDivision})
	}
	m.batch = func(op string, preds, target *torch.Tensor) []*torch.Tensor {
		t.shapes(op, preds, target)
		if t.kind == multiclass {
			return classCounts(op, t, o, preds, target)
		}
		return labelCounts(t, o.IgnoreIndex, preds, target)
	}
	return m
}

// labelCounts counts right and wrong labels, of all or of each.
func labelCounts(t Task, ignore *int, preds, target *torch.Tensor) []*torch.Tensor {
	m := mark(target, preds, 2, ignore)
	yes := t.labels(preds, nil).To(torch.Bool)
	is := target.EqScalar(1)
	positive, negative := is.LogicalAnd(m.valid), is.LogicalNot().LogicalAnd_(m.valid)
	n := func(a, b *torch.Tensor) *torch.Tensor {
		both := a.LogicalAnd(b)
		if t.kind == binary {
			return both.Sum()
		}
		return both.Reshape(both.Size(0), t.n, -1).Sum(0, 2)
	}
	no := yes.LogicalNot()
	return []*torch.Tensor{n(positive, yes), n(negative, yes), n(negative, no), n(positive, no), m.wrong.Sum()}
}

// classCounts counts right and wrong classes, of all or of each.
func classCounts(op string, t Task, o ClassOptions, preds, target *torch.Tensor) []*torch.Tensor {
	m := mark(target, preds, t.n, o.IgnoreIndex)
	if o.TopK > 1 {
		if preds.Dim() != target.Dim()+1 {
			torch.Fail(op, "preds %v are classes, and TopK is %d; want scores [N, %d, ...]", preds.Shape(), o.TopK, t.n)
		}
		_, top := preds.TopK(o.TopK, 1)
		found := top.Eq(target.Unsqueeze(1)).Any(1)
		preds = target.To(torch.Int64).Where(found, top.Select(1, 0))
	} else if preds.Dim() == target.Dim()+1 {
		preds = preds.ArgMax(1)
	} else if preds.DType().IsFloating() {
		torch.Fail(op, "preds %v are floats in the shape of target; want scores [N, %d, ...], or classes as integers", preds.Shape(), t.n)
	}
	hit := preds.Eq(target).LogicalAnd_(m.valid)
	n, right := m.valid.Sum(), hit.Sum()
	if o.Average == Micro {
		missed := n.Sub(right)
		return []*torch.Tensor{right, missed, n.MulScalar(float64(t.n)).Sub_(missed).Sub_(missed).Sub_(right), missed, m.wrong.Sum()}
	}
	out := m.valid.LogicalNot()
	at := func(t0, skip *torch.Tensor) *torch.Tensor {
		return bins(t0.To(torch.Int64).MaskedFill(skip, float64(t.n)), t.n)
	}
	tp := at(preds, hit.LogicalNot())
	fp, fn := at(preds, out).Sub_(tp), at(target, out).Sub_(tp)
	return []*torch.Tensor{tp, fp, n.Sub(fp).Sub_(fn).Sub_(tp), fn, m.wrong.Sum()}
}

func itoa(n int) string { return strconv.Itoa(n) }
