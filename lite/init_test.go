package lite_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

func TestInitModule(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mlp.pt")
	err := lite.Run(ctx, lite.Config{Precision: "64-true"}, func(ctx context.Context, l *lite.Lite) error {
		l.SeedEverything(1)
		net := lite.InitModule(l, NewMLP)
		require.Equal(t, torch.Float64, net.FC1.Weight.DType())
		require.Equal(t, torch.Float32, torch.DefaultDType())
		require.NoError(t, l.Save(path, nn.StateDict(net)))

		empty := lite.InitModule(l, NewMLP, lite.InitOptions{Empty: true})
		require.Equal(t, torch.Meta, empty.FC1.Weight.Device())
		weight := empty.FC1.Weight.Tensor
		opt := optim.NewSGD(nn.Parameters(empty), 0.1)
		model, err := lite.Setup(l, empty, empty.Forward, opt)
		require.NoError(t, err)
		require.Same(t, weight, empty.FC1.Weight.Tensor)
		require.Equal(t, torch.CPU, weight.Device())
		require.True(t, weight.RequiresGrad())
		sd, err := l.Load(path, nil)
		require.NoError(t, err)
		state := &torch.StateDict{}
		for _, k := range model.StateDict().Keys() {
			state.Set(k, sd[k].(*torch.Tensor))
		}
		require.NoError(t, model.LoadStateDict(state))
		require.Equal(t, torch.ToSlice[float64](net.FC1.Weight.Tensor), torch.ToSlice[float64](weight))

		opt.ZeroGrad()
		l.Backward(model.Forward(torch.Ones(2, 784)).Sum())
		before := weight.Clone()
		opt.Step()
		require.False(t, weight.Equal(before))
		require.Equal(t, torch.Float64, lite.InitTensor(l, func() *torch.Tensor { return torch.Zeros(1) }).DType())
		return nil
	})
	require.NoError(t, err)
}
