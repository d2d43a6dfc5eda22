package lite_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/amp"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
)

// passCounter is a precision of a user's own, under a name that lite has too.
type passCounter struct {
	amp.Precision
	passes int
}

func (c *passCounter) Forward(d torch.DeviceType, f func()) {
	c.passes++
	c.Precision.Forward(d, f)
}

// A plugin is used whatever its name.
func TestPluginNamedLikeTheDefaultIsUsed(t *testing.T) {
	plain, err := amp.New("32-true", torch.CPU)
	require.NoError(t, err)
	c := &passCounter{Precision: plain}
	on(t, lite.Config{Plugins: []any{c}}, func(l *lite.Lite) {
		require.Equal(t, "32-true", l.Precision())
		net := newLine()
		model, err := lite.Setup(l, net, net.Forward)
		require.NoError(t, err)
		model.Forward(torch.Ones(2, 3))
		require.Equal(t, 1, c.passes)
	})
}

// waiting is a model whose forward pass waits, and a data set that makes its samples meanwhile.
type waiting struct {
	nn.Base
	FC      *nn.Linear
	inside  chan struct{} // closed when a forward pass runs
	sampled chan struct{} // closed when samples were made during it
}

func (w *waiting) Forward(x *torch.Tensor) *torch.Tensor {
	close(w.inside)
	<-w.sampled
	return w.FC.Forward(x).Add(torch.Rand(2)) // of the type of the forward pass
}

func (w *waiting) Len() int { return 4 }

func (w *waiting) Get(ctx context.Context, i int) (*torch.Tensor, error) {
	select {
	case <-w.inside:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	x := torch.Rand(3)
	if i == 0 {
		defer close(w.sampled)
	}
	return x, nil
}

// A forward pass in 64 bits makes what it makes in 64 bits, and a loader's workers make theirs in 32 all the same.
func TestWorkersHaveTheirOwnDefaultType(t *testing.T) {
	on(t, lite.Config{Precision: "64-true"}, func(l *lite.Lite) {
		net := &waiting{FC: nn.NewLinear(3, 2), inside: make(chan struct{}), sampled: make(chan struct{})}
		model, err := lite.Setup(l, net, net.Forward)
		require.NoError(t, err)
		loader, err := lite.SetupDataLoader(l, data.NewLoader[*torch.Tensor](net, 2, data.Options{Workers: 2}))
		require.NoError(t, err)
		done := make(chan struct{})
		go func() { // a server's handler, say: the loader's loop is the rank's
			defer close(done)
			torch.RunRank(func() { model.Forward(torch.Ones(1, 3)) })
		}()
		n := 0
		for b, err := range loader.Batches(ctx) {
			require.NoError(t, err)
			require.Equal(t, torch.Float32, b.DType())
			n++
		}
		<-done
		require.Equal(t, 2, n)
		require.Equal(t, torch.Float64, net.FC.Weight.DType())
	})
}
