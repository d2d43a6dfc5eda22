package nn

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	F "github.com/golite/golite/torch/nn/functional"
)

func (p site) leaf(shape ...int) *torch.Tensor {
	return p.put(torch.Options{RequiresGrad: true}.Randn(shape...))
}

func (p site) randn(shape ...int) *torch.Tensor { return p.put(torch.Randn(shape...)) }
func (p site) rand(shape ...int) *torch.Tensor  { return p.put(torch.Rand(shape...)) }

// moved is the module in that site.
func moved[M Module](p site, m M) M {
	if p != onCPU {
		To(m, p.Device)
	}
	return m
}

func some(t ...*torch.Tensor) []*torch.Tensor { return t }

// hidden is -inf where the mask is true, 0 elsewhere.
func hidden(mask *torch.Tensor) *torch.Tensor {
	return F.CanonicalMask("test", "mask", mask, torch.Float32)
}

func clipped(at site, p float64) (leaves, outs []*torch.Tensor) {
	m := moved(at, NewSequential(NewLinear(4, 5), NewLinear(5, 2)))
	aten.Sum(aten.PowTensorScalar(m.Forward(at.randn(3, 4)), torch.Int(2)), 0).Backward()
	total := ClipGradNorm_(Parameters(m), 0.5, ClipGradOptions{NormType: &p})
	return tensorsOf(Parameters(m)), some(total)
}

func encoderCase(at site, batchFirst, train, pad bool) []*torch.Tensor {
	layer := NewTransformerEncoderLayer(8, 2, TransformerOptions{DimFeedforward: 16, BatchFirst: batchFirst,
		Dropout: new(0.0)})
	m := moved(at, NewTransformerEncoder(layer, 2, NewLayerNorm(8)))
	x := at.randn(5, 2, 8)
	if batchFirst {
		x = aten.View(x, []int{2, 5, 8})
	}
	keep := at.put(torch.From([]bool{false, false, false, false, false, false, false, false, true, true}, 2, 5))
	causal := at.put(GenerateSquareSubsequentMask(5))
	if train {
		return some(m.Forward(x, EncoderInput{Mask: causal}), m.Forward(x, EncoderInput{KeyPaddingMask: hidden(keep)}))
	}
	Eval(m)
	return torch.NoGradOf(func() []*torch.Tensor {
		if pad {
			return some(m.Forward(x, EncoderInput{KeyPaddingMask: keep}))
		}
		return some(m.Forward(x, EncoderInput{Mask: causal}))
	})
}

func selfAttention(at site, mask bool) []*torch.Tensor {
	m := moved(at, NewMultiheadAttention(8, 2, MultiheadAttentionOptions{BatchFirst: true}))
	Eval(m)
	x := at.randn(2, 4, 8)
	in := AttentionInput{}
	if mask {
		in.AttnMask = at.put(aten.Triu(torch.Options{DType: torch.Bool}.Ones(4, 4), 1))
	}
	return torch.NoGradOf(func() []*torch.Tensor {
		out, weights := m.Forward(x, x, x, in)
		return some(out, weights)
	})
}

// functionalCases are the twins of record_functional.py's: leaves and outputs.
var functionalCases = map[string]func(at site) (leaves, outs []*torch.Tensor){
	"gumbel_softmax": func(at site) ([]*torch.Tensor, []*torch.Tensor) {
		a := at.leaf(4, 5)
		return some(a), some(F.GumbelSoftmax(a, F.GumbelSoftmaxOptions{Tau: 0.7}))
	},
	"gumbel_softmax/hard": func(at site) ([]*torch.Tensor, []*torch.Tensor) {
		a := at.leaf(4, 5)
		return some(a), some(F.GumbelSoftmax(a, F.GumbelSoftmaxOptions{Tau: 0.7, Hard: true}))
	},
	"grid_sample": func(at site) ([]*torch.Tensor, []*torch.Tensor) { return gridCase(at, F.GridSampleOptions{}) },
	"grid_sample/bicubic_border": func(at site) ([]*torch.Tensor, []*torch.Tensor) {
		return gridCase(at, F.GridSampleOptions{Mode: F.GridBicubic, Padding: F.GridBorder, AlignCorners: true})
	},
	"affine_grid": func(at site) ([]*torch.Tensor, []*torch.Tensor) {
		t := at.leaf(2, 2, 3)
		return some(t), some(F.AffineGrid(t, []int{2, 3, 4, 5}))
	},
	"normalize": func(at site) ([]*torch.Tensor, []*torch.Tensor) {
		a := at.leaf(3, 4)
		return some(a), some(F.Normalize(a), F.Normalize(a, F.NormalizeOptions{P: new(1.0), Dim: new(0)}))
	},
	"pdist": func(at site) ([]*torch.Tensor, []*torch.Tensor) {
		a := at.leaf(4, 3)
		return some(a), some(F.Pdist(a), F.Pdist(a, 1))
	},
	"one_hot": func(at site) ([]*torch.Tensor, []*torch.Tensor) {
		return nil, some(F.OneHot(at.put(torch.From([]int{0, 3, 1}))), F.OneHot(at.put(torch.From([]int{0, 1})), 4))
	},
	"weighted": func(at site) ([]*torch.Tensor, []*torch.Tensor) {
		a, b, w := at.leaf(3, 4), at.randn(3, 4), at.rand(3, 4)
		o := F.WeightedLossOptions{Weight: w}
		sum := F.WeightedLossOptions{Weight: w, Reduction: F.Sum}
		return some(a), some(F.MSELoss(a, b, o), F.L1Loss(a, b, o), F.HuberLoss(a, b, F.HuberLossOptions{Weight: w}),
			F.MSELoss(a, b, sum))
	},
	"sdpa": func(at site) ([]*torch.Tensor, []*torch.Tensor) {
		q, k, v := at.leaf(2, 2, 3, 4), at.leaf(2, 2, 5, 4), at.leaf(2, 2, 5, 4)
		m := aten.GtScalar(at.rand(3, 5), torch.Float(0.3))
		return some(q, k, v), some(F.ScaledDotProductAttention(q, k, v, F.SDPAOptions{Mask: m}),
			F.ScaledDotProductAttention(q, k, v, F.SDPAOptions{Causal: true, Scale: new(0.3)}))
	},
	"area": func(at site) ([]*torch.Tensor, []*torch.Tensor) {
		a := at.leaf(1, 2, 5, 6)
		return some(a), some(F.Interpolate(a, F.InterpolateOptions{Size: []int{2, 4}, Mode: F.Area}),
			F.Interpolate(a, F.InterpolateOptions{Scale: []float64{0.6}, Mode: F.Bilinear2d, Antialias: true}))
	},
	"softmax_dtype": func(at site) ([]*torch.Tensor, []*torch.Tensor) {
		a, o := at.leaf(3, 4), F.SoftmaxOptions{DType: torch.Float64}
		return some(a), some(F.Softmax(a, -1, o), F.LogSoftmax(a, 0, o), F.Softmin(a, 1, o))
	},
	"clip_norm":     func(at site) ([]*torch.Tensor, []*torch.Tensor) { return clipped(at, 2) },
	"clip_norm/inf": func(at site) ([]*torch.Tensor, []*torch.Tensor) { return clipped(at, math.Inf(1)) },
	"clip_value": func(at site) ([]*torch.Tensor, []*torch.Tensor) {
		m := moved(at, NewLinear(4, 5))
		aten.Sum(aten.PowTensorScalar(m.Forward(at.randn(3, 4)), torch.Int(2)), 0).Backward()
		ClipGradValue_(Parameters(m), 0.5)
		return tensorsOf(Parameters(m)), nil
	},
	"encoder/train": func(at site) ([]*torch.Tensor, []*torch.Tensor) {
		return nil,
			encoderCase(at, false, true, true)
	},
	"encoder/padded_eval": func(at site) ([]*torch.Tensor, []*torch.Tensor) {
		return nil,
			encoderCase(at, true, false, true)
	},
	"encoder/causal_eval": func(at site) ([]*torch.Tensor, []*torch.Tensor) {
		return nil,
			encoderCase(at, true, false, false)
	},
	"self_attention/fast":      func(at site) ([]*torch.Tensor, []*torch.Tensor) { return nil, selfAttention(at, false) },
	"self_attention/fast_mask": func(at site) ([]*torch.Tensor, []*torch.Tensor) { return nil, selfAttention(at, true) },
	"transformer/masks": func(at site) ([]*torch.Tensor, []*torch.Tensor) {
		m := moved(at, NewTransformer(8, 2, TransformerOptions{EncoderLayers: new(1), DecoderLayers: new(1),
			DimFeedforward: 16, Dropout: new(0.0)}))
		s, t := at.randn(4, 2, 8), at.randn(3, 2, 8)
		pad := at.put(torch.From([]bool{false, false, false, false, false, false, true, true}, 2, 4))
		return nil, some(m.Forward(s, t, TransformerInput{TgtMask: at.put(GenerateSquareSubsequentMask(3)),
			MemoryKeyPaddingMask: hidden(pad)}))
	},
}

func gridCase(at site, o F.GridSampleOptions) ([]*torch.Tensor, []*torch.Tensor) {
	a := at.leaf(1, 2, 4, 4)
	g := aten.SubScalar(aten.MulScalar(at.rand(1, 3, 3, 2), torch.Float(2.4)), torch.Float(1.2),
		torch.Int(1)).RequiresGrad_(true)
	return some(a, g), some(F.GridSample(a, g, o))
}

func TestFunctional(t *testing.T)       { runFunctional(t, onCPU) }
func TestFunctionalOnAGPU(t *testing.T) { runFunctional(t, onGPU(t)) }

func runFunctional(t *testing.T, at site) {
	file := fixture.Open(t, "testdata/functional.json.gz")
	require.Len(t, functionalCases, len(file.Cases))
	for _, c := range file.Cases {
		t.Run(c.Name, func(t *testing.T) {
			require.NoError(t, torch.Try(func() { torch.Scope(func() { functionalCase(t, c, at) }) }))
		})
	}
}

func functionalCase(t *testing.T, c *fixture.Case, at site) {
	f, ok := functionalCases[c.Name]
	require.True(t, ok, "no twin")
	if at != onCPU && strings.HasPrefix(c.Name, "gumbel_softmax") {
		t.Skip("skipped: it draws random numbers, and a GPU draws others")
	}
	torch.ManualSeed(c.Seed)
	leaves, outs := f(at)
	var total *torch.Tensor
	for i, out := range outs {
		at.equal(t, c, fmt.Sprintf("output.%d", i), out)
		if !out.RequiresGrad() || !out.DType().IsFloating() {
			continue
		}
		wide := aten.ToDtype(out, torch.Float64, false, false, 0)
		term := aten.Sum(aten.MulTensor(wide, wide), 0)
		if total != nil {
			term = aten.AddTensor(total, term, torch.Int(1))
		}
		total = term
	}
	require.Len(t, outs, len(c.Names("output.")))
	if total != nil {
		total.Backward()
	}
	n := 0
	for i, x := range leaves {
		if g := x.Grad(); g != nil {
			n++
			at.equal(t, c, fmt.Sprintf("grad.%d", i), g)
		}
	}
	require.Len(t, c.Names("grad."), n)
	c.Equal(t, "next", recordedTensor(torch.Rand(4)))
}
