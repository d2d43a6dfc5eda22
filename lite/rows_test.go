package lite_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/datasets/mnist"
	"github.com/golite/golite/ddp"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/sampler"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

// The tests here are named after the rows of the sheet of checkable behaviours, as far as one process shows them.

// on runs f in a run of one rank.
func on(t *testing.T, cfg lite.Config, f func(l *lite.Lite)) {
	t.Helper()
	require.NoError(t, lite.Run(ctx, cfg, func(_ context.Context, l *lite.Lite) error { f(l); return nil }))
}

// Row 10: what the function captures arrives, and its result comes back.
func TestRow10RunHandsArgumentsAndResult(t *testing.T) {
	one, two := 1, "2"
	got, err := lite.RunValue(ctx, lite.Config{}, func(_ context.Context, l *lite.Lite) (map[string]any, error) {
		return map[string]any{"one": one, "two": two, "world": l.WorldSize()}, nil
	})
	require.NoError(t, err)
	require.Equal(t, map[string]any{"one": 1, "two": "2", "world": 1}, got)

	broken := errors.New("broken")
	_, err = lite.RunValue(ctx, lite.Config{}, func(context.Context, *lite.Lite) (int, error) { return 0, broken })
	require.ErrorIs(t, err, broken)
}

// Row 11: several models are set up, with and without optimizers, and each works.
func TestRow11SeveralSetups(t *testing.T) {
	on(t, lite.Config{}, func(l *lite.Lite) {
		a, b, c := NewMLP(), NewMLP(), NewMLP()
		optA := optim.NewSGD(nn.Parameters(a), 0.1)
		_, err := lite.Setup(l, a, a.Forward, optA)
		require.NoError(t, err)
		_, err = lite.Setup(l, b, b.Forward)
		require.NoError(t, err)
		m, err := lite.SetupModule(l, c, c.Forward)
		require.NoError(t, err)
		require.NoError(t, l.SetupOptimizers(optim.NewSGD(nn.Parameters(c), 0.1)))
		require.Equal(t, []int{2, 10}, m.Forward(torch.Ones(2, 784)).Shape())
	})
}

// Row 12: a model, module, optimizer or loader that was set up is refused, and free again after the run.
func TestRow12SecondSetupIsAnError(t *testing.T) {
	net := NewMLP()
	opt := optim.NewSGD(nn.Parameters(net), 0.1)
	loader := digits(64, data.Options{})
	for range 2 {
		on(t, lite.Config{}, func(l *lite.Lite) {
			_, err := lite.Setup(l, net, net.Forward, opt)
			require.NoError(t, err)
			_, err = lite.Setup(l, net, net.Forward)
			require.ErrorContains(t, err, "was set up already")
			require.ErrorContains(t, l.SetupOptimizers(opt), "was set up already")
			ready, err := lite.SetupDataLoader(l, loader)
			require.NoError(t, err)
			_, err = lite.SetupDataLoader(l, loader)
			require.ErrorContains(t, err, "was set up already")
			_, err = lite.SetupDataLoader(l, ready)
			require.ErrorContains(t, err, "was set up already")
		})
	}
}

// Row 13: what is not to be moved stays. On one CPU the batch is the loader's own either way.
func TestRow13NoMove(t *testing.T) {
	on(t, lite.Config{}, func(l *lite.Lite) {
		net := NewMLP()
		weight := net.FC1.Weight.Tensor
		_, err := lite.SetupModule(l, net, net.Forward, lite.ModuleOptions{NoMove: true})
		require.NoError(t, err)
		require.Same(t, weight, net.FC1.Weight.Tensor)
		ready, err := lite.SetupDataLoader(l, digits(4, data.Options{}), lite.LoaderOptions{NoMove: true})
		require.NoError(t, err)
		for b, err := range ready.Batches(ctx) {
			require.NoError(t, err)
			require.Equal(t, torch.CPU, b.Input.Device())
			break
		}
	})
}

// numbers is a data set of n numbers.
type numbers int

func (n numbers) Len() int { return int(n) }
func (n numbers) Get(_ context.Context, i int) (*torch.Tensor, error) {
	return torch.Options{DType: torch.Int64}.Full(float64(i)), nil
}

func values(t *testing.T, ld *data.Loader[*torch.Tensor]) (out [][]int64) {
	t.Helper()
	for b, err := range ld.Batches(ctx) {
		require.NoError(t, err)
		out = append(out, torch.ToSlice[int64](b))
	}
	return out
}

// Row 28: passes are counted by Batches when a pass begins, and not by asking for the iterator.
func TestRow28PassesAreCounted(t *testing.T) {
	on(t, lite.Config{}, func(l *lite.Lite) {
		s := sampler.NewDistributed(8, 1, 0, sampler.DistributedOptions{Seed: 3})
		ready, err := lite.SetupDataLoader(l, data.NewLoader(numbers(8), 8, data.Options{Sampler: s}))
		require.NoError(t, err)
		_ = ready.Batches(ctx)
		first := values(t, ready)
		second := values(t, ready)
		require.NotEqual(t, first, second)
		for epoch, got := range [][][]int64{first, second} {
			want := sampler.NewDistributed(8, 1, 0, sampler.DistributedOptions{Seed: 3})
			want.SetEpoch(epoch)
			var order []int64
			for i := range want.Indices() {
				order = append(order, int64(i))
			}
			require.Equal(t, [][]int64{order}, got, "pass %d", epoch)
		}
	})
}

// fixedOrder is a sampler of a user's own.
type fixedOrder []int

func (f fixedOrder) Len() int               { return len(f) }
func (f fixedOrder) Indices() iter.Seq[int] { return slices.Values(f) }

// Rows 29 and 30: on a single device a sampler of the user's own is left alone, and 5 samples in twos are 3 batches.
func TestRow29And30SingleDeviceKeepsSampler(t *testing.T) {
	on(t, lite.Config{}, func(l *lite.Lite) {
		order := fixedOrder{4, 0, 3, 1, 2}
		ready, err := lite.SetupDataLoader(l, data.NewLoader(numbers(5), 2, data.Options{Sampler: order}))
		require.NoError(t, err)
		require.Equal(t, 3, ready.Len())
		require.Equal(t, [][]int64{{4, 0}, {3, 1}, {2}}, values(t, ready))
	})
}

// Row 31 deviates: ranks that share a process share its environment, so the seed is not written there.
func TestRow31SeedLeavesTheEnvironmentAlone(t *testing.T) {
	t.Setenv("PL_GLOBAL_SEED", "untouched")
	on(t, lite.Config{}, func(l *lite.Lite) {
		draw := func() ([]float32, []float32, uint64) {
			l.SeedEverything(3)
			return torch.ToSlice[float32](torch.Rand(4)), torch.ToSlice[float32](torch.Options{Generator: l.RankGenerator()}.Rand(4)), l.Rand().Uint64()
		}
		a, b, c := draw()
		a2, b2, c2 := draw()
		require.Equal(t, a, a2)
		require.Equal(t, b, b2)
		require.Equal(t, c, c2)
		require.NotEqual(t, a, b)
		torch.ManualSeed(3)
		require.Equal(t, torch.ToSlice[float32](torch.Rand(4)), a)
	})
}

// Row 32: a seed that libtorch would cut off is refused.
func TestRow32SeedsOutOfRange(t *testing.T) {
	on(t, lite.Config{}, func(l *lite.Lite) {
		require.ErrorContains(t, torch.Try(func() { l.SeedEverything(10e9) }), "4294967295")
		l.SeedEverything(1<<32 - 1)
	})
}

// spy records the types that its forward pass sees.
type spy struct {
	nn.Base
	FC            *nn.Linear
	input, inside torch.DType
}

func (s *spy) Forward(x, index *torch.Tensor) (*torch.Tensor, *torch.Tensor) {
	s.input = x.DType()
	y := s.FC.Forward(x)
	s.inside = y.DType()
	return y, index
}

// Rows 35 and 36: floating inputs take the precision's type and integers stay; in mixed precision weights, gradients and
// outputs are float32, and what happens inside is half.
func TestRow35And36Types(t *testing.T) {
	for _, tt := range []struct {
		precision                      string
		input, inside, weights, output torch.DType
	}{
		{"32-true", torch.Float32, torch.Float32, torch.Float32, torch.Float32},
		{"16-mixed", torch.Float16, torch.Float16, torch.Float32, torch.Float32},
		{"bf16-mixed", torch.BFloat16, torch.BFloat16, torch.Float32, torch.Float32},
		{"64-true", torch.Float64, torch.Float64, torch.Float64, torch.Float32},
		{"bf16-true", torch.BFloat16, torch.BFloat16, torch.BFloat16, torch.Float32},
	} {
		t.Run(tt.precision, func(t *testing.T) {
			on(t, lite.Config{Precision: tt.precision}, func(l *lite.Lite) {
				net := &spy{FC: nn.NewLinear(4, 2)}
				model, err := lite.Setup(l, net, net.Forward)
				require.NoError(t, err)
				y, index := model.Forward(torch.Ones(3, 4), torch.Options{DType: torch.Int64}.Ones(3))
				l.Backward(y.Sum())
				require.Equal(t, tt.input, net.input)
				require.Equal(t, tt.inside, net.inside)
				require.Equal(t, tt.output, y.DType())
				require.Equal(t, torch.Int64, index.DType())
				require.Equal(t, tt.weights, net.FC.Weight.DType())
				require.Equal(t, tt.weights, net.FC.Weight.Grad().DType())
			})
		})
	}
}

// Rows 37, 38 and 39, alone: reductions are in place and change nothing, gathering gives the one value, and what is done
// first on rank 0 is done.
func TestRow37To39CollectivesAlone(t *testing.T) {
	on(t, lite.Config{}, func(l *lite.Lite) {
		x := torch.Ones(2)
		require.Same(t, x, l.AllReduce(x))
		require.Same(t, x, l.AllReduce(x, ddp.Sum))
		require.Equal(t, []float32{1, 1}, torch.ToSlice[float32](x))
		require.Equal(t, []int{7}, lite.AllGather(l, 7))
		require.Equal(t, 7, lite.Sum(l, 7))
		require.Equal(t, "x", lite.Broadcast(l, "x", 0))
		l.Barrier()
		ran := 0
		require.NoError(t, l.RankZeroFirst(func() error { ran++; return nil }))
		require.Equal(t, 1, ran)
		broken := errors.New("broken")
		require.ErrorIs(t, l.RankZeroFirst(func() error { return broken }), broken)
	})
}

// Row 43: a tensor of one element is a metric, one of two is refused.
func TestRow43Log(t *testing.T) {
	rec := &recorder{}
	cfg := lite.Config{Loggers: []lite.MetricLogger{rec}}
	on(t, cfg, func(l *lite.Lite) {
		require.NoError(t, l.Log("a", torch.From([]float32{2}), 1))
		require.ErrorContains(t, l.Log("b", torch.From([]float32{3, 4}), 1), "2 elements")
		require.ErrorContains(t, l.Log("c", "text", 1), "no number")
		require.NoError(t, l.LogDict(map[string]any{"i": 3, "u": uint8(4), "f": float32(0.5), "b": true}, 2))
	})
	require.Equal(t, []map[string]float64{{"a": 2}, {"i": 3, "u": 4, "f": 0.5, "b": 1}}, rec.metrics)
	require.Equal(t, []int64{1, 2}, rec.steps)
	require.Equal(t, 1, rec.closed)
}

// Row 44: clipping by value and by norm are two methods, each with its argument, so neither both nor none can be asked
// for; a bad argument panics.
func TestRow44Clipping(t *testing.T) {
	on(t, lite.Config{}, func(l *lite.Lite) {
		net := NewMLP()
		opt := optim.NewSGD(nn.Parameters(net), 0.1)
		model, err := lite.Setup(l, net, net.Forward, opt)
		require.NoError(t, err)
		l.Backward(model.Forward(torch.Ones(2, 784)).Sum())
		require.ErrorContains(t, torch.Try(func() { l.ClipGradNorm(model, opt, -1) }), "want 0 or more")
		require.ErrorContains(t, torch.Try(func() { l.ClipGradValue(model, opt, -1) }), "want 0 or more")
		require.ErrorContains(t, torch.Try(func() { l.ClipGradNorm(nil, opt, 1) }), "was not set up")
		require.Greater(t, l.ClipGradNorm(model, opt, 0.5).Item(), 0.5)
		require.InDelta(t, 0.5, l.ClipGradNorm(model, opt, 100).Item(), 1e-4)
	})
}

// Row 46: an epoch through lite equals the loop without it, bit for bit.
func TestRow46EqualsThePlainLoop(t *testing.T) {
	const steps = 30
	torch.ManualSeed(5)
	var plain []float64
	net := NewCNN()
	torch.Root(func() {
		torch.WithNumThreads(1, func() {
			opt := optim.NewAdam(nn.Parameters(net), 1e-3)
			for b, err := range data.NewLoader(part(steps), 8, data.Options{Shuffle: true}).Batches(ctx) {
				require.NoError(t, err)
				opt.ZeroGrad()
				loss := F.NLLLoss(net.Forward(b.Input), b.Target)
				loss.Backward()
				opt.Step()
				plain = append(plain, loss.Item())
			}
		})
	})
	require.Len(t, plain, steps)
	want := nn.StateDict(net)
	on(t, lite.Config{}, func(l *lite.Lite) {
		l.SeedEverything(5)
		net := NewCNN()
		opt := optim.NewAdam(nn.Parameters(net), 1e-3)
		model, err := lite.Setup(l, net, net.Forward, opt)
		require.NoError(t, err)
		loader, err := lite.SetupDataLoader(l, data.NewLoader(part(steps), 8, data.Options{Shuffle: true}))
		require.NoError(t, err)
		var losses []float64
		torch.WithNumThreads(1, func() {
			for b, err := range loader.Batches(ctx) {
				require.NoError(t, err)
				opt.ZeroGrad()
				loss := F.NLLLoss(model.Forward(b.Input), b.Target)
				l.Backward(loss)
				opt.Step()
				losses = append(losses, loss.Item())
			}
		})
		require.Equal(t, plain, losses)
		for name, p := range model.StateDict().All() {
			w, ok := want.Get(name)
			require.True(t, ok, name)
			require.Equal(t, w.ToBytes(), p.ToBytes(), name)
		}
	})
}

// part is the first samples of MNIST, enough for so many batches of 8.
func part(batches int) data.Dataset[data.Example] {
	at := make([]int, 8*batches)
	for i := range at {
		at[i] = i
	}
	return data.NewSubset[data.Example](mnist.Train(), at)
}
