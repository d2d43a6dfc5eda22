package optim_test

import (
	"math"
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
	var bits []uint32
	for _, v := range torch.ToSlice[float32](w.Tensor) {
		bits = append(bits, math.Float32bits(v))
	}
	require.Equal(t, []uint32{3191639438, 3182165396, 1015298892, 1047644440, 1051465663, 1054821106, 1050875124, 1054221359, 1057266751, 1060988950,
		1062666521, 1064344110}, bits)
	require.Equal(t, 1, state["state"].(map[int]any)[0].(map[string]any)["step"], "a number, as in Python")
	require.NoError(t, o.LoadStateDict(state))
	require.Equal(t, 1, o.StateDict()["state"].(map[int]any)[0].(map[string]any)["step"])
}

func TestSparseAdamRefusesDenseGradients(t *testing.T) {
	w := sparseWeight()
	o := optim.NewSparseAdam([]nn.Parameter{w}, 0.1)
	w.SetGrad(torch.Ones(4, 3))
	require.ErrorContains(t, torch.Try(o.Step), "optim.Adam")
}

// An optimizer takes sparse gradients or names the one that does, and changes nothing then.
func TestSparseGradients(t *testing.T) {
	takes := map[string]bool{"SGD": true}
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
			require.ErrorContains(t, err, "SparseAdam")
			require.ErrorContains(t, err, "sparse_coo")
			require.Equal(t, before, torch.ToSlice[float32](w.Tensor))
			require.NotContains(t, err.Error(), "there is no Sparse")
		})
	}
}
