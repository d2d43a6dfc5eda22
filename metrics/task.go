package metrics

import (
	"slices"

	"github.com/golite/golite/torch"
)

// Task is what a classifier decides, and how its outputs are read: Binary, Multiclass or Multilabel make one (torchmetrics'
// argument task with num_classes or num_labels).
type Task struct {
	// Threshold is the score above which a label is given, 0.5 by default, in binary and multilabel tasks.
	Threshold float64
	// Scores says what floating-point preds are: ScoresAuto by default.
	Scores Scores

	kind kind
	n    int
}

type kind uint8

const (
	binary kind = iota + 1
	multiclass
	multilabel
)

// Scores says what floating-point preds are.
//
// The kinds are ScoresAuto, ScoresProbabilities and ScoresLogits.
type Scores uint8

// Kinds of scores.
const (
	// ScoresAuto decides for each call of Update, as torchmetrics does: where a score of the batch lies outside of [0, 1], all
	// go through the sigmoid (or softmax, of a multiclass task). A batch of logits that happen to lie in [0, 1] is taken for
	// probabilities; the other kinds avoid that.
	ScoresAuto          Scores = iota
	ScoresProbabilities        // they are taken as they are
	ScoresLogits               // all go through the sigmoid or softmax
)

// Binary is the task of one label, 0 or 1: preds and target have one shape.
func Binary() Task { return Task{Threshold: 0.5, kind: binary} }

// Multiclass is the task of one class out of n, 2 or more: preds are scores [N, n, ...] or classes [N, ...], target is
// classes [N, ...].
func Multiclass(n int) Task { return Task{kind: multiclass, n: n} }

// Multilabel is the task of n labels, 2 or more, each 0 or 1: preds and target are [N, n, ...].
func Multilabel(n int) Task { return Task{Threshold: 0.5, kind: multilabel, n: n} }

// check fails where a constructor is given a task that is none.
func (t Task) check(op string) Task {
	switch {
	case t.kind == 0:
		torch.Fail(op, "the task is empty; make it with metrics.Binary(), metrics.Multiclass(n) or metrics.Multilabel(n)")
	case t.kind != binary && t.n < 2:
		torch.Fail(op, "the task has %d classes; want 2 or more, or metrics.Binary()", t.n)
	case t.Threshold < 0 || t.Threshold > 1 || t.Threshold != t.Threshold:
		torch.Fail(op, "Threshold %g; want one in [0, 1]", t.Threshold)
	case t.Scores > ScoresLogits:
		torch.Fail(op, "Scores %d; want ScoresAuto, ScoresProbabilities or ScoresLogits", t.Scores)
	}
	return t
}

// shapes fails where preds and target do not fit the task, by their shapes and types.
func (t Task) shapes(op string, preds, target *torch.Tensor) {
	need(op, preds, target)
	if target.DType().IsFloating() || target.DType().IsComplex() {
		torch.Fail(op, "target is %s; want classes or labels as integers: target.Long()", target.DType())
	}
	if t.kind != multiclass {
		sameShape(op, preds, target)
		if t.kind == multilabel && (preds.Dim() < 2 || preds.Size(1) != t.n) {
			torch.Fail(op, "preds %v; want [N, %d, ...], for the task has %d labels", preds.Shape(), t.n, t.n)
		}
		return
	}
	if preds.Device() != target.Device() {
		torch.Fail(op, "preds are on %s and target on %s; move one of them", preds.Device(), target.Device())
	}
	p, y := preds.Shape(), target.Shape()
	if len(p) == len(y)+1 && len(p) >= 2 {
		if !preds.DType().IsFloating() {
			torch.Fail(op, "preds %v have a dimension more than target and are %s; want scores as floats", p, preds.DType())
		}
		if p[1] != t.n {
			torch.Fail(op, "preds %v have %d classes in dimension 1, and the task has %d", p, p[1], t.n)
		}
		if p[0] != y[0] || !slices.Equal(p[2:], y[1:]) {
			torch.Fail(op, "preds %v do not fit target %v; want preds [N, C, ...] and target [N, ...]", p, y)
		}
		return
	}
	if !slices.Equal(p, y) {
		torch.Fail(op, "preds %v do not fit target %v; want preds [N, C, ...] or [N, ...] and target [N, ...]", p, y)
	}
}

// scores makes probabilities of preds, by the task's Scores: softmax over dimension 1, or the sigmoid. Elements that ignored marks
// do not count as logits.
func (t Task) scores(preds, ignored *torch.Tensor) *torch.Tensor {
	logits := func() *torch.Tensor {
		if t.kind == multiclass {
			return preds.Softmax(1)
		}
		return preds.Sigmoid()
	}
	switch t.Scores {
	case ScoresProbabilities:
		return preds
	case ScoresLogits:
		return logits()
	}
	inside := preds.GeScalar(0).LogicalAnd_(preds.LeScalar(1))
	if ignored != nil {
		if t.kind == multiclass {
			ignored = ignored.Unsqueeze(1)
		}
		inside = inside.LogicalOr(ignored)
	}
	all := inside.All()
	if all.Device().Type == torch.CPUType {
		if all.Item() != 0 {
			return preds
		}
		return logits()
	}
	return preds.Where(all, logits()) // without waiting for the device
}

// labels makes 0 and 1 of the preds of a binary or multilabel task.
func (t Task) labels(preds, ignored *torch.Tensor) *torch.Tensor {
	if !preds.DType().IsFloating() {
		return preds
	}
	return t.scores(preds, ignored).GtScalar(t.Threshold)
}

// marked are the targets that count, those that are ignored (nil: none), and those that are no class of n, as truths.
type marked struct{ valid, ignored, wrong *torch.Tensor }

// mark sorts the targets, and labels among preds, that must be less than n.
func mark(target, preds *torch.Tensor, n int, ignore *int) marked {
	inside := func(t *torch.Tensor) *torch.Tensor {
		if t.DType() == torch.Bool {
			return torch.OnesLike(t)
		}
		return t.GeScalar(0).LogicalAnd_(t.LtScalar(float64(n)))
	}
	m := marked{valid: inside(target)}
	allowed := m.valid
	if ignore != nil {
		m.ignored = target.EqScalar(float64(*ignore))
		m.valid = m.valid.LogicalAnd(m.ignored.LogicalNot())
		allowed = allowed.LogicalOr(m.ignored)
	}
	if preds != nil && !preds.DType().IsFloating() && preds.DType() != torch.Bool {
		is := inside(preds)
		m.valid = m.valid.LogicalAnd(is)
		if ignore != nil {
			is = is.LogicalOr(m.ignored)
		}
		allowed = allowed.LogicalAnd(is)
	}
	m.wrong = allowed.LogicalNot()
	return m
}

// wrongValues says what the number of wrong values means.
func (t Task) wrongValues(ignore *int) func(state []*torch.Tensor) string {
	want := "0 or 1"
	if t.kind == multiclass {
		want = "a class from 0 to " + itoa(t.n-1)
	}
	if ignore != nil {
		want += ", or IgnoreIndex, " + itoa(*ignore)
	}
	return func(state []*torch.Tensor) string {
		n := int(state[len(state)-1].Item())
		if n == 0 {
			return ""
		}
		return itoa(n) + " elements of target, or of preds that are classes, are out of range; want " + want +
			" (set IgnoreIndex for labels such as -100 that are to be left out)"
	}
}

// bins counts the indices, from 0 to size-1, without waiting for the device; size itself is for those that do not count.
func bins(index *torch.Tensor, size int) *torch.Tensor {
	index = index.Flatten()
	out := torch.Options{Device: index.Device(), DType: torch.Int64}.Zeros(size + 1)
	one := torch.Options{Device: index.Device(), DType: torch.Int64}.Ones(1).ExpandAs(index)
	return out.ScatterAdd_(0, index, one).Narrow(0, 0, size)
}
