package nn

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// TransformerDecoderLayer is self-attention, attention to the encoder's output and a feed-forward network, each with a
// residual connection and a normalisation (torch.nn.TransformerDecoderLayer). Keys: self_attn.…, multihead_attn.…,
// linear1.…, linear2.…, norm1.…, norm2.…, norm3.….
type TransformerDecoderLayer struct {
	Base
	SelfAttn      *MultiheadAttention
	MultiheadAttn *MultiheadAttention
	Linear1       *Linear
	Dropout       *Dropout // between the linear layers
	Linear2       *Linear
	Norm1         *LayerNorm
	Norm2         *LayerNorm
	Norm3         *LayerNorm
	Dropout1      *Dropout // after the self-attention
	Dropout2      *Dropout // after the attention to the memory
	Dropout3      *Dropout // after the second linear layer
	options       TransformerOptions
}

// NewTransformerDecoderLayer makes a layer over dim features, divided among heads (torch.nn.TransformerDecoderLayer).
// It panics if that leaves a remainder.
func NewTransformerDecoderLayer(dim, heads int, opts ...TransformerOptions) *TransformerDecoderLayer {
	o := one("nn.NewTransformerDecoderLayer", opts)
	l := &TransformerDecoderLayer{options: o}
	l.SelfAttn = NewMultiheadAttention(dim, heads, o.attention())
	l.MultiheadAttn = NewMultiheadAttention(dim, heads, o.attention())
	l.Linear1 = NewLinear(dim, o.feedforward(), o.linear())
	l.Dropout = o.drop()
	l.Linear2 = NewLinear(o.feedforward(), dim, o.linear())
	l.Norm1, l.Norm2, l.Norm3 = NewLayerNorm(dim, o.norm()), NewLayerNorm(dim, o.norm()), NewLayerNorm(dim, o.norm())
	l.Dropout1, l.Dropout2, l.Dropout3 = o.drop(), o.drop(), o.drop()
	return l
}

// DecoderInput is what the decoder's Forward takes besides the sequences (torch.nn.TransformerDecoder.forward's
// keywords): masks as in EncoderInput, for the target and for the memory, which is the encoder's output.
type DecoderInput struct {
	TgtMask, MemoryMask                     *torch.Tensor // [T, T] and [T, S], or with N·heads in front
	TgtKeyPaddingMask, MemoryKeyPaddingMask *torch.Tensor // [N, T] and [N, S]
	// a hint that TgtMask is the causal mask; nil: a decoder looks at it
	TgtCausal    *bool
	MemoryCausal bool // a hint that MemoryMask is the causal mask
}

// Forward takes tgt [T, N, E] and memory [S, N, E], with BatchFirst N first, or none, and returns tgt's shape.
func (l *TransformerDecoderLayer) Forward(tgt, memory *torch.Tensor, in ...DecoderInput) *torch.Tensor {
	return l.withHooks2(l, tgt, memory, func(tgt, memory *torch.Tensor) *torch.Tensor {
		i := one("nn.TransformerDecoderLayer", in)
		self := AttentionInput{AttnMask: i.TgtMask, KeyPaddingMask: i.TgtKeyPaddingMask, NoWeights: true,
			Causal: or(i.TgtCausal, false)}
		cross := AttentionInput{AttnMask: i.MemoryMask, KeyPaddingMask: i.MemoryKeyPaddingMask, NoWeights: true,
			Causal: i.MemoryCausal}
		if l.options.NormFirst {
			x := residual(tgt, l.attend(l.Norm1.Forward(tgt), self))
			x = residual(x, l.cross(l.Norm2.Forward(x), memory, cross))
			return residual(x, l.feed(l.Norm3.Forward(x)))
		}
		x := l.Norm1.Forward(residual(tgt, l.attend(tgt, self)))
		x = l.Norm2.Forward(residual(x, l.cross(x, memory, cross)))
		return l.Norm3.Forward(residual(x, l.feed(x)))
	})
}

func residual(x, y *torch.Tensor) *torch.Tensor { return aten.AddTensor(x, y, torch.Int(1)) }

func (l *TransformerDecoderLayer) attend(x *torch.Tensor, in AttentionInput) *torch.Tensor {
	out, _ := l.SelfAttn.Forward(x, x, x, in)
	return l.Dropout1.Forward(out)
}

func (l *TransformerDecoderLayer) cross(x, memory *torch.Tensor, in AttentionInput) *torch.Tensor {
	out, _ := l.MultiheadAttn.Forward(x, memory, memory, in)
	return l.Dropout2.Forward(out)
}

func (l *TransformerDecoderLayer) feed(x *torch.Tensor) *torch.Tensor {
	x = l.Linear2.Forward(l.Dropout.Forward(l.options.activate(l.Linear1.Forward(x))))
	return l.Dropout3.Forward(x)
}

// TransformerDecoder is a stack of decoder layers (torch.nn.TransformerDecoder). Keys: layers.0.…, norm.….
type TransformerDecoder struct {
	Base
	Layers []*TransformerDecoderLayer
	Norm   Layer `torch:"norm,optional"`
}

// NewTransformerDecoder stacks n copies of a layer, which begin with equal parameters, as PyTorch's do
// (torch.nn.TransformerDecoder). norm, at most one, normalises the result.
func NewTransformerDecoder(layer *TransformerDecoderLayer, n int, norm ...Layer) *TransformerDecoder {
	notNegative("nn.NewTransformerDecoder", "the number of layers", n)
	d := &TransformerDecoder{Norm: one("nn.NewTransformerDecoder", norm)}
	for range n {
		d.Layers = append(d.Layers, Clone(layer))
	}
	return d
}

// Forward takes tgt and memory as the layers do and returns tgt's shape.
func (d *TransformerDecoder) Forward(tgt, memory *torch.Tensor, in ...DecoderInput) *torch.Tensor {
	return d.withHooks2(d, tgt, memory, func(tgt, memory *torch.Tensor) *torch.Tensor {
		i := one("nn.TransformerDecoder", in)
		if len(d.Layers) == 0 {
			torch.Fail("nn.TransformerDecoder", "there are no layers")
		}
		causal := isCausal(i.TgtMask, i.TgtCausal, sequenceLength(tgt, d.Layers[0].SelfAttn.options.BatchFirst))
		i.TgtCausal = &causal
		x := tgt
		for _, l := range d.Layers {
			x = l.Forward(x, memory, i)
		}
		if !isNil(d.Norm) {
			x = d.Norm.Forward(x)
		}
		return x
	})
}
