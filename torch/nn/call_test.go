package nn_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

// block is a module of a program's own.
type block struct {
	nn.Base
	FC *nn.Linear
}

func (b *block) Forward(x *torch.Tensor) *torch.Tensor { return b.FC.Forward(x) }

func (b *block) Both(x *torch.Tensor, more []*torch.Tensor, times int) (out, list []*torch.Tensor, n int) {
	return []*torch.Tensor{x.MulScalar(float64(times))}, more, times
}

// wrapped has the Base, and the hooks, of the layer that it embeds.
type wrapped struct{ *nn.Linear }

func TestCallRunsHooks(t *testing.T) {
	torch.Scope(func() {
		x := torch.Ones(1, 2)
		b := &block{FC: nn.NewLinear(2, 2)}
		calls := 0
		count := func(nn.Module, []*torch.Tensor) []*torch.Tensor { calls++; return nil }
		require.Equal(t, b.Forward(x).Shape(), nn.Call(b, b.Forward)(x).Shape())
		remove := nn.RegisterForwardPreHook(b, count)
		b.Forward(x)
		require.Zero(t, calls, "a plain call has no hooks")
		nn.Call(b, b.Forward)(x)
		require.Equal(t, 1, calls)
		remove()
		nn.Call(b, b.Forward)(x)
		require.Equal(t, 1, calls)

		nn.RegisterForwardHook(b, func(_ nn.Module, in, out []*torch.Tensor) []*torch.Tensor {
			require.Len(t, in, 3)
			require.Len(t, out, 3)
			return []*torch.Tensor{out[2], out[1], out[0]}
		})
		y, z := torch.Zeros(1), torch.Ones(1)
		out, list, n := nn.Call(b, b.Both)(x, []*torch.Tensor{y, z}, 5)
		require.Equal(t, 5, n)
		require.True(t, z.SameStorage(out[0]))
		require.Len(t, list, 2)

		calls = 0
		l := &wrapped{nn.NewLinear(2, 2)}
		nn.RegisterForwardPreHook(l, count)
		nn.Call(l, l.Forward)(x)
		require.Equal(t, 1, calls, "once")
		calls = 0
		nn.RegisterForwardPreHook(b.FC, count)
		nn.Call(b.FC, b.FC.Forward)(x)
		require.Equal(t, 1, calls, "once")

		require.ErrorContains(t, torch.Try(func() { nn.Call(b, 3) }), "want a function")
		require.ErrorContains(t, torch.Try(func() { nn.RegisterForwardPreHook(b, nil) }), "the function is nil")
		require.ErrorContains(t, torch.Try(func() { nn.RegisterForwardPreHook(nil, count) }), "the module is nil")
		nn.RegisterForwardPreHook(b.FC, func(nn.Module, []*torch.Tensor) []*torch.Tensor { return []*torch.Tensor{x, x} })
		require.ErrorContains(t, torch.Try(func() { b.FC.Forward(x) }), "invalid number of inputs, got 2, but expected 1")
	})
}

// Every layer of the package that has a Forward calls its hooks, whatever its Forward's form.
func TestLayersOfEveryFormCallHooks(t *testing.T) {
	torch.Scope(func() {
		x := torch.Ones(2, 4, 8)
		mha := nn.NewMultiheadAttention(8, 2)
		lstm, gru, rnn := nn.NewLSTM(8, 3), nn.NewGRU(8, 3), nn.NewRNN(8, 3)
		cell := nn.NewGRUCell(8, 3)
		pool := nn.NewMaxPool1d(2)
		up := nn.NewConvTranspose1d(4, 2, 3)
		encoder := nn.NewTransformerEncoder(nn.NewTransformerEncoderLayer(8, 2, nn.TransformerOptions{BatchFirst: true}), 2)
		nn.Eval(encoder)
		for _, c := range []struct {
			m       nn.Module
			forward func()
			in, out int
		}{
			{mha, func() { mha.Forward(x, x, x) }, 3, 2},
			{lstm, func() { lstm.Forward(x) }, 1, 3},
			{gru, func() { gru.Forward(x, torch.Zeros(1, 4, 3)) }, 2, 2},
			{rnn, func() { rnn.Forward(x) }, 1, 2},
			{cell, func() { cell.Forward(torch.Ones(2, 8)) }, 1, 1},
			{pool, func() { pool.ForwardWithIndices(x) }, 1, 2},
			{up, func() { up.Forward(x) }, 1, 1},
			{encoder.Layers[1].Linear2, func() { torch.NoGrad(func() { encoder.Forward(x) }) }, 1, 1},
		} {
			calls := 0
			nn.RegisterForwardHook(c.m, func(m nn.Module, in, out []*torch.Tensor) []*torch.Tensor {
				calls++
				require.Equal(t, c.m, m)
				require.Len(t, in, c.in)
				require.Len(t, out, c.out)
				return nil
			})
			c.forward()
			require.Equal(t, 1, calls, "%T", c.m)
		}
	})
}
