package nn

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	F "github.com/golite/golite/torch/nn/functional"
)

func leaf(shape ...int) *torch.Tensor { return torch.Options{RequiresGrad: true}.Randn(shape...) }

func some(t ...*torch.Tensor) []*torch.Tensor { return t }

// hidden is -inf where the mask is true, 0 elsewhere.
func hidden(mask *torch.Tensor) *torch.Tensor {
	return F.CanonicalMask("test", "mask", mask, torch.Float32)
}

func clipped(p float64) (leaves, outs []*torch.Tensor) {
	m := NewSequential(NewLinear(4, 5), NewLinear(5, 2))
	aten.Sum(aten.PowTensorScalar(m.Forward(torch.Randn(3, 4)), torch.Int(2)), 0).Backward()
	total := ClipGradNorm_(Parameters(m), 0.5, ClipGradOptions{NormType: &p})
	return tensorsOf(Parameters(m)), some(total)
}

func encoderCase(batchFirst, train, pad bool) []*torch.Tensor {
	layer := NewTransformerEncoderLayer(8, 2, TransformerOptions{DimFeedforward: 16, BatchFirst: batchFirst, Dropout: new(0.0)})
	m := NewTransformerEncoder(layer, 2, NewLayerNorm(8))
	x := torch.Randn(5, 2, 8)
	if batchFirst {
		x = aten.View(x, []int{2, 5, 8})
	}
	keep := torch.From([]bool{false, false, false, false, false, false, false, false, true, true}, 2, 5)
	causal := GenerateSquareSubsequentMask(5)
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

func selfAttention(mask bool) []*torch.Tensor {
	m := NewMultiheadAttention(8, 2, MultiheadAttentionOptions{BatchFirst: true})
	Eval(m)
	x := torch.Randn(2, 4, 8)
	in := AttentionInput{}
	if mask {
		in.AttnMask = aten.Triu(torch.Options{DType: torch.Bool}.Ones(4, 4), 1)
	}
	return torch.NoGradOf(func() []*torch.Tensor {
		out, weights := m.Forward(x, x, x, in)
		return some(out, weights)
	})
}

// functionalCases are the twins of record_functional.py's: leaves and outputs.
var functionalCases = map[string]func() (leaves, outs []*torch.Tensor){
	"gumbel_softmax": func() ([]*torch.Tensor, []*torch.Tensor) {
		a := leaf(4, 5)
		return some(a), some(F.GumbelSoftmax(a, F.GumbelSoftmaxOptions{Tau: 0.7}))
	},
	"gumbel_softmax/hard": func() ([]*torch.Tensor, []*torch.Tensor) {
		a := leaf(4, 5)
		return some(a), some(F.GumbelSoftmax(a, F.GumbelSoftmaxOptions{Tau: 0.7, Hard: true}))
	},
	"grid_sample": func() ([]*torch.Tensor, []*torch.Tensor) { return gridCase(F.GridSampleOptions{}) },
	"grid_sample/bicubic_border": func() ([]*torch.Tensor, []*torch.Tensor) {
		return gridCase(F.GridSampleOptions{Mode: F.GridBicubic, Padding: F.GridBorder, AlignCorners: true})
	},
	"affine_grid": func() ([]*torch.Tensor, []*torch.Tensor) {
		t := leaf(2, 2, 3)
		return some(t), some(F.AffineGrid(t, []int{2, 3, 4, 5}))
	},
	"normalize": func() ([]*torch.Tensor, []*torch.Tensor) {
		a := leaf(3, 4)
		return some(a), some(F.Normalize(a), F.Normalize(a, F.NormalizeOptions{P: new(1.0), Dim: new(0)}))
	},
	"pdist": func() ([]*torch.Tensor, []*torch.Tensor) {
		a := leaf(4, 3)
		return some(a), some(F.Pdist(a), F.Pdist(a, 1))
	},
	"one_hot": func() ([]*torch.Tensor, []*torch.Tensor) {
		return nil, some(F.OneHot(torch.From([]int{0, 3, 1})), F.OneHot(torch.From([]int{0, 1}), 4))
	},
	"weighted": func() ([]*torch.Tensor, []*torch.Tensor) {
		a, b, w := leaf(3, 4), torch.Randn(3, 4), torch.Rand(3, 4)
		o := F.WeightedLossOptions{Weight: w}
		sum := F.WeightedLossOptions{Weight: w, Reduction: F.Sum}
		return some(a), some(F.MSELoss(a, b, o), F.L1Loss(a, b, o), F.HuberLoss(a, b, F.HuberLossOptions{Weight: w}), F.MSELoss(a, b, sum))
	},
	"sdpa": func() ([]*torch.Tensor, []*torch.Tensor) {
		q, k, v := leaf(2, 2, 3, 4), leaf(2, 2, 5, 4), leaf(2, 2, 5, 4)
		m := aten.GtScalar(torch.Rand(3, 5), torch.Float(0.3))
		return some(q, k, v), some(F.ScaledDotProductAttention(q, k, v, F.SDPAOptions{Mask: m}),
			F.ScaledDotProductAttention(q, k, v, F.SDPAOptions{Causal: true, Scale: new(0.3)}))
	},
	"area": func() ([]*torch.Tensor, []*torch.Tensor) {
		a := leaf(1, 2, 5, 6)
		return some(a), some(F.Interpolate(a, F.InterpolateOptions{Size: []int{2, 4}, Mode: F.Area}),
			F.Interpolate(a, F.InterpolateOptions{Scale: []float64{0.6}, Mode: F.Bilinear2d, Antialias: true}))
	},
	"softmax_dtype": func() ([]*torch.Tensor, []*torch.Tensor) {
		a, o := leaf(3, 4), F.SoftmaxOptions{DType: torch.Float64}
		return some(a), some(F.Softmax(a, -1, o), F.LogSoftmax(a, 0, o), F.Softmin(a, 1, o))
	},
	"clip_norm":     func() ([]*torch.Tensor, []*torch.Tensor) { return clipped(2) },
	"clip_norm/inf": func() ([]*torch.Tensor, []*torch.Tensor) { return clipped(math.Inf(1)) },
	"clip_value": func() ([]*torch.Tensor, []*torch.Tensor) {
		m := NewLinear(4, 5)
		aten.Sum(aten.PowTensorScalar(m.Forward(torch.Randn(3, 4)), torch.Int(2)), 0).Backward()
		ClipGradValue_(Parameters(m), 0.5)
		return tensorsOf(Parameters(m)), nil
	},
	"encoder/train":            func() ([]*torch.Tensor, []*torch.Tensor) { return nil, encoderCase(false, true, true) },
	"encoder/padded_eval":      func() ([]*torch.Tensor, []*torch.Tensor) { return nil, encoderCase(true, false, true) },
	"encoder/causal_eval":      func() ([]*torch.Tensor, []*torch.Tensor) { return nil, encoderCase(true, false, false) },
	"self_attention/fast":      func() ([]*torch.Tensor, []*torch.Tensor) { return nil, selfAttention(false) },
	"self_attention/fast_mask": func() ([]*torch.Tensor, []*torch.Tensor) { return nil, selfAttention(true) },
	"transformer/masks": func() ([]*torch.Tensor, []*torch.Tensor) {
		m := NewTransformer(8, 2, TransformerOptions{EncoderLayers: new(1), DecoderLayers: new(1), DimFeedforward: 16, Dropout: new(0.0)})
		s, t := torch.Randn(4, 2, 8), torch.Randn(3, 2, 8)
		pad := torch.From([]bool{false, false, false, false, false, false, true, true}, 2, 4)
		return nil, some(m.Forward(s, t, TransformerInput{TgtMask: GenerateSquareSubsequentMask(3), MemoryKeyPaddingMask: hidden(pad)}))
	},
}

func gridCase(o F.GridSampleOptions) ([]*torch.Tensor, []*torch.Tensor) {
	a := leaf(1, 2, 4, 4)
	g := aten.SubScalar(aten.MulScalar(torch.Rand(1, 3, 3, 2), torch.Float(2.4)), torch.Float(1.2), torch.Int(1)).RequiresGrad_(true)
	return some(a, g), some(F.GridSample(a, g, o))
}

func TestFunctional(t *testing.T) {
	file := fixture.Open(t, "testdata/functional.json.gz")
	require.Len(t, functionalCases, len(file.Cases))
	for _, c := range file.Cases {
		t.Run(c.Name, func(t *testing.T) { torch.Scope(func() { functionalCase(t, c) }) })
	}
}

func functionalCase(t *testing.T, c *fixture.Case) {
	f, ok := functionalCases[c.Name]
	require.True(t, ok, "no twin")
	torch.ManualSeed(c.Seed)
	leaves, outs := f()
	var total *torch.Tensor
	for i, out := range outs {
		c.Equal(t, fmt.Sprintf("output.%d", i), recordedTensor(out))
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
			c.Equal(t, fmt.Sprintf("grad.%d", i), recordedTensor(g))
		}
	}
	require.Len(t, c.Names("grad."), n)
	c.Equal(t, "next", recordedTensor(torch.Rand(4)))
}
