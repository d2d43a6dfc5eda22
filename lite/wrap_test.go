package lite_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

// cache is what a decoder keeps from call to call.
type cache struct {
	K      *torch.Tensor
	Length int
	Next   *cache // of the layer above; the last one's is the first
}

// sample is a batch that is given by value.
type sample struct {
	X     *torch.Tensor
	Index *torch.Tensor
}

type scores struct{ Y, Index *torch.Tensor }

// decoder writes what it is given by reference.
type decoder struct {
	nn.Base
	FC   *nn.Linear
	seen []torch.DType
}

func (d *decoder) Forward(b sample, c *cache, notes map[string]int, list ...*torch.Tensor) (*scores, *cache, error) {
	k := d.FC.Forward(b.X)
	d.seen = []torch.DType{b.X.DType(), k.DType(), b.Index.DType(), list[0].DType()}
	if c.K == nil {
		c.K = k
	} else {
		c.K = torch.Cat([]*torch.Tensor{c.K, k}, 0)
	}
	c.Length += k.Size(0)
	notes["calls"]++
	return &scores{k, b.Index}, c, nil
}

func newDecoder() *decoder { return &decoder{FC: nn.NewLinear(3, 2)} }

// A cache that the forward pass writes is the caller's own, in every precision and on several ranks; the batch is converted,
// and stays as it was.
func TestForwardWritesTheCallersCache(t *testing.T) {
	for _, tt := range []struct {
		cfg    lite.Config
		inside torch.DType
	}{
		{lite.Config{}, torch.Float32},
		{lite.Config{Precision: "bf16-mixed"}, torch.BFloat16},
		{lite.Config{Precision: "64-true"}, torch.Float64},
		{lite.Config{Precision: "bf16-mixed", Accelerator: "cpu", Devices: "2", Strategy: "ddp_spawn"}, torch.BFloat16},
	} {
		require.NoError(t, lite.Run(ctx, tt.cfg, func(_ context.Context, l *lite.Lite) error {
			net := newDecoder()
			model, err := lite.Setup(l, net, net.Forward)
			if err != nil {
				return err
			}
			c := &cache{K: torch.Zeros(1, 2)} // of 32 bits, which no forward pass in 16 has made
			c.Next = &cache{Next: c}
			b := sample{torch.Ones(4, 3), torch.Options{DType: torch.Int64}.Ones(4)}
			notes := map[string]int{}
			for i := range 2 {
				y, same, err := model.Forward(b, c, notes, torch.Ones(1))
				require.NoError(t, err)
				require.Same(t, c, same)
				require.Equal(t, 4*(i+1), c.Length)
				require.Equal(t, []int{1 + 4*(i+1), 2}, c.K.Shape())
				require.Equal(t, torch.Float32, y.Y.DType())
				require.Equal(t, torch.Int64, y.Index.DType())
				require.Equal(t, []torch.DType{tt.inside, tt.inside, torch.Int64, tt.inside}, net.seen)
			}
			require.Equal(t, map[string]int{"calls": 2}, notes)
			require.Equal(t, torch.Float32, b.X.DType())
			require.Same(t, c, c.Next.Next)
			return nil
		}))
	}
}
