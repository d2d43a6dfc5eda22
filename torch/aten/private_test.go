package aten_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// Operators that are private to libtorch and not tested are refused by Call; CallPrivate runs them.
func TestPrivateOperators(t *testing.T) {
	x := torch.Ones(2, 2)
	for _, name := range []string{
		"aten::_cholesky_solve_helper", "aten::_cummin_helper", "aten::_copy_from_and_resize.out", "aten::_coalesce.out",
		"aten::_fft_r2c.out",
		"aten::_native_batch_norm_legit", "aten::_new_zeros_with_same_feature_meta.out", "aten::_pdist_backward.out",
		"aten::_remove_batch_dim",
		"aten::_reshape_alias", "aten::mkldnn_rnn_layer", "aten::mkldnn_rnn_layer_backward", "inductor::_alloc_from_pool",
		"inductor::_reinterpret_tensor", "_c10d_functional::reduce_scatter_tensor", "_c10d_functional::all_to_all_single",
		"_c10d_functional_autograd::all_to_all_single", "aten::fbgemm_pack_quantized_matrix.KN",
	} {
		err := torch.Try(func() { aten.Call(name) })
		require.ErrorContains(t, err, name)
		require.ErrorContains(t, err, "aten.CallPrivate")
		require.ErrorContains(t, torch.Try(func() { aten.CallPrivate(name) }), "missing: ")
	}
	require.Equal(t, floats(torch.Ones(4)),
		floats(tensor(t, aten.CallPrivate("aten::_reshape_alias", x, []int{4}, []int{1}))))
	require.Equal(t, []int{4}, tensor(t, aten.Call("aten::_unsafe_view", x, []int{4})).Shape())
	require.Len(t, aten.Call("aten::_foreach_neg", []*torch.Tensor{x})[0], 1)
	require.True(t, tensor(t, aten.Call("aten::__and__.Scalar", torch.From([]bool{true}), true)).Numel() == 1,
		"Python's own operators are public")
}

// What ends the process, or writes memory that is not the tensor's, is refused with the reason.
func TestGuardsOfWhatTheSweepFound(t *testing.T) {
	x, i := torch.Ones(2, 3), torch.From([]int64{0, 7})
	zero := aten.Efficientzerotensor([]int{4}, torch.Float32, 0, torch.Device{}, nil)
	csr := aten.ToSparseCsr(x, nil)
	dnn := aten.ToMkldnn(torch.Ones(3, 1).To(torch.BFloat16), 0)
	q := aten.QuantizePerTensor(x, 0.5, 1, torch.QInt8)
	ragged := aten.NestedTensorFromTensorList([]*torch.Tensor{torch.Ones(2), torch.Ones(1)}, 0, 0, torch.Device{}, nil)
	type kw = aten.Kw
	for name, c := range map[string]struct {
		op   string
		args []any
		want string
	}{
		"out without memory":  {"aten::randn.out", []any{[]int{2}, kw{"out": zero}}, "argument out (Tensor) is written"},
		"self without memory": {"aten::resize_", []any{zero, []int{9}}, "argument self (Tensor) is written"},
		"lists of two lengths": {"aten::_foreach_copy_", []any{[]*torch.Tensor{x}, []*torch.Tensor{x, x}},
			"argument src has 2 elements, and self 1"},
		"no scalars": {"aten::_foreach_addcdiv_.ScalarList", []any{[]*torch.Tensor{x}, []*torch.Tensor{x},
			[]*torch.Tensor{x}, []float64{}}, "argument scalars has 0"},
		"rows": {"aten::embedding_dense_backward", []any{torch.Ones(2, 3), i, 2, -1, true},
			"indices go from 0 to 7: want 0 to 1"},
		"rows, an int32": {"aten::embedding_dense_backward", []any{torch.Ones(2, 3), i, int32(2), -1, true},
			"want 0 to 1"},
		"places": {"aten::adaptive_max_pool2d_backward", []any{torch.Ones(1, 1, 1), torch.Ones(1, 2, 2),
			torch.From([]int64{99}, 1, 1, 1)}, "want 0 to 3"},
		"copy of sparse": {"aten::copy", []any{csr, x}, "self is sparse_csr"},
		"source in oneDNN's": {"aten::index_add_", []any{torch.Ones(3), 0, torch.From([]int64{0, 9, 2}),
			aten.ToMkldnn(torch.Ones(3), 0)}, "source is mkldnn"},
		"diff of sparse":    {"aten::diff", []any{csr}, "self is sparse_csr"},
		"view of quantized": {"aten::view.dtype", []any{q, torch.Float8E4M3FN}, "not quantized"},
		"groups":            {"aten::native_channel_shuffle", []any{torch.Ones(1, 2, 2, 2), 0}, "groups is 0"},
		"heads": {"aten::scaled_dot_product_attention", []any{torch.Ones(2, 3, 2, 2), torch.Ones(2, 0, 2, 2),
			torch.Ones(2, 0, 2, 2), kw{"enable_gqa": true}},
			"3 heads of query can't be shared by 0"},
		"integers":   {"aten::smooth_l1_loss_backward", []any{i, i, i, 0, 0.0}, "want a floating type"},
		"step of 0":  {"aten::range.out", []any{0, 1, 1e-5, kw{"out": torch.From([]int64{0})}}, "which is 0 in int64"},
		"oneDNN":     {"aten::zero", []any{dnn}, "four bytes each"},
		"ragged":     {"aten::select.int", []any{ragged, -1, 1}, "index 1 is beyond part 1"},
		"never ends": {"aten::choose_qparams_optimized", []any{x, 4, -1, 0.1, 4}, "n_bins is -1"},
		"no end":     {"aten::random_.from", []any{x, math.MaxInt, nil}, "want one from -2^53"},
		"empty list": {"aten::concat.out", []any{[]*torch.Tensor{}, kw{"out": q}}, "tensors has 0 tensors"},
		"empty input": {"aten::native_batch_norm_backward", []any{x, torch.Zeros(0, 4), nil, nil, nil, x, x, true, 1.0,
			[]bool{true, false, false}}, "input has no elements"},
	} {
		t.Run(name, func(t *testing.T) {
			err := torch.Try(func() { aten.Call(c.op, c.args...) })
			require.ErrorContains(t, err, c.op)
			require.ErrorContains(t, err, c.want)
		})
	}
	require.Equal(t, []float32{0, 0, 0, 0}, floats(tensor(t, aten.Call("aten::kron", zero, torch.Ones(1)))),
		"read, a ZeroTensor is zeros")
}

// A failed assertion of libtorch's names the operator and its argument, and does not ask for a report of a bug.
func TestAssertionsNameTheArgument(t *testing.T) {
	for name, c := range map[string]struct {
		f    func()
		want string
	}{
		"condition": {func() {
			aten.CallPrivate("aten::_add_relu.Tensor", torch.Ones(2).To(torch.BFloat16), torch.Ones(2).To(torch.BFloat16))
		}, "arguments self, other, alpha are not what libtorch's kernel takes for granted: Unsupported datatype"},
		"argument": {func() { aten.CallPrivate("aten::_coalesce", aten.ToSparse(torch.Ones(2), 0, nil, nil)) },
			"argument self is not what libtorch's kernel takes for granted: !self.is_coalesced()"},
	} {
		t.Run(name, func(t *testing.T) {
			err := torch.Try(c.f)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "INTERNAL ASSERT")
			require.NotContains(t, err.Error(), "report a bug")
		})
	}
}
