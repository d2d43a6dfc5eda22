package nn

import (
	"math"
	"slices"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	F "github.com/golite/golite/torch/nn/functional"
	nninit "github.com/golite/golite/torch/nn/init"
)

// TransformerOptions are the optional arguments of NewTransformer and of the layers' constructors.
type TransformerOptions struct {
	EncoderLayers  *int                              // NewTransformer only; default 6
	DecoderLayers  *int                              // NewTransformer only; default 6
	DimFeedforward int                               // features between the two linear layers; 0 means 2048
	Dropout        *float64                          // default 0.1
	GELU           bool                              // the activation is GELU, not ReLU
	Activation     func(*torch.Tensor) *torch.Tensor // or one of the user's own
	LayerNormEps   *float64                          // default 1e-5
	BatchFirst     bool                              // inputs and outputs are [N, L, E], not [L, N, E]
	NormFirst      bool                              // normalise before attention and feed-forward, not after
	NoBias         bool                              // no biases, in the linear layers, attention and normalisation
	DType          torch.DType                       // of the parameters; default: the default floating type
	Device         torch.Device                      // of the parameters; default: the CPU
}

func (o TransformerOptions) attention() MultiheadAttentionOptions {
	return MultiheadAttentionOptions{Dropout: or(o.Dropout, 0.1), NoBias: o.NoBias, BatchFirst: o.BatchFirst,
		DType: o.DType, Device: o.Device}
}

func (o TransformerOptions) linear() LinearOptions {
	return LinearOptions{NoBias: o.NoBias, DType: o.DType, Device: o.Device}
}

func (o TransformerOptions) norm() LayerNormOptions {
	return LayerNormOptions{Eps: o.LayerNormEps, NoBias: o.NoBias, DType: o.DType, Device: o.Device}
}

func (o TransformerOptions) drop() *Dropout { return NewDropout(or(o.Dropout, 0.1)) }

func (o TransformerOptions) feedforward() int {
	if o.DimFeedforward == 0 {
		return 2048
	}
	return o.DimFeedforward
}

// activate applies the activation.
func (o TransformerOptions) activate(x *torch.Tensor) *torch.Tensor {
	switch {
	case o.Activation != nil:
		return o.Activation(x)
	case o.GELU:
		return F.GELU(x)
	default:
		return F.ReLU(x)
	}
}

// TransformerEncoderLayer is self-attention and a feed-forward network, each with a residual connection and a
// normalisation (torch.nn.TransformerEncoderLayer). Keys: self_attn.…, linear1.…, linear2.…, norm1.…, norm2.….
type TransformerEncoderLayer struct {
	Base
	SelfAttn *MultiheadAttention
	Linear1  *Linear
	Dropout  *Dropout // between the linear layers
	Linear2  *Linear
	Norm1    *LayerNorm
	Norm2    *LayerNorm
	Dropout1 *Dropout // after the self-attention
	Dropout2 *Dropout // after the second linear layer
	options  TransformerOptions
}

// NewTransformerEncoderLayer makes a layer over dim features, divided among heads (torch.nn.TransformerEncoderLayer).
// It panics if that leaves a remainder.
func NewTransformerEncoderLayer(dim, heads int, opts ...TransformerOptions) *TransformerEncoderLayer {
	o := one("nn.NewTransformerEncoderLayer", opts)
	l := &TransformerEncoderLayer{options: o}
	l.SelfAttn = NewMultiheadAttention(dim, heads, o.attention())
	l.Linear1 = NewLinear(dim, o.feedforward(), o.linear())
	l.Dropout = o.drop()
	l.Linear2 = NewLinear(o.feedforward(), dim, o.linear())
	l.Norm1, l.Norm2 = NewLayerNorm(dim, o.norm()), NewLayerNorm(dim, o.norm())
	l.Dropout1, l.Dropout2 = o.drop(), o.drop()
	return l
}

// EncoderInput is what the encoder's Forward takes besides the sequence (torch.nn.TransformerEncoder.forward's
// keywords).
type EncoderInput struct {
	Mask           *torch.Tensor // [L, L] or [N·heads, L, L]: true, or -inf, where not to attend
	KeyPaddingMask *torch.Tensor // [N, L] or [L]: true, or -inf, where the sequence is padding
	// Causal is a hint that Mask is the causal mask, which must be given. nil: a layer takes it as false, an encoder
	// checks the mask.
	Causal *bool
}

// Forward takes src [L, N, E], [N, L, E] with BatchFirst, or [L, E], and returns the same shape. In evaluation mode
// without gradients it is one call of libtorch, where PyTorch's is.
func (l *TransformerEncoderLayer) Forward(src *torch.Tensor, in ...EncoderInput) *torch.Tensor {
	return l.withHooks(l, src, func(src *torch.Tensor) *torch.Tensor {
		const operation = "nn.TransformerEncoderLayer"
		i := one(operation, in)
		i.KeyPaddingMask = F.CanonicalMask(operation, "KeyPaddingMask", i.KeyPaddingMask, src.DType())
		i.Mask = F.CanonicalMask(operation, "Mask", i.Mask, src.DType())
		if l.fast(src) {
			return l.fused(src, i)
		}
		if l.options.NormFirst {
			x := aten.AddTensor(src, l.attend(l.Norm1.Forward(src), i), torch.Int(1))
			return aten.AddTensor(x, l.feed(l.Norm2.Forward(x)), torch.Int(1))
		}
		x := l.Norm1.Forward(aten.AddTensor(src, l.attend(src, i), torch.Int(1)))
		return l.Norm2.Forward(aten.AddTensor(x, l.feed(x), torch.Int(1)))
	})
}

func (l *TransformerEncoderLayer) attend(x *torch.Tensor, i EncoderInput) *torch.Tensor {
	out, _ := l.SelfAttn.Forward(x, x, x, AttentionInput{
		AttnMask: i.Mask, KeyPaddingMask: i.KeyPaddingMask, NoWeights: true, Causal: or(i.Causal, false),
	})
	return l.Dropout1.Forward(out)
}

func (l *TransformerEncoderLayer) feed(x *torch.Tensor) *torch.Tensor {
	x = l.Linear2.Forward(l.Dropout.Forward(l.options.activate(l.Linear1.Forward(x))))
	return l.Dropout2.Forward(x)
}

// fast reports whether libtorch's fused call does: the conditions are PyTorch's.
func (l *TransformerEncoderLayer) fast(src *torch.Tensor) bool {
	a := l.SelfAttn
	if l.Training() || src.Dim() != 3 || !a.options.BatchFirst || a.InProjBias.Tensor == nil ||
		a.InProjWeight.Tensor == nil ||
		l.options.Activation != nil || l.Norm1.eps != l.Norm2.eps || a.heads%2 != 0 || autocasting() || l.anyHooks() {
		return false
	}
	return !recorded(l.tensors(src)...)
}

// anyHooks reports whether the layer or one beneath it has hooks, which the one call would pass by.
func (l *TransformerEncoderLayer) anyHooks() bool {
	for _, h := range []hooks{l.hooks, l.SelfAttn.hooks, l.SelfAttn.OutProj.hooks, l.Linear1.hooks, l.Linear2.hooks,
		l.Norm1.hooks, l.Norm2.hooks,
		l.Dropout.hooks, l.Dropout1.hooks, l.Dropout2.hooks} {
		if h != nil {
			return true
		}
	}
	return false
}

func (l *TransformerEncoderLayer) tensors(src *torch.Tensor) []*torch.Tensor {
	a := l.SelfAttn
	return []*torch.Tensor{src, a.InProjWeight.Tensor, a.InProjBias.Tensor, a.OutProj.Weight.Tensor, a.OutProj.Bias.Tensor,
		l.Norm1.Weight.Tensor, l.Norm1.Bias.Tensor, l.Norm2.Weight.Tensor, l.Norm2.Bias.Tensor,
		l.Linear1.Weight.Tensor, l.Linear1.Bias.Tensor, l.Linear2.Weight.Tensor, l.Linear2.Bias.Tensor}
}

func (l *TransformerEncoderLayer) fused(src *torch.Tensor, i EncoderInput) *torch.Tensor {
	a := l.SelfAttn
	mask, kind := a.mergeMasks(i.Mask, i.KeyPaddingMask, src)
	return aten.TransformerEncoderLayerFwd(src, a.embed, a.heads, a.InProjWeight.Tensor, a.InProjBias.Tensor,
		a.OutProj.Weight.Tensor, a.OutProj.Bias.Tensor, l.options.GELU, l.options.NormFirst, l.Norm1.eps,
		l.Norm1.Weight.Tensor, l.Norm1.Bias.Tensor, l.Norm2.Weight.Tensor, l.Norm2.Bias.Tensor,
		l.Linear1.Weight.Tensor, l.Linear1.Bias.Tensor, l.Linear2.Weight.Tensor, l.Linear2.Bias.Tensor, mask, kind)
}

// TransformerEncoder is a stack of encoder layers (torch.nn.TransformerEncoder). Keys: layers.0.…, norm.….
type TransformerEncoder struct {
	Base
	Layers []*TransformerEncoderLayer
	Norm   Layer `torch:"norm,optional"`
}

// NewTransformerEncoder stacks n copies of a layer, which begin with equal parameters, as PyTorch's do
// (torch.nn.TransformerEncoder). norm, at most one, normalises the result.
func NewTransformerEncoder(layer *TransformerEncoderLayer, n int, norm ...Layer) *TransformerEncoder {
	notNegative("nn.NewTransformerEncoder", "the number of layers", n)
	e := &TransformerEncoder{Norm: one("nn.NewTransformerEncoder", norm)}
	for range n {
		e.Layers = append(e.Layers, Clone(layer))
	}
	return e
}

// Forward takes src as the layers do and returns the same shape.
//
// With a KeyPaddingMask alone, in evaluation mode without gradients, the padding is left out of the computation, where
// PyTorch does so; the result is 0 there, before Norm.
func (e *TransformerEncoder) Forward(src *torch.Tensor, in ...EncoderInput) *torch.Tensor {
	return e.withHooks(e, src, func(src *torch.Tensor) *torch.Tensor {
		const operation = "nn.TransformerEncoder"
		i := one(operation, in)
		if len(e.Layers) == 0 {
			torch.Fail(operation, "there are no layers")
		}
		i.KeyPaddingMask = F.CanonicalMask(operation, "KeyPaddingMask", i.KeyPaddingMask, src.DType())
		i.Mask = F.CanonicalMask(operation, "Mask", i.Mask, src.DType())
		x, first := src, e.Layers[0]
		nested := false
		if i.KeyPaddingMask != nil && i.Mask == nil && !first.options.NormFirst && first.fast(src) &&
			!slices.ContainsFunc(e.Layers, (*TransformerEncoderLayer).anyHooks) {
			keep := aten.LogicalNot(i.KeyPaddingMask)
			if nested = aten.NestedTensorFromMaskLeftAligned(src, keep); nested {
				x = aten.NestedTensorFromMask(src, keep, false)
				i.KeyPaddingMask = nil
			}
		}
		causal := isCausal(i.Mask, i.Causal, sequenceLength(src, first.SelfAttn.options.BatchFirst))
		for _, l := range e.Layers {
			if nested {
				x = l.fused(x, EncoderInput{})
				continue
			}
			x = l.Forward(x, EncoderInput{Mask: i.Mask, KeyPaddingMask: i.KeyPaddingMask, Causal: &causal})
		}
		if nested {
			x = aten.ToPaddedTensor(x, 0, src.Shape())
		}
		if !isNil(e.Norm) {
			x = e.Norm.Forward(x)
		}
		return x
	})
}

func sequenceLength(x *torch.Tensor, batchFirst bool) int {
	if batchFirst && x.Dim() == 3 {
		return x.Size(1)
	}
	return x.Size(0)
}

// isCausal reports whether a mask is the causal one, where the caller leaves it open.
func isCausal(mask *torch.Tensor, hint *bool, length int) bool {
	if hint != nil || mask == nil {
		return or(hint, false)
	}
	causal := squareMask(length, torch.Options{DType: mask.DType(), Device: mask.Device()})
	shape := mask.Shape()
	if len(shape) != 2 || shape[0] != length || shape[1] != length {
		return false
	}
	return aten.All(aten.EqTensor(mask, causal)).Number().Bool()
}

// GenerateSquareSubsequentMask makes the causal mask [n, n]: -inf above the diagonal, 0 elsewhere
// (torch.nn.Transformer.generate_square_subsequent_mask).
func GenerateSquareSubsequentMask(n int, opts ...torch.Options) *torch.Tensor {
	return squareMask(n, one("nn.GenerateSquareSubsequentMask", opts))
}

func squareMask(n int, o torch.Options) *torch.Tensor {
	return aten.Triu(o.Full(math.Inf(-1), n, n), 1)
}

// Transformer is an encoder and a decoder (torch.nn.Transformer). Keys: encoder.layers.0.…, encoder.norm.…,
// decoder.layers.0.…, decoder.norm.….
type Transformer struct {
	Base
	Encoder    *TransformerEncoder
	Decoder    *TransformerDecoder
	dim        int
	batchFirst bool
}

// NewTransformer makes a transformer over dim features, divided among heads; PyTorch's defaults are 512 and 8
// (torch.nn.Transformer). It panics if the division leaves a remainder.
func NewTransformer(dim, heads int, opts ...TransformerOptions) *Transformer {
	o := one("nn.NewTransformer", opts)
	t := &Transformer{dim: dim, batchFirst: o.BatchFirst}
	encoder := NewTransformerEncoderLayer(dim, heads, o)
	t.Encoder = NewTransformerEncoder(encoder, or(o.EncoderLayers, 6), NewLayerNorm(dim, o.norm()))
	decoder := NewTransformerDecoderLayer(dim, heads, o)
	t.Decoder = NewTransformerDecoder(decoder, or(o.DecoderLayers, 6), NewLayerNorm(dim, o.norm()))
	for _, p := range Parameters(t) {
		if p.Dim() > 1 {
			nninit.XavierUniform_(p.Tensor)
		}
	}
	return t
}

// TransformerInput is what Transformer's Forward takes besides the sequences (torch.nn.Transformer.forward's keywords).
type TransformerInput struct {
	// [S, S], [T, T] and [T, S], or with N·heads in front: true, or -inf, where not to attend
	SrcMask, TgtMask, MemoryMask *torch.Tensor
	// [N, S], [N, T] and [N, S]: true, or -inf, at padding
	SrcKeyPaddingMask, TgtKeyPaddingMask, MemoryKeyPaddingMask *torch.Tensor
	SrcCausal, TgtCausal                                       *bool // hints; nil: look at the masks
	MemoryCausal                                               bool  // a hint
}

// Forward encodes src [S, N, E] and decodes tgt [T, N, E] with it; with BatchFirst N comes first, or there is none. It
// returns tgt's shape.
func (t *Transformer) Forward(src, tgt *torch.Tensor, in ...TransformerInput) *torch.Tensor {
	return t.withHooks2(t, src, tgt, func(src, tgt *torch.Tensor) *torch.Tensor {
		const operation = "nn.Transformer"
		i := one(operation, in)
		batch := 1
		if t.batchFirst {
			batch = 0
		}
		if src.Dim() == 3 && tgt.Dim() == 3 && src.Size(batch) != tgt.Size(batch) {
			torch.Fail(operation, "src %v and tgt %v must have the same batch size", src.Shape(), tgt.Shape())
		}
		if src.Size(-1) != t.dim || tgt.Size(-1) != t.dim {
			torch.Fail(operation, "src %v and tgt %v must have %d features", src.Shape(), tgt.Shape(), t.dim)
		}
		memory := t.Encoder.Forward(src, EncoderInput{Mask: i.SrcMask, KeyPaddingMask: i.SrcKeyPaddingMask,
			Causal: i.SrcCausal})
		return t.Decoder.Forward(tgt, memory, DecoderInput{
			TgtMask: i.TgtMask, MemoryMask: i.MemoryMask, TgtKeyPaddingMask: i.TgtKeyPaddingMask,
			MemoryKeyPaddingMask: i.MemoryKeyPaddingMask, TgtCausal: i.TgtCausal, MemoryCausal: i.MemoryCausal,
		})
	})
}
