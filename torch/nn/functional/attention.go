package functional

import (
	"math"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// SDPAOptions are ScaledDotProductAttention's optional arguments.
type SDPAOptions struct {
	// [..., L, S]: a bool mask says where to attend, a floating one is added to the scores; nil: none
	Mask    *torch.Tensor
	Causal  bool     // position i attends to the positions up to i only; not with Mask
	Dropout float64  // of the weights; PyTorch applies it whenever it is not 0, so give 0 in evaluation mode
	Scale   *float64 // of the scores; default 1/√E
	GQA     bool     // key and value may have fewer heads than query (enable_gqa)
}

// ScaledDotProductAttention is softmax(query·keyᵀ·Scale + Mask)·value: query [..., L, E], key [..., S, E], value
// [..., S, Ev], result [..., L, Ev] (torch.nn.functional.scaled_dot_product_attention).
func ScaledDotProductAttention(query, key, value *torch.Tensor, opts ...SDPAOptions) *torch.Tensor {
	o := one("F.ScaledDotProductAttention", opts)
	if o.Mask != nil && o.Causal {
		torch.Fail("F.ScaledDotProductAttention", "Mask and Causal can't be given together")
	}
	probability("F.ScaledDotProductAttention", o.Dropout)
	if o.GQA {
		sharedHeads(query, key, value)
	}
	return aten.ScaledDotProductAttention(query, key, value, o.Mask, o.Dropout, o.Causal, o.Scale, o.GQA)
}

// sharedHeads wants heads of queries that those of keys and values divide: libtorch divides by a number of 0, which
// ends the process.
func sharedHeads(query, key, value *torch.Tensor) {
	for _, t := range []*torch.Tensor{key, value} {
		if query.Dim() < 3 || t.Dim() < 3 {
			return // libtorch says what is missing
		}
		if n := t.Size(-3); n == 0 || query.Size(-3)%n != 0 {
			torch.Fail("F.ScaledDotProductAttention", "with GQA the heads of query must be a multiple of those of key and "+
				"value, got %v, %v and %v",
				query.Shape(), key.Shape(), value.Shape())
		}
	}
}

// MultiHeadAttentionOptions are the weights and options of MultiHeadAttentionForward. Weights that are nil are absent.
type MultiHeadAttentionOptions struct {
	InProjWeight, InProjBias *torch.Tensor // [3E, E], [3E]
	// QProjWeight [E, E], KProjWeight [E, Kdim] and VProjWeight [E, Vdim] are used where InProjWeight is nil.
	QProjWeight, KProjWeight, VProjWeight *torch.Tensor
	BiasK, BiasV                          *torch.Tensor // [1, 1, E]: added as one more position
	OutProjWeight, OutProjBias            *torch.Tensor // [E, E], [E]
	AddZeroAttn                           bool          // add a position of zeros
	Dropout                               float64       // of the weights, when training
	Training                              bool
	KeyPaddingMask                        *torch.Tensor // [N, S] or [S]: true, or -inf, where a key is padding
	AttnMask                              *torch.Tensor // [L, S] or [N·heads, L, S]: true, or -inf, where not to attend
	NoWeights                             bool          // don't return the attention weights: faster
	WeightsPerHead                        bool          // return them for each head, not their mean
	Causal                                bool          // a hint that AttnMask is the causal mask, which must be given
}

// CanonicalMask turns a bool mask, true where not to attend, into one to be added to scores; a floating mask stays as
// it is, and nil is nil. It is for layers.
func CanonicalMask(operation, name string, mask *torch.Tensor, dtype torch.DType) *torch.Tensor {
	if mask == nil {
		return nil
	}
	d := mask.DType()
	if d.IsFloating() {
		return mask
	}
	if d != torch.Bool {
		torch.Fail(operation, "%s must be of type bool or floating, got %s", name, d)
	}
	return aten.MaskedFillScalar_(aten.ZerosLike(mask, dtype, 0, torch.Device{}, nil, 0), mask, torch.Float(math.Inf(-1)))
}

// attention is one call of MultiHeadAttentionForward.
type attention struct {
	MultiHeadAttentionOptions
	heads, headDim, length, batch, source, dim int
	batched                                    bool
}

const mha = "F.MultiHeadAttentionForward"

// MultiHeadAttentionForward is attention with several heads: query [L, N, E] or [L, E], key [S, N, Kdim], value
// [S, N, Vdim]. It returns the output, of query's shape, and the weights [N, L, S], nil with NoWeights
// (torch.nn.functional.multi_head_attention_forward). Three times the same tensor is self-attention, and faster.
func MultiHeadAttentionForward(query, key, value *torch.Tensor, numHeads int, o MultiHeadAttentionOptions) (output,
	weights *torch.Tensor) {
	a := &attention{MultiHeadAttentionOptions: o, heads: numHeads}
	query, key, value = a.check(query, key, value)
	a.canonicalMasks(query)
	q, k, v := a.project(query, key, value)
	a.shapeMask()
	k, v = a.extend(k, v)
	q = aten.TransposeInt(aten.View(q, []int{a.length, a.batch * a.heads, a.headDim}), 0, 1)
	k = aten.TransposeInt(aten.View(k, []int{k.Size(0), a.batch * a.heads, a.headDim}), 0, 1)
	v = aten.TransposeInt(aten.View(v, []int{v.Size(0), a.batch * a.heads, a.headDim}), 0, 1)
	k, v = a.addZeros(k, v)
	a.mergePadding()
	if !a.Training {
		a.Dropout = 0
	}
	if a.NoWeights {
		return a.fused(q, k, v), nil
	}
	return a.explicit(q, k, v)
}

// check validates the shapes and adds a batch dimension where there is none.
func (a *attention) check(query, key, value *torch.Tensor) (q, k, v *torch.Tensor) {
	dims := query.Dim()
	a.batched = dims == 3
	if dims != 2 && dims != 3 || key.Dim() != dims || value.Dim() != dims {
		torch.Fail(mha, "query, key and value must all have 3 dimensions, or 2 without a batch, got %v, %v, %v",
			query.Shape(), key.Shape(), value.Shape())
	}
	if a.KeyPaddingMask != nil && a.KeyPaddingMask.Dim() != dims-1 {
		torch.Fail(mha, "KeyPaddingMask must have %d dimensions, got %v", dims-1, a.KeyPaddingMask.Shape())
	}
	if !a.batched {
		query, key, value = aten.Unsqueeze(query, 1), aten.Unsqueeze(key, 1), aten.Unsqueeze(value, 1)
		if a.KeyPaddingMask != nil {
			a.KeyPaddingMask = aten.Unsqueeze(a.KeyPaddingMask, 0)
		}
	}
	qs, ks, vs := query.Shape(), key.Shape(), value.Shape()
	a.length, a.batch, a.dim, a.source = qs[0], qs[1], qs[2], ks[0]
	if a.heads < 1 || a.dim%a.heads != 0 {
		torch.Fail(mha, "%d features can't be divided among %d heads", a.dim, a.heads)
	}
	a.headDim = a.dim / a.heads
	if ks[0] != vs[0] || ks[1] != vs[1] || a.InProjWeight != nil && ks[2] != vs[2] {
		torch.Fail(mha, "key %v and value %v don't match", ks, vs)
	}
	return query, key, value
}

func (a *attention) canonicalMasks(query *torch.Tensor) {
	dtype := query.DType()
	a.KeyPaddingMask = CanonicalMask(mha, "KeyPaddingMask", a.KeyPaddingMask, dtype)
	switch {
	case a.Causal && a.AttnMask == nil:
		torch.Fail(mha, "Causal is a hint, which needs AttnMask too")
	case a.Causal && a.KeyPaddingMask == nil && a.NoWeights:
		a.AttnMask = nil
	default:
		a.AttnMask = CanonicalMask(mha, "AttnMask", a.AttnMask, dtype)
		if a.KeyPaddingMask != nil {
			a.Causal = false
		}
	}
}

// project computes queries, keys and values.
func (a *attention) project(query, key, value *torch.Tensor) (q, k, v *torch.Tensor) {
	if a.InProjWeight == nil {
		bq, bk, bv := thirds(a.InProjBias)
		return Linear(query, a.QProjWeight, bq), Linear(key, a.KProjWeight, bk), Linear(value, a.VProjWeight, bv)
	}
	w, b, e := a.InProjWeight, a.InProjBias, query.Size(-1)
	switch {
	case key == value && query == key:
		p := unpack(Linear(query, w, b), 3, e)
		return aten.SelectInt(p, 0, 0), aten.SelectInt(p, 0, 1), aten.SelectInt(p, 0, 2)
	case key == value:
		ws := aten.SplitWithSizes(w, []int{e, 2 * e}, 0)
		bs := []*torch.Tensor{nil, nil}
		if b != nil {
			bs = aten.SplitWithSizes(b, []int{e, 2 * e}, 0)
		}
		q = Linear(query, ws[0], bs[0])
		p := unpack(Linear(key, ws[1], bs[1]), 2, e)
		return q, aten.SelectInt(p, 0, 0), aten.SelectInt(p, 0, 1)
	}
	wq, wk, wv := thirds(w)
	bq, bk, bv := thirds(b)
	return Linear(query, wq, bq), Linear(key, wk, bk), Linear(value, wv, bv)
}

// unpack brings n projections, which lie one after the other in the last dimension, into a first one.
func unpack(p *torch.Tensor, n, e int) *torch.Tensor {
	p = aten.Unsqueeze(aten.UnflattenInt(p, -1, []int{n, e}), 0)
	return aten.Contiguous(aten.SqueezeDim(aten.TransposeInt(p, 0, -2), -2), torch.ContiguousFormat)
}

func thirds(t *torch.Tensor) (a, b, c *torch.Tensor) {
	if t == nil {
		return nil, nil, nil
	}
	p := aten.Chunk(t, 3, 0)
	return p[0], p[1], p[2]
}

// shapeMask checks the mask and gives it three dimensions.
func (a *attention) shapeMask() {
	if a.AttnMask == nil {
		return
	}
	var want []int
	switch a.AttnMask.Dim() {
	case 2:
		want = []int{a.length, a.source}
	case 3:
		want = []int{a.batch * a.heads, a.length, a.source}
	}
	have := a.AttnMask.Shape()
	if len(want) != len(have) || want == nil || !equalInts(want, have) {
		torch.Fail(mha, "AttnMask must be [%d, %d] or [%d, %d, %d], got %v", a.length, a.source, a.batch*a.heads, a.length,
			a.source, have)
	}
	if len(have) == 2 {
		a.AttnMask = aten.Unsqueeze(a.AttnMask, 0)
	}
}

func equalInts(a, b []int) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// extend adds BiasK and BiasV as one more position.
func (a *attention) extend(k, v *torch.Tensor) (*torch.Tensor, *torch.Tensor) {
	if (a.BiasK == nil) != (a.BiasV == nil) {
		torch.Fail(mha, "BiasK and BiasV must be given together")
	}
	if a.BiasK == nil {
		return k, v
	}
	k = aten.Cat([]*torch.Tensor{k, aten.Repeat(a.BiasK, []int{1, a.batch, 1})}, 0)
	v = aten.Cat([]*torch.Tensor{v, aten.Repeat(a.BiasV, []int{1, a.batch, 1})}, 0)
	a.padMasks()
	return k, v
}

func (a *attention) addZeros(k, v *torch.Tensor) (*torch.Tensor, *torch.Tensor) {
	if a.AddZeroAttn {
		shape := []int{a.batch * a.heads, 1, a.headDim}
		zeros := func(t *torch.Tensor) *torch.Tensor {
			return torch.Options{DType: t.DType(), Device: t.Device()}.Zeros(shape...)
		}
		k = aten.Cat([]*torch.Tensor{k, zeros(k)}, 1)
		v = aten.Cat([]*torch.Tensor{v, zeros(v)}, 1)
		a.padMasks()
	}
	a.source = k.Size(1)
	return k, v
}

func (a *attention) padMasks() {
	if a.AttnMask != nil {
		a.AttnMask = Pad(a.AttnMask, []int{0, 1})
	}
	if a.KeyPaddingMask != nil {
		a.KeyPaddingMask = Pad(a.KeyPaddingMask, []int{0, 1})
	}
}

// mergePadding adds the padding mask to the other one.
func (a *attention) mergePadding() {
	if a.KeyPaddingMask == nil {
		return
	}
	if have := a.KeyPaddingMask.Shape(); have[0] != a.batch || have[1] != a.source {
		torch.Fail(mha, "KeyPaddingMask must be [%d, %d], got %v", a.batch, a.source, have)
	}
	m := aten.Expand(aten.View(a.KeyPaddingMask, []int{a.batch, 1, 1, a.source}), []int{-1, a.heads, -1, -1}, false)
	m = aten.Reshape(m, []int{a.batch * a.heads, 1, a.source})
	if a.AttnMask == nil {
		a.AttnMask = m
	} else {
		a.AttnMask = add(a.AttnMask, m)
	}
}

// explicit computes the weights too.
func (a *attention) explicit(q, k, v *torch.Tensor) (output, weights *torch.Tensor) {
	scaled := aten.MulScalar(q, torch.Float(math.Sqrt(1/float64(q.Size(2)))))
	if a.AttnMask != nil {
		weights = aten.Baddbmm(a.AttnMask, scaled, aten.TransposeInt(k, -2, -1), torch.Int(1), torch.Int(1))
	} else {
		weights = aten.Bmm(scaled, aten.TransposeInt(k, -2, -1))
	}
	weights = Softmax(weights, -1)
	if a.Dropout > 0 {
		weights = Dropout(weights, a.Dropout, true)
	}
	output = aten.Contiguous(aten.TransposeInt(aten.Bmm(weights, v), 0, 1), torch.ContiguousFormat)
	output = a.projectOut(output)
	weights = aten.View(weights, []int{a.batch, a.heads, a.length, a.source})
	if !a.WeightsPerHead {
		weights = aten.MeanDim(weights, []int{1}, false, 0)
	}
	if !a.batched {
		weights = aten.SqueezeDim(weights, 0)
	}
	return output, weights
}

// fused lets libtorch compute attention in one go.
func (a *attention) fused(q, k, v *torch.Tensor) *torch.Tensor {
	if m := a.AttnMask; m != nil {
		if m.Size(0) == 1 && m.Dim() == 3 {
			a.AttnMask = aten.Unsqueeze(m, 0)
		} else {
			a.AttnMask = aten.View(m, []int{a.batch, a.heads, -1, a.source})
		}
	}
	q = aten.View(q, []int{a.batch, a.heads, a.length, a.headDim})
	k = aten.View(k, []int{a.batch, a.heads, a.source, a.headDim})
	v = aten.View(v, []int{a.batch, a.heads, a.source, a.headDim})
	out := aten.ScaledDotProductAttention(q, k, v, a.AttnMask, a.Dropout, a.Causal, nil, false)
	return a.projectOut(aten.Contiguous(aten.Permute(out, []int{2, 0, 1, 3}), torch.ContiguousFormat))
}

func (a *attention) projectOut(out *torch.Tensor) *torch.Tensor {
	out = Linear(aten.View(out, []int{a.length * a.batch, a.dim}), a.OutProjWeight, a.OutProjBias)
	out = aten.View(out, []int{a.length, a.batch, out.Size(1)})
	if !a.batched {
		out = aten.SqueezeDim(out, 1)
	}
	return out
}
