package metrics

import (
	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/torch"
)

// CurveOptions are the settings of NewAUROC and NewAveragePrecision.
type CurveOptions struct {
	// Average is Macro by default. Micro is for multilabel tasks alone; binary ones have none.
	Average Average
	// IgnoreIndex is a target that does not count; none by default.
	IgnoreIndex *int
}

// NewAUROC is the area under the curve of true over false positives (torchmetrics.AUROC). It keeps all samples, and is exact.
func NewAUROC(task Task, opts ...CurveOptions) *Classification {
	return curve("metrics.NewAUROC", task, opts, func(preds, target *torch.Tensor, _ bool) *torch.Tensor {
		fps, tps := curvePoints(preds, target)
		zero := torch.Options{Device: tps.Device(), DType: torch.Int64}.Zeros(1)
		share := func(t *torch.Tensor) *torch.Tensor {
			t = torch.Cat([]*torch.Tensor{zero, t}, 0)
			return divided(t, t.Select(0, -1), 0)
		}
		x, y := share(fps), share(tps)
		n := x.Numel()
		dx := x.Narrow(0, 1, n-1).Sub(x.Narrow(0, 0, n-1))
		// torch.trapz: the sum of dx*(y0+y1), halved.
		return dx.Mul(y.Narrow(0, 1, n-1).Add(y.Narrow(0, 0, n-1))).Sum().DivScalar(2)
	})
}

// NewAveragePrecision is the area under the curve of precision over recall, by steps (torchmetrics.AveragePrecision). It keeps all
// samples, and is exact.
func NewAveragePrecision(task Task, opts ...CurveOptions) *Classification {
	return curve("metrics.NewAveragePrecision", task, opts, func(preds, target *torch.Tensor, noPositive bool) *torch.Tensor {
		fps, tps := curvePoints(preds, target)
		precision := tps.Div(tps.Add(fps))
		recall := tps.Div(tps.Select(0, -1))
		if noPositive {
			recall = torch.OnesLike(recall)
		}
		on := torch.Options{Device: tps.Device(), DType: precision.DType()}
		precision = torch.Cat([]*torch.Tensor{precision.Flip(0), on.Ones(1)}, 0)
		recall = torch.Cat([]*torch.Tensor{recall.Flip(0), on.Zeros(1)}, 0)
		n := recall.Numel()
		return recall.Narrow(0, 1, n-1).Sub(recall.Narrow(0, 0, n-1)).Mul(precision.Narrow(0, 0, n-1)).Sum().Neg()
	})
}

// curvePoints counts false and true positives at each distinct score, from the greatest (_binary_clf_curve). target is bool.
func curvePoints(preds, target *torch.Tensor) (fps, tps *torch.Tensor) {
	n := preds.Numel()
	order := preds.ArgSort(0, true)
	preds, target = preds.IndexSelect(0, order), target.IndexSelect(0, order)
	last := torch.Options{Device: preds.Device(), DType: torch.Int64}.Full(float64(n-1), 1)
	steps := preds.Narrow(0, 1, n-1).Sub(preds.Narrow(0, 0, n-1)).Nonzero().Flatten()
	at := torch.Cat([]*torch.Tensor{steps, last}, 0)
	tps = target.To(torch.Int64).CumSum(0).IndexSelect(0, at)
	return at.AddScalar(1).Sub_(tps), tps
}

// curveFunc is the value of scores and truths; noPositive reports that no target is above 0.
type curveFunc func(preds, target *torch.Tensor, noPositive bool) *torch.Tensor

// curve is a metric of scores and targets that are kept, and of a binary value of each class.
func curve(op string, t Task, opts []CurveOptions, value curveFunc) *Classification {
	o := options.Must(op, opts, torch.Fail)
	t.check(op)
	switch o.Average {
	case "":
		o.Average = Macro
	case Macro, Weighted, NoAverage:
	case Micro:
		if t.kind == multiclass {
			torch.Fail(op, "Average is Micro; want Macro, Weighted or NoAverage in a multiclass task")
		}
	default:
		torch.Fail(op, "Average %q; want metrics.Macro, Weighted or NoAverage", o.Average)
	}
	m := &Classification{base: base{op: op}}
	m.fields = []field{{"preds", cat}, {"target", cat}}
	wrong := t.wrongValues(o.IgnoreIndex)
	m.verify = func(s []*torch.Tensor) string {
		return wrong([]*torch.Tensor{s[1].EqScalar(wrongTarget).Sum()})
	}
	m.value = func(s []*torch.Tensor) *torch.Tensor { return curveValue(t, o, s[0], s[1], value) }
	m.batch = func(op string, preds, target *torch.Tensor) []*torch.Tensor {
		t.shapes(op, preds, target)
		if !preds.DType().IsFloating() || t.kind == multiclass && preds.Dim() == target.Dim() {
			torch.Fail(op, "preds are %s%v; want scores as floats, [N, C, ...] in a multiclass task", preds.DType(), preds.Shape())
		}
		return curveBatch(t, o.IgnoreIndex, preds, target)
	}
	return m
}

// Targets that do not count, in the state.
const (
	ignoredTarget = -1
	wrongTarget   = -2
)

func curveBatch(t Task, ignore *int, preds, target *torch.Tensor) []*torch.Tensor {
	n := 2
	if t.kind == multiclass {
		n = t.n
	}
	m := mark(target, nil, n, ignore)
	ignored := m.ignored
	if t.kind == multilabel {
		ignored = nil // torchmetrics looks at all scores here
	}
	preds = t.scores(preds, ignored)
	target = target.To(torch.Int64).MaskedFill(m.wrong, wrongTarget)
	if m.ignored != nil {
		target = target.MaskedFill(m.ignored, ignoredTarget)
	}
	rows := func(x *torch.Tensor) *torch.Tensor { return x.Transpose(0, 1).Reshape(t.n, -1).T() }
	switch t.kind {
	case binary:
		return []*torch.Tensor{preds.Flatten(), target.Flatten()}
	case multiclass:
		return []*torch.Tensor{rows(preds), target.Flatten()}
	}
	return []*torch.Tensor{rows(preds), rows(target)}
}

func curveValue(t Task, o CurveOptions, preds, target *torch.Tensor, value curveFunc) *torch.Tensor {
	one := func(p, y *torch.Tensor, class int) *torch.Tensor {
		at := y.GeScalar(0).Nonzero().Flatten()
		if at.Numel() == 0 {
			return torch.Options{Device: p.Device(), DType: torch.Float32}.Full(nan)
		}
		y = y.IndexSelect(0, at)
		// torchmetrics takes a target of zeros alone for one without positive samples, in multiclass tasks, too.
		return value(p.IndexSelect(0, at), y.EqScalar(float64(class)), y.Any().Item() == 0)
	}
	if t.kind == binary || t.kind == multilabel && o.Average == Micro {
		return one(preds.Flatten(), target.Flatten(), 1)
	}
	list, n := make([]*torch.Tensor, t.n), make([]*torch.Tensor, t.n)
	for i := range list {
		y, class := target, i
		if t.kind == multilabel {
			y, class = target.Select(1, i), 1
		}
		list[i], n[i] = one(preds.Select(1, i), y, class), y.EqScalar(float64(class)).Sum()
	}
	all := torch.Stack(list, 0)
	if o.Average == NoAverage {
		return all
	}
	at := all.IsNaN().LogicalNot().Nonzero().Flatten()
	all = all.IndexSelect(0, at)
	if o.Average == Macro {
		return all.Mean()
	}
	weights := torch.Stack(n, 0).To(torch.Float32).IndexSelect(0, at)
	return all.Mul(divided(weights, weights.Sum(), 0)).Sum()
}

// CalibrationNorm is how NewCalibrationError combines the bins' differences.
//
// The norms are L1, L2 and LMax.
type CalibrationNorm string

// Norms of calibration errors.
const (
	L1   CalibrationNorm = "l1"  // the mean: the expected calibration error
	L2   CalibrationNorm = "l2"  // the root of the mean square
	LMax CalibrationNorm = "max" // the greatest
)

// CalibrationOptions are the settings of NewCalibrationError.
type CalibrationOptions struct {
	// Bins is the number of bins of confidence, 15 by default.
	Bins int
	// Norm is L1 by default.
	Norm CalibrationNorm
	// IgnoreIndex is a target that does not count; none by default.
	IgnoreIndex *int
}

// NewCalibrationError is the difference of confidence and accuracy, in bins of confidence (torchmetrics.CalibrationError), for binary
// and multiclass tasks. It keeps the confidences of all samples.
func NewCalibrationError(task Task, opts ...CalibrationOptions) *Classification {
	const op = "metrics.NewCalibrationError"
	o := options.Must(op, opts, torch.Fail)
	if o.Bins == 0 {
		o.Bins = 15
	}
	if o.Norm == "" {
		o.Norm = L1
	}
	if o.Bins < 1 || o.Norm != L1 && o.Norm != L2 && o.Norm != LMax {
		torch.Fail(op, "Bins %d and Norm %q; want 1 bin or more, and L1, L2 or LMax", o.Bins, o.Norm)
	}
	if task.kind == multilabel {
		torch.Fail(op, "the task is multilabel; want metrics.Binary() or metrics.Multiclass(n)")
	}
	m := curve(op, task, []CurveOptions{{IgnoreIndex: o.IgnoreIndex}}, nil)
	m.value = func(s []*torch.Tensor) *torch.Tensor {
		at := s[1].GeScalar(0).Nonzero().Flatten()
		preds, target := s[0].IndexSelect(0, at), s[1].IndexSelect(0, at)
		right := target
		if task.kind == multiclass {
			var class *torch.Tensor
			preds, class = preds.MaxDim(1)
			preds, right = preds.To(torch.Float32), class.Eq(target)
		}
		return calibration(preds, right.To(preds.DType()), o)
	}
	return m
}

func calibration(confidence, right *torch.Tensor, o CalibrationOptions) *torch.Tensor {
	on := torch.Options{Device: confidence.Device(), DType: confidence.DType()}
	edges := on.Linspace(0, 1, o.Bins+1)
	at := confidence.Bucketize(edges, true).SubScalar(1)
	bin := func(v *torch.Tensor) *torch.Tensor { return on.Zeros(o.Bins+1).ScatterAdd_(0, at, v) }
	n := bin(torch.OnesLike(confidence))
	gap := bin(right).Div(n).NanToNum().Sub(bin(confidence).Div(n).NanToNum())
	share := n.Div(n.Sum())
	switch o.Norm {
	case L1:
		return gap.Abs().Mul(share).Sum()
	case LMax:
		return gap.Abs().Max()
	}
	return gap.Pow(2).Mul(share).Sum().Sqrt()
}
