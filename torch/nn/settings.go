package nn

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/golite/golite/internal/text"
	F "github.com/golite/golite/torch/nn/functional"
)

// The methods extraRepr write a layer's settings as its extra_repr in Python does.

// tuple writes numbers as a Python tuple.
func tuple(n []int) string {
	parts := numbers(n)
	if len(parts) == 1 {
		return "(" + parts[0] + ",)"
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

func numbers(n []int) []string {
	parts := make([]string, len(n))
	for i, v := range n {
		parts[i] = strconv.Itoa(v)
	}
	return parts
}

// size writes one number as itself, several as a tuple.
func size(n []int) string {
	if len(n) == 1 {
		return numbers(n)[0]
	}
	return tuple(n)
}

// setting writes an option that came as one number or as one for each dimension; def stands for neither.
func setting(one int, each []int, def string) string {
	switch {
	case each != nil:
		return size(each)
	case one != 0:
		return strconv.Itoa(one)
	}
	return def
}

// uniform reports whether all of n are v.
func uniform(n []int, v int) bool {
	for _, x := range n {
		if x != v {
			return false
		}
	}
	return true
}

// extras joins settings that differ from their defaults.
type extras []string

func (e *extras) add(when bool, format string, args ...any) {
	if when {
		*e = append(*e, fmt.Sprintf(format, args...))
	}
}

func (e extras) String() string { return strings.Join(e, ", ") }

func inplace(on bool) string {
	if on {
		return "inplace=True"
	}
	return ""
}

// withInplace adds inplace=True to other settings.
func withInplace(settings string, on bool) string {
	if on {
		return settings + ", inplace=True"
	}
	return settings
}

func (l *Linear) extraRepr() string {
	return fmt.Sprintf("in_features=%d, out_features=%d, bias=%s", l.InFeatures, l.OutFeatures,
		text.Bool(l.Bias.Tensor != nil))
}

func (l *Bilinear) extraRepr() string {
	w := l.Weight.Shape()
	return fmt.Sprintf("in1_features=%d, in2_features=%d, out_features=%d, bias=%s", w[1], w[2], w[0],
		text.Bool(l.Bias.Tensor != nil))
}

func (c *conv) repr(bias bool) string {
	e := extras{strconv.Itoa(c.in), strconv.Itoa(c.out), "kernel_size=" + tuple(c.kernel),
		"stride=" + tuple(c.pass.Strides)}
	e.add(c.same, "padding=same")
	e.add(!c.same && !uniform(c.paddings, 0), "padding=%s", tuple(c.paddings))
	e.add(!uniform(c.pass.Dilations, 1), "dilation=%s", tuple(c.pass.Dilations))
	e.add(c.pass.Groups != 1, "groups=%d", c.pass.Groups)
	e.add(!bias, "bias=False")
	e.add(c.mode != F.PadConstant, "padding_mode=%s", c.mode)
	return e.String()
}

func (c *Conv1d) extraRepr() string { return c.repr(c.Bias.Tensor != nil) }
func (c *Conv2d) extraRepr() string { return c.repr(c.Bias.Tensor != nil) }
func (c *Conv3d) extraRepr() string { return c.repr(c.Bias.Tensor != nil) }

func (c *convTranspose) repr(bias bool) string {
	e := extras{strconv.Itoa(c.in), strconv.Itoa(c.out), "kernel_size=" + tuple(c.kernel),
		"stride=" + tuple(c.pass.Strides)}
	e.add(!uniform(c.pass.Paddings, 0), "padding=%s", tuple(c.pass.Paddings))
	e.add(!uniform(c.pass.Dilations, 1), "dilation=%s", tuple(c.pass.Dilations))
	e.add(!uniform(c.pass.OutputPaddings, 0), "output_padding=%s", tuple(c.pass.OutputPaddings))
	e.add(c.pass.Groups != 1, "groups=%d", c.pass.Groups)
	e.add(!bias, "bias=False")
	return e.String()
}

func (c *ConvTranspose1d) extraRepr() string { return c.repr(c.Bias.Tensor != nil) }
func (c *ConvTranspose2d) extraRepr() string { return c.repr(c.Bias.Tensor != nil) }
func (c *ConvTranspose3d) extraRepr() string { return c.repr(c.Bias.Tensor != nil) }

func (b *batchNorm) extraRepr() string {
	momentum := text.Float(b.momentum)
	if b.cumulative {
		momentum = "None"
	}
	return fmt.Sprintf("%d, eps=%s, momentum=%s, affine=%s, track_running_stats=%s",
		b.features, text.Float(b.eps), momentum, text.Bool(!b.noAffine), text.Bool(!b.noRunning))
}

// reprName is the class that NormalizeWith makes of a batch normalisation.
func (b *batchNorm) reprName() string {
	if b.with != nil {
		return "SyncBatchNorm"
	}
	return ""
}

func (l *LayerNorm) extraRepr() string {
	return fmt.Sprintf("%s, eps=%s, elementwise_affine=%s", tuple(l.shape), text.Float(l.eps),
		text.Bool(l.Weight.Tensor != nil))
}

func (l *RMSNorm) extraRepr() string {
	eps := "None"
	if l.eps != nil {
		eps = text.Float(*l.eps)
	}
	return fmt.Sprintf("%s, eps=%s, elementwise_affine=%s", tuple(l.shape), eps, text.Bool(l.Weight.Tensor != nil))
}

func (g *GroupNorm) extraRepr() string {
	return fmt.Sprintf("%d, %d, eps=%s, affine=%s", g.groups, g.channels, text.Float(g.eps),
		text.Bool(g.Weight.Tensor != nil))
}

func (l *LocalResponseNorm) extraRepr() string {
	o := l.options
	return fmt.Sprintf("%d, alpha=%s, beta=%s, k=%s", l.size, text.Float(or(o.Alpha, 1e-4)), text.Float(or(o.Beta,
		0.75)), text.Float(or(o.K, 1)))
}

func (l *CrossMapLRN2d) extraRepr() string {
	k := strings.TrimSuffix(text.Float(l.k), ".0") // an int in Python
	return fmt.Sprintf("%d, alpha=%s, beta=%s, k=%s", l.size, text.Float(l.alpha), text.Float(l.beta), k)
}

func (e *Embedding) extraRepr() string {
	o, w := e.options, e.Weight.Shape()
	return rowSettings(w, o.PaddingIdx, o.MaxNorm, o.NormType, o.ScaleGradByFreq, o.Sparse)
}

func (e *EmbeddingBag) extraRepr() string {
	o, w := e.options, e.Weight.Shape()
	mode := "mode='" + map[F.BagMode]string{F.BagMean: "mean", F.BagSum: "sum", F.BagMax: "max"}[o.Mode] + "'"
	s := rowSettings(w, nil, o.MaxNorm, o.NormType, o.ScaleGradByFreq, o.Sparse) + ", " + mode
	if o.PaddingIdx != nil {
		s += fmt.Sprintf(", padding_idx=%d", *o.PaddingIdx)
	}
	return s
}

func rowSettings(shape []int, padding *int, maxNorm, normType *float64, scale, sparse bool) string {
	e := extras{strconv.Itoa(shape[0]), strconv.Itoa(shape[1])}
	e.add(padding != nil, "padding_idx=%d", or(padding, 0))
	e.add(maxNorm != nil, "max_norm=%s", text.Float(or(maxNorm, 0)))
	e.add(or(normType, 2) != 2, "norm_type=%s", text.Float(or(normType, 2)))
	e.add(scale, "scale_grad_by_freq=True")
	e.add(sparse, "sparse=True")
	return e.String()
}

func (r *recurrent) extraRepr() string {
	e, o := extras{strconv.Itoa(r.input), strconv.Itoa(r.hidden)}, r.options
	e.add(o.ProjSize != 0, "proj_size=%d", o.ProjSize)
	e.add(o.NumLayers != 1, "num_layers=%d", o.NumLayers)
	e.add(o.NoBias, "bias=False")
	e.add(o.BatchFirst, "batch_first=True")
	e.add(o.Dropout != 0, "dropout=%s", text.Float(o.Dropout))
	e.add(o.Bidirectional, "bidirectional=True")
	return e.String()
}

func (c *cell) extraRepr() string {
	e := extras{strconv.Itoa(c.input), strconv.Itoa(c.hidden)}
	e.add(c.noBias, "bias=False")
	e.add(c.relu, "nonlinearity=relu")
	return e.String()
}

// childName: PyTorch gives the layer this class, which quantization passes over.
func (m *MultiheadAttention) childName(key string) string {
	if key == "out_proj" {
		return "NonDynamicallyQuantizableLinear"
	}
	return ""
}

// childLines: the distance is a module in Python where none is given.
func (l *TripletMarginWithDistanceLoss) childLines() []string {
	if l.options.Distance != nil {
		return nil
	}
	return []string{"(distance_function): PairwiseDistance()"}
}

func (l *ParameterList) extraRepr() string { return parameterLines(paramEntries(l.members())) }

func (d *ParameterDict) extraRepr() string {
	var lines []string
	for k, p := range d.All() {
		lines = append(lines, fmt.Sprintf("  (%s): Parameter containing: [%s of size %s%s]", k, typeName(p.Tensor),
			sizeText(p.Tensor), gpu(p.Tensor)))
	}
	return strings.Join(lines, "\n")
}
