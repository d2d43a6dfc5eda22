package lite_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/cuda"
	"github.com/golite/golite/torch/cuda/gputest"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

// eachAccelerator runs f on the CPU and on a GPU.
func eachAccelerator(t *testing.T, cfg lite.Config, f func(ctx context.Context, l *lite.Lite) error) {
	t.Helper()
	gputest.EachDevice(t, func(t *testing.T, on torch.Options) {
		c := cfg
		c.Accelerator, c.Devices = on.Device.Type.String(), "1"
		require.NoError(t, lite.Run(t.Context(), c, f))
	})
}

// Batches arrive on the device, whole and in order, while steps compute with those before: a GPU has them copied in a stream of its own.
func TestLoadersOnEachDevice(t *testing.T) {
	const n, width = 64, 1 << 12
	eachAccelerator(t, lite.Config{}, func(ctx context.Context, l *lite.Lite) error {
		x := torch.Arange(0, n, 1).Float().View(n, 1).Expand(n, width).Contiguous()
		y := torch.Arange(0, n, 1)
		for _, workers := range []int{0, 2} {
			loader, err := lite.SetupDataLoader(l, data.NewLoader(data.NewTensorDataset(x, y), 4, data.Options{Workers: workers}))
			if err != nil {
				return err
			}
			at := 0
			for b, err := range loader.Batches(ctx) {
				if err != nil {
					return err
				}
				require.Equal(t, l.Device(), b.Input.Device())
				for range 20 { // the device is busy when the next batch is copied
					b.Input.Mul(b.Input).Sum()
				}
				for i := range 4 {
					require.Equal(t, float64(at*width), b.Input.Index(i).Sum().Item())
					require.Equal(t, float64(at), b.Target.Index(i).Item())
					at++
				}
			}
			require.Equal(t, n, at)
		}
		return nil
	})
}

// A small network learns in every precision on every device, convolutions with their channels last among them.
func TestPrecisionsOnEachDevice(t *testing.T) {
	for _, precision := range []string{"32-true", "64-true", "bf16-mixed", "16-mixed", "bf16-true"} {
		t.Run(precision, func(t *testing.T) {
			eachAccelerator(t, lite.Config{Precision: precision}, func(_ context.Context, l *lite.Lite) error {
				l.SeedEverything(1)
				net := nn.NewSequential(nn.NewConv2d(3, 8, 3), nn.NewReLU(), nn.NewFlatten(), nn.NewLinear(8*36, 4))
				nn.ToMemoryFormat(net, torch.ChannelsLast)
				opt := optim.NewAdam(nn.Parameters(net), 0.01, optim.AdamOptions{Fused: true})
				model, err := lite.Setup(l, net, net.Forward, opt)
				if err != nil {
					return err
				}
				x := lite.ToDevice(l, torch.Randn(16, 3, 8, 8).ToMemoryFormat(torch.ChannelsLast))
				y := lite.ToDevice(l, torch.RandInt(0, 4, 16))
				var first, last float64
				for i := range 30 {
					torch.Scope(func() {
						opt.ZeroGrad()
						loss := F.CrossEntropy(model.Forward(x).Float(), y)
						l.Backward(loss)
						l.ClipGradNorm(model, opt, 1)
						opt.Step()
						last = loss.Item()
					})
					if i == 0 {
						first = last
					}
				}
				require.Less(t, last, first/4)
				return nil
			})
		})
	}
}

// What was saved on one device is loaded on the other, optimizer and all, and goes on as it would have.
func TestCheckpointsGoFromDeviceToDevice(t *testing.T) {
	gputest.Need(t)
	gputest.Exact(t)
	path := filepath.Join(t.TempDir(), "there.pt")
	train := func(accelerator string, load, save bool) (w *torch.Tensor) {
		require.NoError(t, lite.Run(t.Context(), lite.Config{Accelerator: accelerator, Devices: "1"}, func(_ context.Context, l *lite.Lite) error {
			torch.ManualSeed(1)
			net := nn.NewLinear(8, 4)
			opt := optim.NewAdam(nn.Parameters(net), 0.1)
			model, err := lite.Setup(l, net, net.Forward, opt)
			if err != nil {
				return err
			}
			state := lite.State{"model": model, "optimizer": opt}
			if load {
				if _, err := l.Load(path, state); err != nil {
					return err
				}
			}
			for range 3 {
				opt.ZeroGrad()
				l.Backward(model.Forward(torch.Options{Device: l.Device()}.Ones(2, 8)).Square().Sum())
				opt.Step()
			}
			if save {
				if err := l.Save(path, state); err != nil {
					return err
				}
			}
			w = net.Weight.Detach().CPU().Keep()
			return nil
		}))
		return w
	}
	train("cuda", false, true)
	gputest.Near(t, train("cuda", true, false), train("cpu", true, false), 1e-5, "the weight on the CPU")
	train("cpu", false, true)
	gputest.Near(t, train("cpu", true, false), train("cuda", true, false), 1e-5, "the weight on the GPU")
}

func TestOutOfMemoryIsAnErrorOfRun(t *testing.T) {
	gputest.Need(t)
	cfg := lite.Config{Accelerator: "cuda", Devices: "1"}
	err := lite.Run(t.Context(), cfg, func(_ context.Context, l *lite.Lite) error {
		torch.Options{Device: l.Device()}.Zeros(1 << 42)
		return nil
	})
	var te *torch.Error
	require.ErrorAs(t, err, &te)
	require.True(t, te.OutOfMemory)
	require.NoError(t, lite.Run(t.Context(), cfg, func(_ context.Context, l *lite.Lite) error {
		require.Equal(t, 3.0, torch.Options{Device: l.Device()}.Ones(3).Sum().Item())
		return nil
	}))
}

// Goroutine ranks, one a GPU, train in step through NCCL.
func TestRanksOnGPUs(t *testing.T) {
	gputest.NeedTwo(t)
	require.NoError(t, lite.Run(t.Context(), lite.Config{Accelerator: "cuda", Devices: "2", Strategy: "ddp_spawn"}, func(_ context.Context, l *lite.Lite) error {
		l.SeedEverything(1)
		net := nn.NewLinear(8, 4)
		opt := optim.NewSGD(nn.Parameters(net), 0.1)
		model, err := lite.Setup(l, net, net.Forward, opt)
		if err != nil {
			return err
		}
		require.Equal(t, torch.CUDA(l.GlobalRank()), l.Device())
		for i := range 5 {
			opt.ZeroGrad()
			l.Backward(model.Forward(torch.Options{Device: l.Device()}.Full(float64(i+l.GlobalRank()), 2, 8)).Square().Sum())
			opt.Step()
		}
		all := l.Group().AllGather(net.Weight.Detach())
		require.True(t, all[0].Equal(all[1]), "the ranks have the same weights")
		sum := torch.Options{Device: l.Device()}.Ones(1)
		l.Group().AllReduce(sum, dist.Sum)
		require.Equal(t, 2.0, sum.Item())
		return nil
	}))
	require.Zero(t, cuda.CurrentDevice())
}
