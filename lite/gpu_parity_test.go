package lite_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/cuda"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

// gpuCurve is what scripts/cuda/record_gpu.py says of a model.
type gpuCurve struct {
	Losses     []float64
	Parameters string
}

// On one GPU, in float32 without TF32 and with deterministic kernels, training has PyTorch's bits. GOLITE_GPU_RECORDING names what the script has recorded
// on this machine.
func TestBitsOfPyTorchOnAGPU(t *testing.T) {
	path := os.Getenv("GOLITE_GPU_RECORDING")
	if path == "" {
		t.Skip("skipped: GOLITE_GPU_RECORDING names no recording (make test-gpu makes one)")
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var want struct {
		Device, Name, Torch string
		MLP, CNN            gpuCurve
	}
	require.NoError(t, json.Unmarshal(text, &want))
	t.Logf("recorded on %s %s with PyTorch %s", want.Device, want.Name, want.Torch)
	restore := cuda.DebugDeterministic()
	defer restore()
	for _, c := range []struct {
		name  string
		build func() *nn.Sequential
		shape []int
		want  gpuCurve
	}{
		{"mlp", func() *nn.Sequential {
			return nn.NewSequential(nn.NewLinear(784, 128), nn.NewReLU(), nn.NewLinear(128, 10))
		}, []int{64, 784}, want.MLP},
		{"cnn", func() *nn.Sequential {
			return nn.NewSequential(nn.NewConv2d(1, 32, 3), nn.NewReLU(), nn.NewConv2d(32, 64, 3), nn.NewReLU(), nn.NewMaxPool2d(2), nn.NewDropout(0.25),
				nn.NewFlatten(), nn.NewLinear(9216, 128), nn.NewReLU(), nn.NewDropout(0.5), nn.NewLinear(128, 10))
		}, []int{64, 1, 28, 28}, want.CNN},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got gpuCurve
			require.NoError(t, lite.Run(t.Context(), lite.Config{Accelerator: want.Device, Devices: "1"}, func(_ context.Context, l *lite.Lite) error {
				var err error
				torch.WithNumThreads(1, func() { got, err = trainAsRecorded(l, c.build, c.shape, len(c.want.Losses)) })
				return err
			}))
			require.Equal(t, c.want, got)
		})
	}
}

func trainAsRecorded(l *lite.Lite, build func() *nn.Sequential, shape []int, steps int) (got gpuCurve, err error) {
	l.SeedEverything(1)
	net := build()
	opt := optim.NewSGD(nn.Parameters(net), 0.05, optim.SGDOptions{Momentum: 0.9})
	model, err := lite.Setup(l, net, net.Forward, opt)
	if err != nil {
		return got, err
	}
	for range steps {
		torch.Scope(func() {
			x, y := torch.Randn(shape...), torch.RandInt(0, 10, shape[0])
			opt.ZeroGrad()
			loss := F.CrossEntropy(model.Forward(lite.ToDevice(l, x)), lite.ToDevice(l, y))
			l.Backward(loss)
			opt.Step()
			got.Losses = append(got.Losses, loss.Item())
		})
	}
	h := sha256.New()
	for _, p := range nn.Parameters(net) {
		h.Write(p.Detach().CPU().Contiguous().ToBytes())
	}
	got.Parameters = hex.EncodeToString(h.Sum(nil))
	return got, nil
}
