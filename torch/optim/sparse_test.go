package optim_test

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

// sparseStep makes a step on the rows of w of these numbers, whose gradient is sparse.
func sparseStep(o optim.Optimizer, w *torch.Tensor, rows ...int64) {
	torch.Scope(func() {
		o.ZeroGrad()
		e := functional.Embedding(torch.From(rows), w, functional.EmbeddingOptions{Sparse: true})
		e.Mul(e).MulScalar(0.7).Add(e).Sum().Backward()
		o.Step()
	})
}

func sparseWeight() nn.Parameter {
	return nn.NewParameter(torch.Arange(0, 12).Reshape(4, 3).Float().DivScalar(10))
}

// The bits are those of torch.optim.SparseAdam of PyTorch 2.11.
func TestSparseAdam(t *testing.T) {
	w := sparseWeight()
	o := optim.NewSparseAdam([]nn.Parameter{w}, 0.1)
	sparseStep(o, w.Tensor, 0, 2, 2)
	state := o.StateDict()
	sparseStep(o, w.Tensor, 2, 3)
	sparseStep(o, w.Tensor, 0, 1, 2, 3, 0)
	require.Equal(t, []uint32{3191639438, 3182165396, 1015298892, 1047644440, 1051465663, 1054821106,
		1050875124, 1054221359, 1057266751, 1060988950, 1062666521, 1064344110}, float32Bits(w.Tensor))
	require.Equal(t, 1, state["state"].(map[int]any)[0].(map[string]any)["step"], "a number, as in Python")
	require.NoError(t, o.LoadStateDict(state))
	require.Equal(t, 1, o.StateDict()["state"].(map[int]any)[0].(map[string]any)["step"])
}

// float32Bits returns the bits of the elements.
func float32Bits(t *torch.Tensor) (bits []uint32) {
	for _, v := range torch.ToSlice[float32](t) {
		bits = append(bits, math.Float32bits(v))
	}
	return bits
}

// The sums have the bits of torch.optim.Adagrad of PyTorch 2.11, the weights differ by one in the last place at most:
// the BLAS function that adds a sparse row times the rate may round the product first, or not. A parameter with a dense
// gradient beside it is stepped too.
func TestAdagradWithSparseGradients(t *testing.T) {
	for name, c := range map[string]struct {
		o           optim.AdagradOptions
		weight, sum []uint32
	}{
		"defaults": {optim.AdagradOptions{},
			[]uint32{3191794928, 3182554355, 1011989991, 1045220558, 1050253722, 1053609165,
				1054298159, 1057301754, 1058973113, 1060849949, 1062525325, 1064200971},
			[]uint32{1081955949, 1084855891, 1088079635, 1073810611, 1075560473, 1077474755,
				1100546692, 1102178778, 1103934170, 1092198858, 1093525936, 1094935222}},
		"all settings": {optim.AdagradOptions{LRDecay: 0.1, InitialValue: 0.5, Maximize: true},
			[]uint32{1042179278, 1048862104, 1052314861, 1052756758, 1056155953, 1058255494,
				1061607486, 1063286049, 1064964110, 1065737863, 1066581004, 1067423466},
			[]uint32{1087303567, 1090665467, 1092623452, 1075907763, 1077657625, 1079571907,
				1102106720, 1103839402, 1105695277, 1093957300, 1095364414, 1096853586}},
	} {
		t.Run(name, func(t *testing.T) {
			w, dense := sparseWeight(), nn.NewParameter(torch.Ones(2))
			o := optim.NewAdagrad([]nn.Parameter{w, dense}, 0.1, c.o)
			for _, rows := range [][]int64{{0, 2, 2}, {2, 3}, {0, 1, 2, 3, 0}} {
				torch.Scope(func() {
					o.ZeroGrad()
					e := functional.Embedding(torch.From(rows), w.Tensor, functional.EmbeddingOptions{Sparse: true})
					e.Mul(e).MulScalar(0.7).Add(e).Sum().Add(dense.Sum()).Backward()
					o.Step()
				})
			}
			state := o.StateDict()["state"].(map[int]any)
			require.Equal(t, c.sum, float32Bits(state[0].(map[string]any)["sum"].(*torch.Tensor)))
			for i, b := range float32Bits(w.Tensor) {
				require.InDelta(t, c.weight[i], b, 1, "element %d", i)
			}
			require.NotEqual(t, float32Bits(torch.Ones(2)), float32Bits(dense.Tensor))
		})
	}
}

// What PyTorch refuses of sparse gradients by an operator's error is refused by name, and changes nothing.
func TestSparseGradientsWithOtherSettings(t *testing.T) {
	for name, c := range map[string]struct {
		make func(p []nn.Parameter) optim.Optimizer
		want string
	}{
		"SGD with weight decay": {func(p []nn.Parameter) optim.Optimizer {
			return optim.NewSGD(p, 0.1, optim.SGDOptions{WeightDecay: 0.1})
		}, "with which WeightDecay does not work: set it to 0"},
		"Adagrad with weight decay": {func(p []nn.Parameter) optim.Optimizer {
			return optim.NewAdagrad(p, 0.1, optim.AdagradOptions{WeightDecay: 0.1})
		}, "with which WeightDecay does not work: set it to 0"},
		"Adagrad, fused": {func(p []nn.Parameter) optim.Optimizer {
			return optim.NewAdagrad(p, 0.1, optim.AdagradOptions{Fused: true})
		}, "which the fused kernel does not take: leave out Fused"},
	} {
		t.Run(name, func(t *testing.T) {
			w := sparseWeight()
			before := float32Bits(w.Tensor)
			o := c.make([]nn.Parameter{w})
			require.ErrorContains(t, torch.Try(func() { sparseStep(o, w.Tensor, 0, 2) }), c.want)
			require.Equal(t, before, float32Bits(w.Tensor))
		})
	}
	w := sparseWeight()
	functional.Embedding(torch.From([]int64{0, 2}), w.Tensor, functional.EmbeddingOptions{Sparse: true}).Sum().Backward()
	for name, clip := range map[string]func(){
		"nn.ClipGradNorm_":  func() { nn.ClipGradNorm_([]nn.Parameter{w}, 1) },
		"nn.ClipGradValue_": func() { nn.ClipGradValue_([]nn.Parameter{w}, 1) },
	} {
		err := torch.Try(clip)
		require.ErrorContains(t, err, name)
		require.ErrorContains(t, err, "is sparse_coo, of which libtorch has no norm and no clamping")
	}
}

func TestSparseAdamRefusesDenseGradients(t *testing.T) {
	w := sparseWeight()
	o := optim.NewSparseAdam([]nn.Parameter{w}, 0.1)
	w.SetGrad(torch.Ones(4, 3))
	require.ErrorContains(t, torch.Try(o.Step), "optim.Adam")
}

// An optimizer takes sparse gradients or names the one that does, and changes nothing then.
func TestSparseGradients(t *testing.T) {
	takes := map[string]bool{"SGD": true, "Adagrad": true}
	for name, make := range all {
		t.Run(name, func(t *testing.T) {
			w := sparseWeight()
			before := torch.ToSlice[float32](w.Tensor)
			o := make([]nn.Parameter{w})
			err := torch.Try(func() { sparseStep(o, w.Tensor, 0, 2) })
			if takes[name] {
				require.NoError(t, err)
				require.NotEqual(t, before, torch.ToSlice[float32](w.Tensor))
				return
			}
			want := "optim.SparseAdam, optim.Adagrad and optim.SGD do"
			if takes[strings.TrimSuffix(name, "Fused")] {
				want = "leave out Fused"
			}
			require.ErrorContains(t, err, want)
			require.ErrorContains(t, err, "sparse_coo")
			require.Equal(t, before, torch.ToSlice[float32](w.Tensor))
			require.NotContains(t, err.Error(), "there is no Sparse")
		})
	}
}
