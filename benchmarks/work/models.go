package main

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
)

// net is any model that is a sequence of layers.
type net struct {
	nn.Base
	Body *nn.Sequential
}

func (n *net) Forward(x *torch.Tensor) *torch.Tensor { return n.Body.Forward(x) }

func newMLP() *net {
	return &net{Body: nn.NewSequential(nn.NewLinear(784, 128), nn.NewReLU(), nn.NewLinear(128, 10))}
}

// newDeep is a tower of equal layers.
func newDeep(layers, width int) *net {
	body := nn.NewSequential()
	for range layers {
		body.Append(nn.NewLinear(width, width), nn.NewReLU())
	}
	return &net{Body: body}
}

// newCNN is the network of PyTorch's MNIST example.
func newCNN() *net {
	return &net{Body: nn.NewSequential(
		nn.NewConv2d(1, 32, 3), nn.NewReLU(), nn.NewConv2d(32, 64, 3), nn.NewReLU(),
		nn.NewMaxPool2d(2), nn.NewDropout(0.25), nn.NewFlatten(),
		nn.NewLinear(9216, 128), nn.NewReLU(), nn.NewDropout(0.5), nn.NewLinear(128, 10), nn.NewLogSoftmax(1),
	)}
}

// The transformer's sizes.
const (
	dim, heads, depth = 128, 4, 4
	vocab, seq        = 256, 64
)

type block struct {
	nn.Base
	Norm1, Norm2 *nn.LayerNorm
	QKV, Proj    *nn.Linear
	Up, Down     *nn.Linear
	heads        int
}

func newBlock(dim, heads int) *block {
	return &block{
		heads: heads,
		Norm1: nn.NewLayerNorm(dim), Norm2: nn.NewLayerNorm(dim),
		QKV: nn.NewLinear(dim, 3*dim, nn.LinearOptions{NoBias: true}), Proj: nn.NewLinear(dim, dim),
		Up: nn.NewLinear(dim, 4*dim), Down: nn.NewLinear(4*dim, dim),
	}
}

func (b *block) Forward(x *torch.Tensor) *torch.Tensor {
	n, t, dim := x.Size(0), x.Size(1), x.Size(2)
	qkv := b.QKV.Forward(b.Norm1.Forward(x)).Split(dim, -1)
	for i := range qkv {
		qkv[i] = qkv[i].View(n, t, b.heads, dim/b.heads).Transpose(1, 2)
	}
	y := F.ScaledDotProductAttention(qkv[0], qkv[1], qkv[2], F.SDPAOptions{Causal: true})
	x = x.Add(b.Proj.Forward(y.Transpose(1, 2).Reshape(n, t, dim)))
	return x.Add(b.Down.Forward(F.GELU(b.Up.Forward(b.Norm2.Forward(x)))))
}

type gpt struct {
	nn.Base
	Tok    *nn.Embedding
	Pos    nn.Parameter
	Blocks []*block
	Norm   *nn.LayerNorm
	Head   *nn.Linear
}

func newGPT(seq int) *gpt {
	g := &gpt{
		Tok: nn.NewEmbedding(vocab, dim), Pos: nn.NewParameter(torch.Randn(seq, dim).MulScalar(0.02)),
		Norm: nn.NewLayerNorm(dim), Head: nn.NewLinear(dim, vocab, nn.LinearOptions{NoBias: true}),
	}
	for range depth {
		g.Blocks = append(g.Blocks, newBlock(dim, heads))
	}
	return g
}

func (g *gpt) Forward(ids *torch.Tensor) *torch.Tensor {
	x := g.Tok.Forward(ids).Add(g.Pos.Slice(0, 0, ids.Size(1)))
	for _, b := range g.Blocks {
		x = b.Forward(x)
	}
	return g.Head.Forward(g.Norm.Forward(x))
}

// The language model's sizes.
const words, hidden = 2000, 200

// lstm is the language model of PyTorch's word_language_model example.
type lstm struct {
	nn.Base
	Words *nn.Embedding
	Drop  *nn.Dropout
	Body  *nn.LSTM
	Out   *nn.Linear
}

func newLSTM() *lstm {
	return &lstm{
		Words: nn.NewEmbedding(words, hidden), Drop: nn.NewDropout(0.2),
		Body: nn.NewLSTM(hidden, hidden, nn.RNNOptions{NumLayers: 2, Dropout: 0.2, BatchFirst: true}), Out: nn.NewLinear(hidden, words),
	}
}

func (l *lstm) Forward(ids *torch.Tensor) *torch.Tensor {
	x, _, _ := l.Body.Forward(l.Drop.Forward(l.Words.Forward(ids)))
	return F.LogSoftmax(l.Out.Forward(l.Drop.Forward(x)), -1).View(-1, words)
}
