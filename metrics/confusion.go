package metrics

import (
	"math"

	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/torch"
)

// Normalize is over what a confusion matrix is normalized.
//
// The ways are NormalizeNone, NormalizeTrue, NormalizePred and NormalizeAll.
type Normalize string

// Ways to normalize.
const (
	NormalizeNone Normalize = ""     // counts
	NormalizeTrue Normalize = "true" // the targets: rows sum to 1
	NormalizePred Normalize = "pred" // the predictions: columns sum to 1
	NormalizeAll  Normalize = "all"  // all samples
)

// ConfusionOptions are the settings of NewConfusionMatrix.
type ConfusionOptions struct {
	// Normalize is NormalizeNone by default. A quotient 0/0 is 0.
	Normalize Normalize
	// IgnoreIndex is a target that does not count; none by default.
	IgnoreIndex *int
}

// NewConfusionMatrix counts predictions, in columns, by targets, in rows: [2, 2], [C, C], or [L, 2, 2] of a multilabel
// task (torchmetrics.ConfusionMatrix).
func NewConfusionMatrix(task Task, opts ...ConfusionOptions) *Classification {
	const op = "metrics.NewConfusionMatrix"
	o := options.Must(op, opts, torch.Fail)
	over := map[Normalize][]int{NormalizeNone: nil, NormalizeTrue: {-1}, NormalizePred: {-2}, NormalizeAll: {-2, -1}}
	dims, ok := over[o.Normalize]
	if !ok {
		torch.Fail(op, "Normalize %q; want NormalizeNone, NormalizeTrue, NormalizePred or NormalizeAll", o.Normalize)
	}
	return confusion(op, task, o.IgnoreIndex, func(m *torch.Tensor) *torch.Tensor {
		if dims == nil {
			return m.Clone()
		}
		m = m.To(torch.Float32)
		m = m.Div(m.SumKeepDim(dims...))
		return m.MaskedFill(m.IsNaN(), 0)
	})
}

// NewJaccard is the intersection over union of a class's targets and predictions (torchmetrics.JaccardIndex), a Macro average by
// default. TopK is not for it.
func NewJaccard(task Task, opts ...ClassOptions) *Classification {
	const op = "metrics.NewJaccard"
	o := options.Must(op, opts, torch.Fail).check(op, task.check(op), Macro)
	if o.TopK > 1 {
		torch.Fail(op, "TopK %d; want none: the metric is of the first class", o.TopK)
	}
	return confusion(op, task, o.IgnoreIndex, func(m *torch.Tensor) *torch.Tensor { return jaccard(m.To(torch.Float32), task, o) })
}

func jaccard(m *torch.Tensor, t Task, o ClassOptions) *torch.Tensor {
	at := func(i, j int) *torch.Tensor { return m.Select(-2, i).Select(-1, j) }
	if t.kind == binary {
		return divided(at(1, 1), at(0, 1).Add(at(1, 0)).Add_(at(1, 1)), o.ZeroDivision)
	}
	above, below := at(1, 1), at(1, 1).Add(at(0, 1)).Add_(at(1, 0))
	if t.kind == multiclass {
		above = m.Diagonal(0, 0, 1)
		below = m.Sum(0).Add_(m.Sum(1)).Sub_(above)
	}
	ignored := o.IgnoreIndex != nil && *o.IgnoreIndex >= 0 && *o.IgnoreIndex < m.Size(0)
	if o.Average == Micro {
		all := below.Sum()
		if ignored {
			all = all.Sub(below.Select(0, *o.IgnoreIndex))
		}
		return divided(above.Sum(), all, o.ZeroDivision)
	}
	score := divided(above, below, o.ZeroDivision)
	var weights *torch.Tensor
	switch {
	case o.Average == NoAverage:
		return score
	case o.Average == Weighted && t.kind == multilabel:
		weights = at(1, 1).Add(at(1, 0))
	case o.Average == Weighted:
		weights = m.Sum(1)
	default:
		weights = torch.OnesLike(score)
		if ignored {
			weights.Select(0, *o.IgnoreIndex).Zero_()
		}
		if t.kind == multiclass {
			weights = weights.MaskedFill(m.Sum(1).Add_(m.Sum(0)).EqScalar(0), 0)
		}
	}
	return weights.Mul(score).Div(weights.Sum()).Sum()
}

// IgnoreOptions are the settings of NewMatthewsCorrCoef.
type IgnoreOptions struct {
	// IgnoreIndex is a target that does not count; none by default.
	IgnoreIndex *int
}

// NewMatthewsCorrCoef is the correlation of targets and predictions, from -1 to 1 (torchmetrics.MatthewsCorrCoef).
func NewMatthewsCorrCoef(task Task, opts ...IgnoreOptions) *Classification {
	const op = "metrics.NewMatthewsCorrCoef"
	return confusion(op, task, options.Must(op, opts, torch.Fail).IgnoreIndex, matthews)
}

func matthews(m *torch.Tensor) *torch.Tensor {
	if m.Dim() == 3 {
		m = m.Sum(0)
	}
	device := torch.Options{Device: m.Device(), DType: torch.Float32}
	counts := torch.ToSlice[int64](m.CPU())
	square := len(counts) == 4
	if square {
		tn, fp, fn, tp := counts[0], counts[1], counts[2], counts[3]
		switch {
		case tp+tn != 0 && fp+fn == 0:
			return device.Scalar(1)
		case tp+tn == 0 && fp+fn != 0:
			return device.Scalar(-1)
		}
	}
	f := m.To(torch.Float32)
	tk, pk := f.Sum(-1), f.Sum(-2)
	s := f.Sum()
	// Python's sum adds one element after the other.
	inOrder := func(t *torch.Tensor) *torch.Tensor { return t.CumSum(0).Select(0, -1) }
	above := f.Trace().Mul(s).Sub(inOrder(tk.Mul(pk)))
	below := s.Pow(2).Sub(inOrder(pk.Mul(pk))).Mul(s.Pow(2).Sub(inOrder(tk.Mul(tk))))
	if below.Item() != 0 {
		return above.Div(below.Sqrt())
	}
	if !square {
		return device.Scalar(0)
	}
	return matthewsLimit(device, counts)
}

// matthewsLimit is the value of a 2 by 2 matrix with an empty row or column, by torchmetrics' limits in float32.
func matthewsLimit(device torch.Options, counts []int64) *torch.Tensor {
	tn, fp, fn, tp := float32(counts[0]), float32(counts[1]), float32(counts[2]), float32(counts[3])
	const eps = float32(1.1920928955078125e-07)
	root := float32(math.Sqrt(float64(eps)))
	var above float32
	switch {
	case fn == 0 && tn == 0:
		above = root * (tp - fp)
	case fp == 0 && tn == 0:
		above = root * (tp - fn)
	case tp == 0 && fn == 0:
		above = root * (tn - fp)
	case tp == 0 && fp == 0:
		above = root * (tn - fn)
	case tp == 0:
		above = tn - fp*fn
	case tn == 0:
		above = tp - fp*fn
	case fp == 0 || fn == 0:
		above = tp * tn
	default:
		return device.Scalar(0)
	}
	below := (tp + fp + eps) * (tp + fn + eps) * (tn + fp + eps) * (tn + fn + eps)
	return device.Scalar(float64(above)).Div(device.Scalar(float64(below)).Sqrt())
}

// Kappa is how the disagreements of classes weigh in NewCohenKappa.
//
// The ways are KappaNone, KappaLinear and KappaQuadratic.
type Kappa string

// Weights of disagreements.
const (
	KappaNone      Kappa = ""          // all alike
	KappaLinear    Kappa = "linear"    // by the distance of the classes
	KappaQuadratic Kappa = "quadratic" // by its square
)

// KappaOptions are the settings of NewCohenKappa.
type KappaOptions struct {
	// Weights is KappaNone by default.
	Weights Kappa
	// IgnoreIndex is a target that does not count; none by default.
	IgnoreIndex *int
}

// NewCohenKappa is the agreement of targets and predictions beyond that by chance (torchmetrics.CohenKappa), for binary and
// multiclass tasks.
func NewCohenKappa(task Task, opts ...KappaOptions) *Classification {
	const op = "metrics.NewCohenKappa"
	o := options.Must(op, opts, torch.Fail)
	if task.kind == multilabel {
		torch.Fail(op, "the task is multilabel; want metrics.Binary() or metrics.Multiclass(n)")
	}
	if o.Weights != KappaNone && o.Weights != KappaLinear && o.Weights != KappaQuadratic {
		torch.Fail(op, "Weights %q; want KappaNone, KappaLinear or KappaQuadratic", o.Weights)
	}
	return confusion(op, task, o.IgnoreIndex, func(m *torch.Tensor) *torch.Tensor {
		m = m.To(torch.Float32)
		on := torch.Options{Device: m.Device(), DType: torch.Float32}
		n := m.Size(0)
		sum0, sum1 := m.SumKeepDim(0), m.SumKeepDim(1)
		expected := sum1.MatMul(sum0).Div(sum0.Sum())
		w := on.Ones(n, n).Sub_(on.Eye(n, n))
		if o.Weights != KappaNone {
			i := on.Arange(float64(n))
			w = i.Unsqueeze(0).Sub(i.Unsqueeze(1))
			if o.Weights == KappaLinear {
				w = w.Abs()
			} else {
				w = w.Pow(2)
			}
		}
		return w.Mul(m).Sum().Div(w.Mul(expected).Sum()).RsubScalar(1)
	})
}

// confusion is a metric of the confusion matrix.
func confusion(op string, t Task, ignore *int, value func(m *torch.Tensor) *torch.Tensor) *Classification {
	t.check(op)
	shape := []int{2, 2}
	switch t.kind {
	case multiclass:
		shape = []int{t.n, t.n}
	case multilabel:
		shape = []int{t.n, 2, 2}
	}
	m := &Classification{base: base{op: op, verify: t.wrongValues(ignore)}}
	m.fields = []field{{name: "confmat"}, {name: "invalid"}}
	m.zero = func() []*torch.Tensor {
		on := torch.Options{DType: torch.Int64}
		return []*torch.Tensor{on.Zeros(shape...), on.Zeros()}
	}
	m.value = func(s []*torch.Tensor) *torch.Tensor { return value(s[0]) }
	m.batch = func(op string, preds, target *torch.Tensor) []*torch.Tensor {
		t.shapes(op, preds, target)
		return matrix(op, t, ignore, preds, target, shape)
	}
	return m
}

func matrix(op string, t Task, ignore *int, preds, target *torch.Tensor, shape []int) []*torch.Tensor {
	n := 2
	if t.kind == multiclass {
		n = t.n
	}
	m := mark(target, preds, n, ignore)
	switch {
	case t.kind != multiclass:
		ignored := m.ignored
		if t.kind == multilabel {
			ignored = nil // torchmetrics looks at all scores here
		}
		preds = t.labels(preds, ignored)
	case preds.Dim() == target.Dim()+1:
		preds = preds.ArgMax(1)
	case preds.DType().IsFloating():
		torch.Fail(op, "preds %v are floats in the shape of target; want scores [N, %d, ...], or classes as integers", preds.Shape(), t.n)
	}
	index := target.To(torch.Int64).MulScalar(float64(n)).Add_(preds.To(torch.Int64))
	size := n * n
	if t.kind == multilabel {
		at := torch.Options{Device: index.Device(), DType: torch.Int64}.Arange(0, float64(4*t.n), 4)
		tail := make([]int, index.Dim()-1)
		tail[0] = t.n
		for i := range tail[1:] {
			tail[i+1] = 1
		}
		index, size = index.Add(at.Reshape(tail...)), 4*t.n
	}
	counts := bins(index.MaskedFill_(m.valid.LogicalNot(), float64(size)), size)
	return []*torch.Tensor{counts.Reshape(shape...), m.wrong.Sum()}
}
