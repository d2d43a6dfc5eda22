package functional_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/torch"
	F "github.com/golite/golite/torch/nn/functional"
)

func TestMain(m *testing.M) { fixture.Main(m) }

func TestBadInput(t *testing.T) {
	x, ids := torch.Ones(2, 3), torch.Options{DType: torch.Int64}.Zeros(2)
	image := torch.Ones(1, 2, 4, 4)
	tests := map[string]struct {
		f    func()
		says []string
	}{
		"linear shapes": {func() { F.Linear(x, torch.Ones(4, 5), nil) }, []string{"float32[2, 3]", "float32[4, 5]"}},
		"cross entropy": {func() { F.CrossEntropy(x, torch.Options{DType: torch.Int64}.Zeros(5)) },
			[]string{"float32[2, 3]", "int64[5]"}},
		"target range": {func() { F.CrossEntropy(x, ids.Add(ids).AddScalar(7)) }, []string{"7 is out of bounds"}},
		"dtype":        {func() { F.Embedding(x, torch.Ones(4, 5)) }, []string{"float32[2, 3]"}},
		"nil weight":   {func() { F.Linear(x, nil, nil) }, []string{"weight"}},
		"two options": {func() { F.GELU(x, F.GELUOptions{}, F.GELUOptions{}) },
			[]string{"at most one GELUOptions, got 2"}},
		"batch of one": {func() { F.BatchNorm(torch.Ones(1, 3), nil, nil, F.BatchNormOptions{Training: true}) },
			[]string{"more than 1 value per channel", "[1 3]"}},
		"eps": {func() { F.BatchNorm(x, nil, nil, F.BatchNormOptions{Training: true, Eps: new(0.0)}) },
			[]string{"Eps must be positive"}},
		"one element": {func() { F.InstanceNorm(torch.Ones(1, 3, 1), nil, nil) },
			[]string{"more than 1 spatial element"}},
		"groups":       {func() { F.GroupNorm(image, 0) }, []string{"at least 1 group"}},
		"probability":  {func() { F.Dropout(x, 1.5, true) }, []string{"F.Dropout", "1.5"}},
		"bce sizes":    {func() { F.BCE(x, torch.Ones(2)) }, []string{"F.BCE", "[2 3]", "[2]"}},
		"logits sizes": {func() { F.BCEWithLogits(x, torch.Ones(2)) }, []string{"[2 3]", "[2]"}},
		"reduction": {func() { F.MSELoss(x, x, F.WeightedLossOptions{Reduction: F.BatchMean}) },
			[]string{"F.MSELoss", "batchmean"}},
		"negative variance": {func() { F.GaussianNLLLoss(x, x, x.MulScalar(-1)) }, []string{"negative"}},
		"variance size":     {func() { F.GaussianNLLLoss(x, x, torch.Ones(5)) }, []string{"[2 3]", "[5]"}},
		"margin p": {func() { F.MultiMarginLoss(x, ids, F.MultiMarginLossOptions{P: 3}) },
			[]string{"P must be 1 or 2"}},
		"triplet margin": {func() { F.TripletMarginLoss(x, x, x, F.TripletMarginLossOptions{Margin: -1}) },
			[]string{"greater than 0"}},
		"stride twice": {func() { F.Conv2d(image, image, nil, F.ConvOptions{Stride: 1, Strides: []int{1, 1}}) },
			[]string{"Stride", "both"}},
		"stride length": {func() { F.Conv2d(image, image, nil, F.ConvOptions{Strides: []int{1, 1, 1}}) },
			[]string{"one number or 2", "[1 1 1]"}},
		"same and padding": {func() { F.Conv2d(image, image, nil, F.ConvOptions{PaddingSame: true, Padding: 1}) },
			[]string{"PaddingSame"}},
		"channels": {func() { F.Conv2d(image, torch.Ones(3, 5, 2, 2), nil) }, []string{"float32[1, 2, 4, 4]",
			"float32[3, 5, 2, 2]"}},
		"window": {func() { F.MaxPool2d(image, []int{1, 2, 3}) }, []string{"the window must be one number or 2"}},
		//lint:ignore SA5012 an odd number of widths is what is refused
		"pad":         {func() { F.Pad(x, []int{1}) }, []string{"F.Pad", "[1]"}},
		"interpolate": {func() { F.Interpolate(image, F.InterpolateOptions{}) }, []string{"one of Size and Scale"}},
		"mode": {func() { F.Interpolate(image, F.InterpolateOptions{Size: []int{2}, Mode: F.Trilinear}) },
			[]string{"trilinear", "4 dimensions"}},
		"corners": {func() { F.Interpolate(image, F.InterpolateOptions{Size: []int{2}, AlignCorners: true}) },
			[]string{"AlignCorners"}},
		"sdpa": {func() { F.ScaledDotProductAttention(image, image, image, F.SDPAOptions{Mask: x, Causal: true}) },
			[]string{"can't be given together"}},
		"heads": {func() {
			F.MultiHeadAttentionForward(torch.Ones(2, 2, 5), torch.Ones(2, 2, 5), torch.Ones(2, 2, 5), 2,
				F.MultiHeadAttentionOptions{})
		}, []string{"5 features", "2 heads"}},
		"bag offsets": {func() { F.EmbeddingBag(ids, torch.Ones(4, 2)) }, []string{"Offsets"}},
		"padding row": {func() { F.Embedding(ids, torch.Ones(4, 2), F.EmbeddingOptions{PaddingIdx: new(4)}) }, []string{"4"}},
		"unpool": {func() { F.MaxUnpool2d(image, image, 2, F.MaxUnpoolOptions{OutputSize: []int{99, 99}}) },
			[]string{"must lie between"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := torch.Try(test.f)
			require.Error(t, err)
			for _, part := range test.says {
				require.ErrorContains(t, err, part)
			}
		})
	}
}

// The functions in place do what the others do, and write their input.
func TestInPlace(t *testing.T) {
	fill := func() *torch.Tensor { return torch.From([]float32{-3, -0.5, 0, 0.25, 2, 9}) }
	tests := map[string][2]func(*torch.Tensor) *torch.Tensor{
		"relu":  {F.ReLU, F.ReLU_},
		"relu6": {F.ReLU6, F.ReLU6_},
		"leaky": {func(x *torch.Tensor) *torch.Tensor { return F.LeakyReLU(x) },
			func(x *torch.Tensor) *torch.Tensor { return F.LeakyReLU_(x) }},
		"elu": {func(x *torch.Tensor) *torch.Tensor { return F.ELU(x, 0.5) },
			func(x *torch.Tensor) *torch.Tensor { return F.ELU_(x, 0.5) }},
		"celu": {func(x *torch.Tensor) *torch.Tensor { return F.CELU(x, 0.5) },
			func(x *torch.Tensor) *torch.Tensor { return F.CELU_(x, 0.5) }},
		"selu":        {F.SELU, F.SELU_},
		"silu":        {F.SiLU, F.SiLU_},
		"mish":        {F.Mish, F.Mish_},
		"hardswish":   {F.Hardswish, F.Hardswish_},
		"hardsigmoid": {F.Hardsigmoid, F.Hardsigmoid_},
		"hardtanh": {func(x *torch.Tensor) *torch.Tensor { return F.Hardtanh(x) },
			func(x *torch.Tensor) *torch.Tensor { return F.Hardtanh_(x) }},
		"rrelu": {func(x *torch.Tensor) *torch.Tensor { return F.RReLU(x) },
			func(x *torch.Tensor) *torch.Tensor { return F.RReLU_(x) }},
		"threshold": {func(x *torch.Tensor) *torch.Tensor { return F.Threshold(x, 1, 5) },
			func(x *torch.Tensor) *torch.Tensor { return F.Threshold_(x, 1, 5) }},
	}
	for name, f := range tests {
		want := torch.ToSlice[float32](f[0](fill()))
		x := fill()
		require.Same(t, x, f[1](x), name)
		require.Equal(t, want, torch.ToSlice[float32](x), name)
		require.NotEqual(t, torch.ToSlice[float32](fill()), want, name)
	}
}
