package metrics

import (
	"math"

	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/torch"
)

// Regression is a metric of predicted numbers: Update(preds, target), of one shape.
type Regression struct {
	base
	batch func(op string, preds, target *torch.Tensor) []*torch.Tensor
}

// Update adds a batch.
func (m *Regression) Update(preds, target *torch.Tensor) { m.run("Update", preds, target, false) }

// Forward adds a batch and returns the value of the batch alone, on this rank.
func (m *Regression) Forward(preds, target *torch.Tensor) *torch.Tensor {
	return m.run("Forward", preds, target, true)
}

func (m *Regression) run(method string, preds, target *torch.Tensor, wanted bool) *torch.Tensor {
	op := m.op + "." + method
	sameShape(op, preds, target)
	if preds.Dim() == 0 {
		torch.Fail(op, "preds and target are scalars; want a dimension of samples: View(1)")
	}
	return m.add(method, func() []*torch.Tensor { return m.batch(op, preds, target) }, wanted)
}

// OutputOptions are the settings of metrics that can have a value for each of several outputs.
type OutputOptions struct {
	// Outputs is the size of the last dimension, [N, Outputs], where each output has a value of its own; 0 or 1 for one value.
	Outputs int
}

func (o OutputOptions) check(op string) int {
	if o.Outputs < 0 {
		torch.Fail(op, "Outputs %d; want 0 or more", o.Outputs)
	}
	return max(o.Outputs, 1)
}

// NewMSE is the mean squared error (torchmetrics.MeanSquaredError).
func NewMSE(opts ...OutputOptions) *Regression {
	return meanError("metrics.NewMSE", "sum_squared_error", opts, squaredError, plain)
}

// NewRMSE is the square root of the mean squared error (torchmetrics.MeanSquaredError(squared=False)).
func NewRMSE(opts ...OutputOptions) *Regression {
	return meanError("metrics.NewRMSE", "sum_squared_error", opts, squaredError, (*torch.Tensor).Sqrt)
}

// NewMAE is the mean absolute error (torchmetrics.MeanAbsoluteError).
func NewMAE(opts ...OutputOptions) *Regression {
	return meanError("metrics.NewMAE", "sum_abs_error", opts, func(p, t *torch.Tensor) *torch.Tensor { return p.Sub(t).Abs() }, plain)
}

// NewMAPE is the mean absolute percentage error, as a share of 1 (torchmetrics.MeanAbsolutePercentageError).
func NewMAPE() *Regression {
	return meanError("metrics.NewMAPE", "sum_abs_per_error", nil, func(p, t *torch.Tensor) *torch.Tensor {
		return p.Sub(t).Abs().Div(t.Abs().ClampMin(1.17e-06))
	}, plain)
}

func squaredError(p, t *torch.Tensor) *torch.Tensor {
	d := p.Sub(t)
	return d.Mul(d)
}

func plain(t *torch.Tensor) *torch.Tensor { return t }

func meanError(op, name string, opts []OutputOptions, f func(p, t *torch.Tensor) *torch.Tensor, end func(*torch.Tensor) *torch.Tensor) *Regression {
	outputs := options.Must(op, opts, torch.Fail).check(op)
	m := &Regression{base: base{op: op}}
	m.fields = []field{{name: name}, {name: "total"}}
	m.value = func(s []*torch.Tensor) *torch.Tensor { return end(s[0].Div(s[1])) }
	m.batch = func(op string, preds, target *torch.Tensor) []*torch.Tensor {
		if outputs == 1 {
			preds, target = preds.Flatten(), target.Flatten()
		} else {
			twoDims(op, preds, outputs)
		}
		return []*torch.Tensor{f(preds, target).Sum(0), count(preds, preds.Size(0))}
	}
	return m
}

// twoDims fails where preds are not [N, outputs], or [N] for one output.
func twoDims(op string, preds *torch.Tensor, outputs int) {
	if preds.Dim() > 2 || preds.Dim() == 2 && preds.Size(1) != outputs || preds.Dim() == 1 && outputs > 1 {
		torch.Fail(op, "preds %v; want [N, %d] for Outputs %d, or [N] for one output", preds.Shape(), outputs, outputs)
	}
}

// Multioutput is how NewR2 makes one value of several outputs' values.
//
// The ways are UniformAverage, VarianceWeighted and RawValues.
type Multioutput string

// Ways to combine outputs.
const (
	UniformAverage   Multioutput = "uniform_average"   // their mean
	VarianceWeighted Multioutput = "variance_weighted" // weighted by the targets' variances
	RawValues        Multioutput = "raw_values"        // a value for each
)

// R2Options are the settings of NewR2.
type R2Options struct {
	// Adjusted is the number of independent regressors, for the adjusted score; 0 by default.
	Adjusted int
	// Multioutput is UniformAverage by default.
	Multioutput Multioutput
}

// NewR2 is the coefficient of determination (torchmetrics.R2Score). With fewer than two samples it is NaN, where torchmetrics
// refuses to compute it.
func NewR2(opts ...R2Options) *Regression {
	const op = "metrics.NewR2"
	o := options.Must(op, opts, torch.Fail)
	if o.Multioutput == "" {
		o.Multioutput = UniformAverage
	}
	if o.Adjusted < 0 {
		torch.Fail(op, "Adjusted %d; want 0 or more", o.Adjusted)
	}
	if o.Multioutput != UniformAverage && o.Multioutput != VarianceWeighted && o.Multioutput != RawValues {
		torch.Fail(op, "Multioutput %q; want UniformAverage, VarianceWeighted or RawValues", o.Multioutput)
	}
	m := &Regression{base: base{op: op}}
	m.fields = []field{{name: "sum_squared_error"}, {name: "sum_error"}, {name: "residual"}, {name: "total"}}
	m.value = func(s []*torch.Tensor) *torch.Tensor { return r2(s, o) }
	m.batch = func(op string, preds, target *torch.Tensor) []*torch.Tensor {
		if preds.Dim() > 2 {
			torch.Fail(op, "preds %v; want [N] or [N, outputs]", preds.Shape())
		}
		d := target.Sub(preds)
		return []*torch.Tensor{target.Mul(target).Sum(0), target.Sum(0), d.Mul(d).Sum(0), count(preds, preds.Size(0))}
	}
	return m
}

func r2(s []*torch.Tensor, o R2Options) *torch.Tensor {
	n := int(s[3].Item())
	if n < 2 {
		return torch.FullLike(s[2], nan).Sum()
	}
	rss := s[2]
	tss := s[0].Sub(s[1].Mul(s[1].Div(s[3])))
	small := 0.0001
	zero := torch.ZerosLike(rss)
	noRSS := rss.IsClose(zero, torch.CloseOptions{ATol: &small})
	noTSS := tss.IsClose(zero, torch.CloseOptions{ATol: &small})
	raw := rss.Div(tss).RsubScalar(1)
	raw = raw.WhereElse(noRSS.LogicalNot().LogicalAnd(noTSS), 0).WhereElse(noRSS, 1)
	switch o.Multioutput {
	case UniformAverage:
		raw = raw.Mean()
	case VarianceWeighted:
		raw = tss.Div(tss.Sum()).Mul(raw).Sum()
	}
	if o.Adjusted == 0 || o.Adjusted >= n-1 {
		return raw
	}
	return raw.RsubScalar(1).MulScalar(float64(n - 1)).Div(s[3].SubScalar(float64(o.Adjusted)).SubScalar(1)).RsubScalar(1)
}

// NewPearson is Pearson's correlation coefficient (torchmetrics.PearsonCorrCoef), NaN where a variance is close to zero.
func NewPearson(opts ...OutputOptions) *Regression {
	const op = "metrics.NewPearson"
	outputs := options.Must(op, opts, torch.Fail).check(op)
	m := &Regression{base: base{op: op}}
	for _, name := range []string{"mean_x", "mean_y", "max_abs_dev_x", "max_abs_dev_y", "var_x", "var_y", "corr_xy", "n_total"} {
		m.fields = append(m.fields, field{name: name})
	}
	m.value = pearson
	m.join = pearsonJoin
	m.batch = func(op string, preds, target *torch.Tensor) []*torch.Tensor {
		twoDims(op, preds, outputs)
		preds, target = wide(preds).Reshape(-1, outputs), wide(target).Reshape(-1, outputs)
		mx, my := preds.Mean(0), target.Mean(0)
		dx, dy := preds.Sub(mx), target.Sub(my)
		return []*torch.Tensor{
			mx, my, dx.Abs().AMax(0), dy.Abs().AMax(0), dx.Pow(2).Sum(0), dy.Pow(2).Sum(0), dx.Mul(dy).Sum(0),
			torch.FullLike(mx, float64(preds.Size(0))),
		}
	}
	return m
}

// pearsonJoin is the update for a batch, and for a rank (_final_aggregation).
func pearsonJoin(a, b []*torch.Tensor) []*torch.Tensor {
	n := a[7].Add(b[7])
	share := b[7].Div(n)
	dx, dy := b[0].Sub(a[0]), b[1].Sub(a[1])
	c := a[7].Mul(b[7]).Div(n)
	return []*torch.Tensor{
		a[0].Add(dx.Mul(share)), a[1].Add(dy.Mul(share)), a[2].Maximum(b[2]), a[3].Maximum(b[3]),
		a[4].Add(b[4]).Add_(dx.Pow(2).Mul(c)), a[5].Add(b[5]).Add_(dy.Pow(2).Mul(c)), a[6].Add(b[6]).Add_(dx.Mul(dy).Mul(c)), n,
	}
}

func pearson(s []*torch.Tensor) *torch.Tensor {
	n := s[7].SubScalar(1)
	vx := s[4].Div(n).Mul(s[2].Pow(-2))
	vy := s[5].Div(n).Mul(s[3].Pow(-2))
	cov := s[6].Div(n).Div(s[2].Mul(s[3]))
	eps := 1.1920928955078125e-07
	if vx.DType() == torch.Float64 {
		eps = 2.220446049250313e-16
	}
	bound := math.Sqrt(eps)
	ok := vx.GeScalar(bound).LogicalAnd_(vy.GeScalar(bound)).LogicalAnd_(vx.IsFinite()).LogicalAnd_(vy.IsFinite()).LogicalAnd_(cov.IsFinite())
	return cov.Div(vx.Mul(vy).Sqrt()).Clamp(-1, 1).WhereElse(ok.LogicalNot(), nan)
}

// NewSpearman is Spearman's rank correlation coefficient (torchmetrics.SpearmanCorrCoef). It keeps all samples.
func NewSpearman(opts ...OutputOptions) *Regression {
	const op = "metrics.NewSpearman"
	outputs := options.Must(op, opts, torch.Fail).check(op)
	m := &Regression{base: base{op: op}}
	m.fields = []field{{"preds", cat}, {"target", cat}}
	m.value = func(s []*torch.Tensor) *torch.Tensor {
		p, t := rankColumns(s[0]), rankColumns(s[1])
		p, t = p.Sub(p.MeanKeepDim(0)), t.Sub(t.MeanKeepDim(0))
		cov := p.Mul(t).Mean(0)
		below := p.Mul(p).Mean(0).Sqrt().Mul(t.Mul(t).Mean(0).Sqrt()).AddScalar(1e-6)
		return cov.Div(below).Clamp(-1, 1)
	}
	m.batch = func(op string, preds, target *torch.Tensor) []*torch.Tensor {
		if !preds.DType().IsFloating() || !target.DType().IsFloating() {
			torch.Fail(op, "preds are %s and target %s; want floats: Float()", preds.DType(), target.DType())
		}
		twoDims(op, preds, outputs)
		return []*torch.Tensor{wide(preds), wide(target)}
	}
	return m
}

func rankColumns(t *torch.Tensor) *torch.Tensor {
	if t.Dim() == 1 {
		return rankData(t)
	}
	columns := t.Unbind(1)
	for i, c := range columns {
		columns[i] = rankData(c)
	}
	return torch.Stack(columns, 1)
}

// rankData gives each element its rank from 1, and equal ones the mean of theirs.
func rankData(t *torch.Tensor) *torch.Tensor {
	on := torch.Options{Device: t.Device(), DType: torch.Int32}
	n := t.Numel()
	order := t.ArgSort(0, false)
	rank := on.Empty(n).Scatter_(0, order, on.Arange(1, float64(n+1)))
	unique, inverse, counts := t.UniqueAll()
	sums := on.Zeros(unique.Numel()).ScatterAdd_(0, inverse, rank)
	return sums.Div(counts).IndexSelect(0, inverse)
}

// SimilarityReduction is how NewCosineSimilarity makes one value of the samples' values.
//
// The ways are SimilaritySum, SimilarityMean and SimilarityNone.
type SimilarityReduction string

// Ways to reduce similarities.
const (
	SimilaritySum  SimilarityReduction = "sum"
	SimilarityMean SimilarityReduction = "mean"
	SimilarityNone SimilarityReduction = "none" // a value for each sample
)

// CosineOptions are the settings of NewCosineSimilarity.
type CosineOptions struct {
	// Reduction is SimilaritySum by default.
	Reduction SimilarityReduction
}

// NewCosineSimilarity is the cosine of the angles between rows [N, D] (torchmetrics.CosineSimilarity). It keeps the rows' cosines.
func NewCosineSimilarity(opts ...CosineOptions) *Regression {
	const op = "metrics.NewCosineSimilarity"
	o := options.Must(op, opts, torch.Fail)
	m := &Regression{base: base{op: op}}
	m.fields = []field{{"similarity", cat}}
	switch o.Reduction {
	case SimilaritySum, "":
		m.value = func(s []*torch.Tensor) *torch.Tensor { return s[0].Sum() }
	case SimilarityMean:
		m.value = func(s []*torch.Tensor) *torch.Tensor { return s[0].Mean() }
	case SimilarityNone:
		m.value = func(s []*torch.Tensor) *torch.Tensor { return s[0].Clone() }
	default:
		torch.Fail(op, "Reduction %q; want SimilaritySum, SimilarityMean or SimilarityNone", o.Reduction)
	}
	m.batch = func(op string, preds, target *torch.Tensor) []*torch.Tensor {
		if preds.Dim() != 2 {
			torch.Fail(op, "preds %v; want [N, D], a vector a row", preds.Shape())
		}
		p, t := preds.To(torch.Float32), target.To(torch.Float32)
		return []*torch.Tensor{p.Mul(t).Sum(-1).Div(p.Norm(-1).Mul(t.Norm(-1)))}
	}
	return m
}
