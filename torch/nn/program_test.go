package nn_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
)

// gptBlock and gpt are a small transformer as a user writes it.
type gptBlock struct {
	nn.Base
	Norm1, Norm2 *nn.LayerNorm
	QKV, Proj    *nn.Linear
	MLP          *nn.Sequential
	heads        int
}

func newBlock(dim, heads int) *gptBlock {
	return &gptBlock{
		Norm1: nn.NewLayerNorm(dim), Norm2: nn.NewLayerNorm(dim),
		QKV:   nn.NewLinear(dim, 3*dim, nn.LinearOptions{NoBias: true}),
		Proj:  nn.NewLinear(dim, dim),
		MLP:   nn.NewSequential(nn.NewLinear(dim, 4*dim), nn.NewGELU(), nn.NewLinear(4*dim, dim), nn.NewDropout(0.1)),
		heads: heads,
	}
}

func (b *gptBlock) Forward(x, mask *torch.Tensor) *torch.Tensor {
	n, t, dim := x.Size(0), x.Size(1), x.Size(2)
	qkv := b.QKV.Forward(b.Norm1.Forward(x)).Split(dim, -1)
	for i := range qkv {
		qkv[i] = qkv[i].View(n, t, b.heads, dim/b.heads).Transpose(1, 2)
	}
	y := F.ScaledDotProductAttention(qkv[0], qkv[1], qkv[2], F.SDPAOptions{Mask: mask, Causal: mask == nil})
	x = x.Add(b.Proj.Forward(y.Transpose(1, 2).Reshape(n, t, dim)))
	return x.Add(b.MLP.Forward(b.Norm2.Forward(x)))
}

type gpt struct {
	nn.Base
	Tok    *nn.Embedding
	Pos    nn.Parameter
	Blocks []*gptBlock
	Norm   *nn.LayerNorm
	Head   *nn.Linear `torch:"lm_head"`
}

func newGPT(vocab, dim, depth, heads, maxLen int) *gpt {
	g := &gpt{
		Tok:  nn.NewEmbedding(vocab, dim),
		Pos:  nn.NewParameter(torch.Randn(maxLen, dim).MulScalar(0.02)),
		Norm: nn.NewLayerNorm(dim),
		Head: nn.NewLinear(dim, vocab, nn.LinearOptions{NoBias: true}),
	}
	for range depth {
		g.Blocks = append(g.Blocks, newBlock(dim, heads))
	}
	g.Head.Weight = g.Tok.Weight
	return g
}

func (g *gpt) Forward(ids, mask *torch.Tensor) *torch.Tensor {
	x := g.Tok.Forward(ids).Add(g.Pos.Slice(0, 0, ids.Size(1)))
	for _, b := range g.Blocks {
		x = b.Forward(x, mask)
	}
	return g.Head.Forward(g.Norm.Forward(x))
}

func TestGPT(t *testing.T) {
	torch.Scope(func() {
		g := newGPT(16, 8, 2, 2, 10)
		ids := torch.RandInt(0, 16, 3, 7)
		logits := g.Forward(ids, nil)
		require.Equal(t, []int{3, 7, 16}, logits.Shape())
		loss := F.CrossEntropy(logits.View(-1, 16), ids.View(-1), F.CrossEntropyOptions{IgnoreIndex: new(0),
			LabelSmoothing: 0.1})
		loss.Backward()
		for name, p := range nn.NamedParameters(g) {
			require.NotNil(t, p.Grad(), name)
		}
		require.Equal(t, "pos", nn.StateDict(g).Keys()[0])
		require.Equal(t, "lm_head.weight", nn.StateDict(g).Keys()[nn.StateDict(g).Len()-1])

		// Position 6 must not change what the positions before it say.
		nn.Eval(g)
		before := g.Forward(ids, nil).Slice(1, 0, 6)
		other := ids.Clone()
		other.Slice(1, 6, 7).Fill_(5)
		require.Equal(t, before.ToBytes(), g.Forward(other, nil).Slice(1, 0, 6).ToBytes())
	})
}

// runningNorm normalises by a running mean and variance, which Forward writes in place.
type runningNorm struct {
	nn.Base
	Weight, Bias nn.Parameter
	RunningMean  nn.Buffer
	RunningVar   nn.Buffer
	Seen         nn.Buffer      `torch:"num_batches_tracked"`
	Shift        nn.Buffer      `torch:"shift,nonpersistent"`
	Gate         *nn.Linear     `torch:"gate,optional"`
	Scales       []nn.Parameter // scales.0, scales.1
}

func newRunningNorm(dim int) *runningNorm {
	n := &runningNorm{
		Weight: nn.NewParameter(torch.Ones(dim)), Bias: nn.NewParameter(torch.Zeros(dim)),
		RunningMean: nn.NewBuffer(torch.Zeros(dim)), RunningVar: nn.NewBuffer(torch.Ones(dim)),
		Seen:  nn.NewBuffer(torch.Options{DType: torch.Int64}.Zeros()),
		Shift: nn.NewBuffer(torch.Zeros(dim)),
	}
	for range 2 {
		n.Scales = append(n.Scales, nn.NewParameter(torch.Ones(dim)))
	}
	return n
}

func (n *runningNorm) Forward(x *torch.Tensor) *torch.Tensor {
	mean, variance := n.RunningMean.Tensor, n.RunningVar.Tensor
	if n.Training() {
		mean = x.Mean(0)
		variance = x.Sub(mean).Pow(2).Mean(0)
		torch.NoGrad(func() {
			n.RunningMean.Lerp_(mean, 0.1)
			n.RunningVar.Lerp_(variance, 0.1)
			n.Seen.AddScalar_(1)
		})
	}
	x = x.Sub(mean).Div(variance.AddScalar(1e-5).Sqrt()).Add(n.Shift.Tensor)
	x = x.Mul(n.Weight.Tensor).Add(n.Bias.Tensor)
	for _, s := range n.Scales {
		x = x.Mul(s.Tensor)
	}
	if n.Gate != nil {
		x = x.Mul(n.Gate.Forward(x))
	}
	return x
}

func TestModuleWithBuffers(t *testing.T) {
	n := newRunningNorm(4)
	for range 3 {
		torch.Scope(func() { n.Forward(torch.Randn(8, 4)).Sum().Backward() })
	}
	require.Equal(t, 3, torch.Item[int](n.Seen.Tensor))
	require.Equal(t, []string{"weight", "bias", "running_mean", "running_var", "num_batches_tracked", "scales.0",
		"scales.1"}, nn.StateDict(n).Keys())
	nn.Eval(n)
	before := n.RunningMean.ToBytes()
	n.Forward(torch.Randn(8, 4))
	require.Equal(t, before, n.RunningMean.ToBytes())
}
