package nn

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	F "github.com/golite/golite/torch/nn/functional"
)

// What a constructor or a Forward is given wrongly is a panic that names the layer, what is wrong and the shapes.
func TestBadArguments(t *testing.T) {
	x := torch.Ones(2, 3)
	tests := map[string]struct {
		f    func()
		says []string
	}{
		"linear":         {func() { NewLinear(-1, 2) }, []string{"nn.NewLinear", "-1"}},
		"two options":    {func() { NewLinear(1, 2, LinearOptions{}, LinearOptions{}) }, []string{"at most one"}},
		"forward shapes": {func() { NewLinear(4, 2).Forward(x) }, []string{"float32[2, 3]", "float32[2, 4]"}},
		"forward dtype": {func() { NewLinear(3, 2).Forward(torch.Options{DType: torch.Float64}.Ones(2, 3)) },
			[]string{"aten::linear"}},
		"bilinear":  {func() { NewBilinear(0, 1, 1) }, []string{"nn.NewBilinear", "at least 1"}},
		"embedding": {func() { NewEmbedding(3, 2, EmbeddingOptions{PaddingIdx: new(3)}) }, []string{"PaddingIdx", "3"}},
		"index": {func() { NewEmbedding(3, 2).Forward(torch.From([]int{3})) },
			[]string{"aten::embedding", "out of range"}},
		"conv groups": {func() { NewConv2d(3, 4, 3, ConvOptions{Groups: 2}) }, []string{"3 input and 4 output channels",
			"2 groups"}},
		"conv kernel":   {func() { NewConv2d(3, 4, 0) }, []string{"kernel", "at least 1, got 0"}},
		"conv kernels":  {func() { NewConv3d(3, 4, []int{1, 2}) }, []string{"the kernel must be one number or 3"}},
		"conv same":     {func() { NewConv1d(3, 4, 3, ConvOptions{PaddingSame: true, Stride: 2}) }, []string{"stride 1"}},
		"conv channels": {func() { NewConv2d(3, 4, 3).Forward(torch.Ones(1, 2, 5, 5)) }, []string{"float32[1, 2, 5, 5]"}},
		"transpose size": {func() { NewConvTranspose1d(1, 1, 3).ForwardSize(torch.Ones(1, 1, 3), []int{99}) },
			[]string{"99", "between 5 and 5"}},
		"dropout":      {func() { NewDropout(2) }, []string{"nn.NewDropout", "2"}},
		"batch norm":   {func() { NewBatchNorm2d(3).Forward(x) }, []string{"nn.BatchNorm2d", "4 dimensions", "[2 3]"}},
		"batch of one": {func() { NewBatchNorm1d(3).Forward(torch.Ones(1, 3)) }, []string{"more than 1 value per channel"}},
		"momentum": {func() { NewBatchNorm1d(3, BatchNormOptions{Cumulative: true, Momentum: new(0.1)}) },
			[]string{"Cumulative"}},
		"layer norm": {func() { NewLayerNorm([]int{}) }, []string{"empty"}},
		"group norm": {func() { NewGroupNorm(2, 3) }, []string{"3 channels", "2 groups"}},
		"instance norm": {func() { NewInstanceNorm1d(2, InstanceNormOptions{Affine: true}).Forward(torch.Ones(1, 3, 4)) },
			[]string{"2 channels", "[1 3 4]"}},
		"rnn layers":     {func() { NewRNN(1, 1, RNNOptions{NumLayers: -1}) }, []string{"NumLayers"}},
		"rnn projection": {func() { NewGRU(1, 2, RNNOptions{ProjSize: 1}) }, []string{"ProjSize is for LSTM"}},
		"rnn input": {func() { NewLSTM(4, 3).Forward(torch.Ones(5, 2, 3)) }, []string{"nn.LSTM", "last dimension is 4",
			"[5 2 3]"}},
		"rnn hidden": {func() { NewGRU(4, 3).Forward(torch.Ones(5, 2, 4), torch.Ones(1, 9, 3)) },
			[]string{"[1 2 3]", "[1 9 3]"}},
		"lstm state": {func() { NewLSTM(4, 3).Forward(torch.Ones(5, 2, 4), torch.Ones(1, 2, 3)) },
			[]string{"got 1 tensors"}},
		"cell": {func() { NewLSTMCell(2, 2).Forward(torch.Ones(1, 1, 2)) },
			[]string{"nn.LSTMCell", "1 or 2 dimensions"}},
		"heads": {func() { NewMultiheadAttention(5, 2) }, []string{"5 features", "2 heads"}},
		"batch sizes": {func() { NewTransformer(4, 2).Forward(torch.Ones(3, 2, 4), torch.Ones(3, 1, 4)) },
			[]string{"same batch size"}},
		"no layers": {func() { NewTransformerEncoder(NewTransformerEncoderLayer(4, 2), 0).Forward(x) },
			[]string{"no layers"}},
		"cutoffs": {func() { NewAdaptiveLogSoftmaxWithLoss(4, 10, []int{5, 5}) }, []string{"cutoffs must rise"}},
		"class": {func() {
			NewAdaptiveLogSoftmaxWithLoss(4, 10, []int{5}).Forward(torch.Ones(1, 4), torch.From([]int{11}))
		}, []string{"from 0 to 9", "11"}},
		"padding":  {func() { NewZeroPad2d([]int{1, 2, 3}) }, []string{"one number or 4"}},
		"pool":     {func() { NewMaxPool2d(0) }, []string{"nn.NewMaxPool2d", "at least 1"}},
		"upsample": {func() { NewUpsample(UpsampleOptions{}) }, []string{"one of Size and Scale"}},
		"ratio": {func() { NewFractionalMaxPool2d(2, FractionalMaxPoolOptions{OutputRatio: []float64{2}}) },
			[]string{"between 0 and 1"}},
		"hardtanh": {func() { NewHardtanh(F.HardtanhOptions{Min: new(2.0)}) }, []string{"smaller than Max"}},
		"vector": {func() { VectorToParameters(torch.Ones(2), []Parameter{NewParameter(torch.Ones(3))}) },
			[]string{"[3]", "[2]"}},
		"released": {func() {
			l := NewLinear(1, 1)
			l.Weight.Release()
			l.Forward(torch.Ones(1, 1))
		}, []string{"released"}},
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

func TestVectors(t *testing.T) {
	net := newMLP()
	v := ParametersToVector(Parameters(net))
	require.Equal(t, []int{CountParameters(net)}, v.Shape())
	p := net.FC1.Weight.Tensor
	VectorToParameters(torch.Ones(CountParameters(net)), Parameters(net))
	require.Same(t, p, net.FC1.Weight.Tensor)
	require.Equal(t, []float32{1, 1}, torch.ToSlice[float32](net.FC2.Bias.Tensor))
	require.True(t, p.RequiresGrad())
}

func TestClipNonfinite(t *testing.T) {
	l := NewLinear(2, 2)
	l.Weight.SetGrad(torch.Full(1, 2, 2).DivScalar(0))
	require.ErrorContains(t,
		torch.Try(func() { ClipGradNorm_(Parameters(l), 1, ClipGradOptions{ErrorIfNonfinite: true}) }), "+Inf")
	require.Zero(t, ClipGradNorm_(Parameters(NewLinear(1, 1)), 1).Item(), "no gradients")
}

// AdaptiveLogSoftmaxWithLoss agrees with itself: its targets' log probabilities are those of all classes.
func TestAdaptiveLogProb(t *testing.T) {
	a := NewAdaptiveLogSoftmaxWithLoss(6, 12, []int{4, 8})
	x := torch.Randn(5, 6)
	all := torch.ToSlice[float32](a.LogProb(x))
	target := []int{1, 3, 5, 7, 11}
	out, loss := a.Forward(x, torch.From(target))
	sum := float32(0)
	for i, v := range torch.ToSlice[float32](out) {
		require.InDelta(t, all[i*12+target[i]], v, 1e-5)
		sum -= v
	}
	require.InDelta(t, sum/5, loss.Item(), 1e-5)
	best := torch.ToSlice[int](a.Predict(x))
	for i, b := range best {
		for c := range 12 {
			require.LessOrEqual(t, all[i*12+c], all[i*12+b])
		}
	}
}
