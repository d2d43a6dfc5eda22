package metrics_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/metrics"
	"github.com/golite/golite/torch"
)

func TestMain(m *testing.M) { fixture.Main(m) }

// recordedCase is what a case has beside its tensors.
type recordedCase struct {
	Metric  string            `json:"metric"`
	Weights []float64         `json:"weights"`
	Texts   []json.RawMessage `json:"texts"`
	Options recordedOptions   `json:"options"`
}

type recordedOptions struct {
	Task        string                  `json:"task"`
	Classes     int                     `json:"num_classes"`
	Labels      int                     `json:"num_labels"`
	Average     metrics.Average         `json:"average"`
	Ignore      *int                    `json:"ignore_index"`
	TopK        int                     `json:"top_k"`
	Beta        float64                 `json:"beta"`
	Normalize   metrics.Normalize       `json:"normalize"`
	KappaBy     json.RawMessage         `json:"weights"`
	Norm        metrics.CalibrationNorm `json:"norm"`
	Bins        int                     `json:"n_bins"`
	Squared     *bool                   `json:"squared"`
	Outputs     int                     `json:"num_outputs"`
	Adjusted    int                     `json:"adjusted"`
	Multioutput metrics.Multioutput     `json:"multioutput"`
	Reduction   string                  `json:"reduction"`
	NGram       int                     `json:"n_gram"`
	Smooth      bool                    `json:"smooth"`
	DataRange   float64                 `json:"data_range"`
	Base        float64                 `json:"base"`
	Sigma       float64                 `json:"sigma"`
	Gaussian    *bool                   `json:"gaussian_kernel"`
	KernelSize  int                     `json:"kernel_size"`
}

func (o recordedOptions) task() metrics.Task {
	switch o.Task {
	case "binary":
		return metrics.Binary()
	case "multilabel":
		return metrics.Multilabel(o.Labels)
	}
	return metrics.Multiclass(o.Classes)
}

func (o recordedOptions) class() metrics.ClassOptions {
	return metrics.ClassOptions{Average: o.Average, TopK: o.TopK, IgnoreIndex: o.Ignore}
}

func (o recordedOptions) outputs() metrics.OutputOptions {
	return metrics.OutputOptions{Outputs: o.Outputs}
}

// scorers makes the metric of a case by its class in torchmetrics.
var scorers = map[string]func(o recordedOptions) metrics.Scorer{
	"Accuracy":     func(o recordedOptions) metrics.Scorer { return metrics.NewAccuracy(o.task(), o.class()) },
	"Precision":    func(o recordedOptions) metrics.Scorer { return metrics.NewPrecision(o.task(), o.class()) },
	"Recall":       func(o recordedOptions) metrics.Scorer { return metrics.NewRecall(o.task(), o.class()) },
	"Specificity":  func(o recordedOptions) metrics.Scorer { return metrics.NewSpecificity(o.task(), o.class()) },
	"F1Score":      func(o recordedOptions) metrics.Scorer { return metrics.NewF1(o.task(), o.class()) },
	"FBetaScore":   func(o recordedOptions) metrics.Scorer { return metrics.NewFBeta(o.task(), o.Beta, o.class()) },
	"JaccardIndex": func(o recordedOptions) metrics.Scorer { return metrics.NewJaccard(o.task(), o.class()) },
	"ConfusionMatrix": func(o recordedOptions) metrics.Scorer {
		return metrics.NewConfusionMatrix(o.task(), metrics.ConfusionOptions{Normalize: o.Normalize, IgnoreIndex: o.Ignore})
	},
	"MatthewsCorrCoef": func(o recordedOptions) metrics.Scorer {
		return metrics.NewMatthewsCorrCoef(o.task(), metrics.IgnoreOptions{IgnoreIndex: o.Ignore})
	},
	"CohenKappa": func(o recordedOptions) metrics.Scorer {
		var by metrics.Kappa
		if err := json.Unmarshal(o.KappaBy, &by); err != nil {
			panic(err)
		}
		return metrics.NewCohenKappa(o.task(), metrics.KappaOptions{Weights: by, IgnoreIndex: o.Ignore})
	},
	"AUROC": func(o recordedOptions) metrics.Scorer {
		return metrics.NewAUROC(o.task(), metrics.CurveOptions{Average: o.Average, IgnoreIndex: o.Ignore})
	},
	"AveragePrecision": func(o recordedOptions) metrics.Scorer {
		return metrics.NewAveragePrecision(o.task(), metrics.CurveOptions{Average: o.Average, IgnoreIndex: o.Ignore})
	},
	"CalibrationError": func(o recordedOptions) metrics.Scorer {
		return metrics.NewCalibrationError(o.task(), metrics.CalibrationOptions{Bins: o.Bins, Norm: o.Norm, IgnoreIndex: o.Ignore})
	},
	"MeanSquaredError": func(o recordedOptions) metrics.Scorer {
		if o.Squared != nil {
			return metrics.NewRMSE(o.outputs())
		}
		return metrics.NewMSE(o.outputs())
	},
	"MeanAbsoluteError":           func(o recordedOptions) metrics.Scorer { return metrics.NewMAE(o.outputs()) },
	"MeanAbsolutePercentageError": func(recordedOptions) metrics.Scorer { return metrics.NewMAPE() },
	"R2Score": func(o recordedOptions) metrics.Scorer {
		return metrics.NewR2(metrics.R2Options{Adjusted: o.Adjusted, Multioutput: o.Multioutput})
	},
	"PearsonCorrCoef":  func(o recordedOptions) metrics.Scorer { return metrics.NewPearson(o.outputs()) },
	"SpearmanCorrCoef": func(o recordedOptions) metrics.Scorer { return metrics.NewSpearman(o.outputs()) },
	"CosineSimilarity": func(o recordedOptions) metrics.Scorer {
		return metrics.NewCosineSimilarity(metrics.CosineOptions{Reduction: metrics.SimilarityReduction(o.Reduction)})
	},
	"Perplexity": func(o recordedOptions) metrics.Scorer {
		return metrics.NewPerplexity(metrics.IgnoreOptions{IgnoreIndex: o.Ignore})
	},
	"PeakSignalNoiseRatio": func(o recordedOptions) metrics.Scorer {
		return metrics.NewPSNR(o.DataRange, metrics.PSNROptions{Base: o.Base})
	},
	"StructuralSimilarityIndexMeasure": func(o recordedOptions) metrics.Scorer {
		return metrics.NewSSIM(metrics.SSIMOptions{
			Sigma: o.Sigma, DataRange: o.DataRange, Uniform: o.Gaussian != nil && !*o.Gaussian, KernelSize: o.KernelSize,
		})
	},
}

// metricOf makes the metric of a case, and the functions that add its batches.
func metricOf(t *testing.T, c *fixture.Case) (m metrics.Metric, batches []func(m metrics.Metric) *torch.Tensor) {
	t.Helper()
	var r recordedCase
	c.Decode(t, &r)
	forward := func(f func(m metrics.Metric) *torch.Tensor) { batches = append(batches, f) }
	switch r.Metric {
	case "MeanMetric", "SumMetric", "MinMetric", "MaxMetric":
		m = map[string]func(...metrics.AggregateOptions) *metrics.Aggregate{
			"MeanMetric": metrics.NewMean, "SumMetric": metrics.NewSum, "MinMetric": metrics.NewMin, "MaxMetric": metrics.NewMax,
		}[r.Metric]()
		for i, w := range r.Weights {
			value := tensor(t, c.Tensor(t, "preds."+string(rune('0'+i))))
			forward(func(m metrics.Metric) *torch.Tensor {
				if w == 0 {
					return m.(*metrics.Aggregate).Forward(value)
				}
				return m.(*metrics.Aggregate).Forward(value, w)
			})
		}
	case "WordErrorRate":
		m = metrics.NewWER()
		for _, raw := range r.Texts {
			var b [2][]string
			require.NoError(t, json.Unmarshal(raw, &b))
			forward(func(m metrics.Metric) *torch.Tensor { return m.(*metrics.WER).Forward(b[0], b[1]) })
		}
	case "BLEUScore":
		m, batches = bleuOf(t, c, r)
	default:
		require.Contains(t, scorers, r.Metric)
		m = scorers[r.Metric](r.Options)
		for _, i := range c.Names("preds.") {
			preds, target := tensor(t, c.Tensor(t, "preds."+i)), tensor(t, c.Tensor(t, "target."+i))
			forward(func(m metrics.Metric) *torch.Tensor { return m.(metrics.Scorer).Forward(preds, target) })
		}
	}
	return m, batches
}

func bleuOf(t *testing.T, c *fixture.Case, r recordedCase) (metrics.Metric, []func(m metrics.Metric) *torch.Tensor) {
	var w struct {
		Options struct {
			Weights []float64 `json:"weights"`
		} `json:"options"`
	}
	c.Decode(t, &w)
	m := metrics.NewBLEU(metrics.BLEUOptions{NGram: r.Options.NGram, Smooth: r.Options.Smooth, Weights: w.Options.Weights})
	var batches []func(m metrics.Metric) *torch.Tensor
	for _, raw := range r.Texts {
		var both []json.RawMessage
		require.NoError(t, json.Unmarshal(raw, &both))
		var preds []string
		var target [][]string
		require.NoError(t, json.Unmarshal(both[0], &preds))
		require.NoError(t, json.Unmarshal(both[1], &target))
		batches = append(batches, func(m metrics.Metric) *torch.Tensor { return m.(*metrics.BLEU).Forward(preds, target) })
	}
	return m, batches
}

func tensor(t *testing.T, f fixture.Tensor) *torch.Tensor {
	t.Helper()
	d, err := torch.ParseDType(f.DType)
	require.NoError(t, err)
	return torch.FromBytes(f.Data, d, f.Shape...)
}

func asFixture(t *torch.Tensor) fixture.Tensor {
	return fixture.Tensor{DType: t.DType().String(), Shape: t.Shape(), Data: t.ToBytes()}
}
