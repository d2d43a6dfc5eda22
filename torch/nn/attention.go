package nn

import (
	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	F "github.com/golite/golite/torch/nn/functional"
	nninit "github.com/golite/golite/torch/nn/init"
)

// MultiheadAttentionOptions are NewMultiheadAttention's optional arguments.
type MultiheadAttentionOptions struct {
	Dropout     float64      // of the weights, when training
	NoBias      bool         // no biases
	AddBiasKV   bool         // a position of its own, which is trained, for keys and values
	AddZeroAttn bool         // a position of zeros for keys and values
	KDim, VDim  int          // features of keys and of values; 0: as many as the queries have
	BatchFirst  bool         // inputs and output are [N, L, E], not [L, N, E]
	DType       torch.DType  // of the parameters; default: the default floating type
	Device      torch.Device // of the parameters; default: the CPU
}

// MultiheadAttention is attention with several heads (torch.nn.MultiheadAttention). Keys: in_proj_weight [3E, E] (or
// q_proj_weight, k_proj_weight and v_proj_weight where KDim or VDim differ), in_proj_bias [3E], bias_k, bias_v,
// out_proj.weight, out_proj.bias.
type MultiheadAttention struct {
	Base
	InProjWeight Parameter
	QProjWeight  Parameter
	KProjWeight  Parameter
	VProjWeight  Parameter
	InProjBias   Parameter
	BiasK, BiasV Parameter
	OutProj      *Linear
	embed, heads int
	options      MultiheadAttentionOptions
}

// NewMultiheadAttention makes attention over embed features, divided among heads (torch.nn.MultiheadAttention). It
// panics if that leaves a remainder, or Dropout is not from 0 to 1.
func NewMultiheadAttention(embed, heads int, opts ...MultiheadAttentionOptions) *MultiheadAttention {
	const operation = "nn.NewMultiheadAttention"
	o := one(operation, opts)
	positive(operation, "the number of features", embed)
	positive(operation, "the number of heads", heads)
	if embed%heads != 0 {
		torch.Fail(operation, "%d features can't be divided among %d heads", embed, heads)
	}
	dropOf(operation, []float64{o.Dropout})
	if o.KDim == 0 {
		o.KDim = embed
	}
	if o.VDim == 0 {
		o.VDim = embed
	}
	m := &MultiheadAttention{embed: embed, heads: heads, options: o}
	f := factory{o.DType, o.Device}
	if o.KDim == embed && o.VDim == embed {
		m.InProjWeight = f.empty(3*embed, embed)
	} else {
		m.QProjWeight, m.KProjWeight, m.VProjWeight = f.empty(embed, embed), f.empty(embed, o.KDim), f.empty(embed, o.VDim)
	}
	if !o.NoBias {
		m.InProjBias = f.empty(3 * embed)
	}
	m.OutProj = NewLinear(embed, embed, LinearOptions{NoBias: o.NoBias, DType: o.DType, Device: o.Device})
	if o.AddBiasKV {
		m.BiasK, m.BiasV = f.empty(1, 1, embed), f.empty(1, 1, embed)
	}
	m.reset()
	return m
}

func (m *MultiheadAttention) reset() {
	for _, p := range []Parameter{m.InProjWeight, m.QProjWeight, m.KProjWeight, m.VProjWeight} {
		if p.Tensor != nil {
			nninit.XavierUniform_(p.Tensor)
		}
	}
	if m.InProjBias.Tensor != nil {
		nninit.Zeros_(m.InProjBias.Tensor)
		nninit.Zeros_(m.OutProj.Bias.Tensor)
	}
	for _, p := range []Parameter{m.BiasK, m.BiasV} {
		if p.Tensor != nil {
			nninit.XavierNormal_(p.Tensor)
		}
	}
}

// AttentionInput is what MultiheadAttention's Forward takes besides query, key and value
// (torch.nn.MultiheadAttention.forward's keywords).
type AttentionInput struct {
	KeyPaddingMask *torch.Tensor // [N, S] or [S]: true, or -inf, where a key is padding
	AttnMask       *torch.Tensor // [L, S] or [N·heads, L, S]: true, or -inf, where not to attend
	NoWeights      bool          // don't return the attention weights: faster (need_weights=False)
	WeightsPerHead bool          // return them for each head, not their mean (average_attn_weights=False)
	Causal         bool          // a hint that AttnMask is the causal mask, which must be given
}

// Forward takes query [L, N, E], key [S, N, KDim] and value [S, N, VDim], with BatchFirst [N, L, E] and so on, or
// without N. It returns the output, of query's shape, and the weights [N, L, S], nil with NoWeights. Three times the
// same tensor is self-attention, and faster; in evaluation mode without gradients it is one call of libtorch.
func (m *MultiheadAttention) Forward(query, key, value *torch.Tensor, in ...AttentionInput) (output,
	weights *torch.Tensor) {
	if m.hooks == nil {
		return m.forward(query, key, value, in)
	}
	out := m.hooks.run(m, []*torch.Tensor{query, key, value}, func(x []*torch.Tensor) []*torch.Tensor {
		output, weights := m.forward(x[0], x[1], x[2], in)
		return []*torch.Tensor{output, weights}
	})
	return out[0], out[1]
}

func (m *MultiheadAttention) forward(query, key, value *torch.Tensor, in []AttentionInput) (output,
	weights *torch.Tensor) {
	const operation = "nn.MultiheadAttention"
	o := one(operation, in)
	plain := !floating(o.AttnMask) && !floating(o.KeyPaddingMask)
	dtype := query.DType()
	o.KeyPaddingMask = F.CanonicalMask(operation, "KeyPaddingMask", o.KeyPaddingMask, dtype)
	o.AttnMask = F.CanonicalMask(operation, "AttnMask", o.AttnMask, dtype)
	if plain && query == key && key == value && m.fast(query) {
		mask, kind := m.mergeMasks(o.AttnMask, o.KeyPaddingMask, query)
		return aten.NativeMultiHeadAttention(query, key, value, m.embed, m.heads, m.InProjWeight.Tensor, m.InProjBias.Tensor,
			m.OutProj.Weight.Tensor, m.OutProj.Bias.Tensor, mask, !o.NoWeights, !o.WeightsPerHead, kind)
	}
	swap := m.options.BatchFirst && query.Dim() == 3
	if swap {
		query, key, value = swapBatch(query, key, value)
	}
	output, weights = F.MultiHeadAttentionForward(query, key, value, m.heads, F.MultiHeadAttentionOptions{
		InProjWeight: m.InProjWeight.Tensor, InProjBias: m.InProjBias.Tensor, QProjWeight: m.QProjWeight.Tensor,
		KProjWeight: m.KProjWeight.Tensor, VProjWeight: m.VProjWeight.Tensor, BiasK: m.BiasK.Tensor, BiasV: m.BiasV.Tensor,
		OutProjWeight: m.OutProj.Weight.Tensor, OutProjBias: m.OutProj.Bias.Tensor, AddZeroAttn: m.options.AddZeroAttn,
		Dropout: m.options.Dropout, Training: m.Training(), KeyPaddingMask: o.KeyPaddingMask, AttnMask: o.AttnMask,
		NoWeights: o.NoWeights, WeightsPerHead: o.WeightsPerHead, Causal: o.Causal,
	})
	if swap {
		output = aten.TransposeInt(output, 1, 0)
	}
	return output, weights
}

// swapBatch brings the length to the front. What was the same tensor stays the same.
func swapBatch(query, key, value *torch.Tensor) (q, k, v *torch.Tensor) {
	q = aten.TransposeInt(query, 1, 0)
	k = q
	if key != query {
		k = aten.TransposeInt(key, 1, 0)
	}
	switch {
	case value == key:
		v = k
	default:
		v = aten.TransposeInt(value, 1, 0)
	}
	return q, k, v
}

// fast reports whether libtorch's fused call serves self-attention: the conditions are PyTorch's.
func (m *MultiheadAttention) fast(query *torch.Tensor) bool {
	w, b := m.InProjWeight.Tensor, m.InProjBias.Tensor
	if w == nil || b == nil || m.Training() || m.heads%2 != 0 || !m.options.BatchFirst || m.BiasK.Tensor != nil ||
		m.options.AddZeroAttn {
		return false
	}
	if d := query.DType(); query.Dim() != 3 || d != w.DType() || d != b.DType() || autocasting() {
		return false
	}
	return !recorded(query, w, b, m.OutProj.Weight.Tensor, m.OutProj.Bias.Tensor)
}

// recorded reports whether autograd would record an operation on these tensors.
func recorded(tensors ...*torch.Tensor) bool {
	if !torch.GradEnabled() {
		return false
	}
	for _, t := range tensors {
		if t != nil && t.RequiresGrad() {
			return true
		}
	}
	return false
}

// autocasting reports whether the calling thread autocasts on CUDA, as PyTorch checks too.
func autocasting() bool {
	s, ok := cgotorch.Autocast(int32(torch.CUDAType) - 1)
	return ok && s.Enabled
}

func floating(mask *torch.Tensor) bool { return mask != nil && mask.DType().IsFloating() }

// mergeMasks makes one mask of both, and says which of them it is: 1 for padding, 2 for both or attention.
func (m *MultiheadAttention) mergeMasks(attn, padding, query *torch.Tensor) (mask *torch.Tensor, kind *int) {
	if attn == nil {
		if padding == nil {
			return nil, nil
		}
		return padding, new(1)
	}
	shape := query.Shape()
	n, l := shape[0], shape[1]
	if attn.Dim() == 3 {
		attn = aten.View(attn, []int{n, -1, l, l})
	} else {
		attn = aten.Expand(aten.View(attn, []int{1, 1, l, l}), []int{n, m.heads, -1, -1}, false)
	}
	if padding == nil {
		return attn, new(2)
	}
	padding = aten.Expand(aten.View(padding, []int{n, 1, 1, l}), []int{-1, m.heads, -1, -1}, false)
	return aten.AddTensor(attn, padding, torch.Int(1)), new(2)
}
