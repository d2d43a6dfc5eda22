package aten

import (
	"slices"
	"strings"

	"github.com/golite/golite/internal/schema"
)

// ownNamespaces are those that libtorch keeps for itself, beside all that begin with an underscore. Others are aten and
// those of libraries that the program has loaded.
var ownNamespaces = []string{
	"c10d", "inductor", "mkl", "mkldnn", "mkldnn_prepacked", "onednn", "prepacked", "prim", "profiler", "quantization",
	"quantized", "sparse",
	"static_runtime", "symm_mem",
}

// ownNames begin the names of operators that are private to libtorch though nothing says it: the parts of a quantized
// or oneDNN layer, which take weights as their own packing has left them.
var ownNames = []string{"fbgemm_", "mkldnn_rnn_layer", "quantized_lstm_cell", "quantized_gru_cell",
	"quantized_rnn_relu_cell", "quantized_rnn_tanh_cell"}

// private reports whether an operator is private to libtorch and not on the tested list.
func private(s *schema.Schema) bool {
	if strings.HasPrefix(s.Namespace, "_") || slices.Contains(ownNamespaces, s.Namespace) {
		return true
	}
	for _, prefix := range ownNames {
		if strings.HasPrefix(s.Name, prefix) {
			return true
		}
	}
	if !strings.HasPrefix(s.Name, "_") || strings.HasPrefix(s.Name, "__") {
		return false
	}
	name := strings.TrimSuffix(s.Name, "_")
	if s.Name == "_foreach_copy" { // not in place it copies each tensor as copy does, whatever its layout
		return true
	}
	return s.Namespace != "aten" || !strings.HasPrefix(name, "_foreach_") && !slices.Contains(tested, name)
}

// tested are the operators with a leading underscore that Call takes beside all of the foreach ones, in place or not:
// those that programs have a use for and that TestRandomSweep has called, with some effect, on arguments of all kinds.
var tested = []string{
	"_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "_aminmax", "_amp_foreach_non_finite_check_and_unscale",
	"_assert_async", "_cast_Byte",
	"_cast_Char", "_cast_Double", "_cast_Float", "_cast_Half", "_cast_Int", "_cast_Long", "_cast_Short", "_coalesced",
	"_conj", "_conj_physical",
	"_debug_has_internal_overlap", "_dimI", "_dimV", "_dim_arange", "_efficientzerotensor", "_euclidean_dist",
	"_fused_rms_norm",
	"_fused_sdp_choice", "_has_compatible_shallow_copy_type", "_has_same_storage_numel", "_indices", "_is_all_true",
	"_is_any_true",
	"_is_zerotensor", "_lazy_clone", "_linalg_det", "_linalg_eigh", "_linalg_eigvals", "_linalg_slogdet",
	"_linalg_solve_ex", "_linalg_svd",
	"_local_scalar_dense", "_log_softmax", "_logcumsumexp", "_lu_with_info", "_neg_view",
	"_nested_tensor_from_tensor_list", "_nnpack_available",
	"_nnz", "_pad_circular", "_reshape_copy", "_safe_softmax", "_sample_dirichlet", "_scaled_dot_product_attention_math",
	"_shape_as_tensor",
	"_softmax", "_standard_gamma", "_standard_gamma_grad", "_stack", "_to_copy", "_to_cpu", "_to_dense", "_to_sparse",
	"_to_sparse_csc",
	"_to_sparse_csr", "_unique", "_unique2", "_unsafe_view", "_upsample_bicubic2d_aa", "_upsample_bilinear2d_aa",
	"_upsample_nearest_exact1d",
	"_upsample_nearest_exact2d", "_upsample_nearest_exact3d", "_values", "_version",
}
