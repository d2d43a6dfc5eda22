package lite_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/datasets/mnist"
	"github.com/golite/golite/dist"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/sampler"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

// Behaviours of LightningLite that one process shows.

// on runs f in a run of one rank.
func on(t *testing.T, cfg lite.Config, f func(l *lite.Lite)) {
	t.Helper()
	require.NoError(t, lite.Run(ctx, cfg, func(_ context.Context, l *lite.Lite) error { f(l); return nil }))
}

// What the function captures arrives, and its result comes back.
func TestRunHandsArgumentsAndResult(t *testing.T) {
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

// Several models are set up, with and without optimizers, and each works.
func TestSeveralSetups(t *testing.T) {
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

// A model, module, optimizer or loader that was set up is refused, and free again after the run.
func TestSecondSetupIsAnError(t *testing.T) {
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

// onMeta is a data set of tensors that have a device and no memory: they can't be copied to any other.
type onMeta int

func (n onMeta) Len() int { return int(n) }
func (onMeta) Get(context.Context, int) (*torch.Tensor, error) {
	return torch.Options{Device: torch.Meta}.Ones(3), nil
}

// What is not to be moved stays, and what is to be moved is.
func TestSetupNoMove(t *testing.T) {
	build := func() (net *MLP) {
		torch.WithDevice(torch.Meta, func() { net = NewMLP() })
		return net
	}
	on(t, lite.Config{Precision: "64-true"}, func(l *lite.Lite) {
		net := build()
		_, err := lite.SetupModule(l, net, net.Forward, lite.ModuleOptions{NoMove: true})
		require.NoError(t, err)
		require.Equal(t, torch.Meta, net.FC1.Weight.Device())
		require.Equal(t, torch.Float64, net.FC1.Weight.DType())
		net = build()
		_, err = lite.SetupModule(l, net, net.Forward)
		require.NoError(t, err)
		require.Equal(t, torch.CPU, net.FC1.Weight.Device())

		batches := func(noMove bool) (device torch.Device, err error) {
			ready, err := lite.SetupDataLoader(l, data.NewLoader(onMeta(4), 2), lite.LoaderOptions{NoMove: noMove})
			require.NoError(t, err)
			var drawn error
			err = torch.Try(func() {
				for b, err := range ready.Batches(ctx) {
					if drawn = err; err != nil {
						return
					}
					device = b.Device()
				}
			})
			return device, errors.Join(err, drawn)
		}
		device, err := batches(true)
		require.NoError(t, err)
		require.Equal(t, torch.Meta, device)
		_, err = batches(false)
		require.ErrorContains(t, err, "meta")
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

// Passes are counted by Batches when a pass begins, and not by asking for the iterator.
func TestPassesAreCounted(t *testing.T) {
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

// On a single device a sampler of the user's own is left alone, and 5 samples in twos are 3 batches.
func TestSingleDeviceKeepsSampler(t *testing.T) {
	on(t, lite.Config{}, func(l *lite.Lite) {
		order := fixedOrder{4, 0, 3, 1, 2}
		ready, err := lite.SetupDataLoader(l, data.NewLoader(numbers(5), 2, data.Options{Sampler: order}))
		require.NoError(t, err)
		require.Equal(t, 3, ready.Len())
		require.Equal(t, [][]int64{{4, 0}, {3, 1}, {2}}, values(t, ready))
	})
}

// Unlike in Lightning, ranks that share a process share its environment, so the seed is not written there.
func TestSeedLeavesTheEnvironmentAlone(t *testing.T) {
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

// A seed that libtorch would cut off is refused.
func TestSeedsOutOfRange(t *testing.T) {
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

// Floating inputs take the precision's type and integers stay; in mixed precision weights, gradients and
// outputs are float32, and what happens inside is half.
func TestTypesInEachPrecision(t *testing.T) {
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

// echo gives back what its forward pass was given, and what type a product has in it.
type echo struct {
	nn.Base
	FC   *nn.Linear
	seen torch.DType
}

func (e *echo) Forward(x *torch.Tensor) *torch.Tensor {
	e.seen = x.DType()
	return x
}

// An input of 64 bits takes the precision's type, and is left alone in 32-true, as in Fabric; what comes out is of the
// default type, or as it was.
func TestWideInputIsConverted(t *testing.T) {
	for precision, want := range map[string][2]torch.DType{
		"32-true":    {torch.Float64, torch.Float64},
		"16-mixed":   {torch.Float16, torch.Float32},
		"bf16-mixed": {torch.BFloat16, torch.Float32},
		"64-true":    {torch.Float64, torch.Float32},
		"16-true":    {torch.Float16, torch.Float32},
	} {
		on(t, lite.Config{Precision: precision}, func(l *lite.Lite) {
			net := &echo{FC: nn.NewLinear(1, 1)}
			model, err := lite.Setup(l, net, net.Forward)
			require.NoError(t, err)
			y := model.Forward(torch.Options{DType: torch.Float64}.Ones(2))
			require.Equal(t, want, [2]torch.DType{net.seen, y.DType()}, precision)
		})
	}
}

// Autocast is a forward pass without a model.
func TestAutocast(t *testing.T) {
	for precision, want := range map[string][2]torch.DType{ // of a product of two float32, and of what is made
		"32-true":    {torch.Float32, torch.Float32},
		"bf16-mixed": {torch.BFloat16, torch.Float32},
		"64-true":    {torch.Float32, torch.Float64},
	} {
		on(t, lite.Config{Precision: precision}, func(l *lite.Lite) {
			x := torch.Ones(2, 2)
			var made torch.DType
			y := lite.AutocastOf(l, func() *torch.Tensor {
				made = torch.Rand(1).DType()
				return x.MatMul(x)
			})
			require.Equal(t, want, [2]torch.DType{y.DType(), made}, precision)
			l.Autocast(func() { require.Equal(t, want[0], x.MatMul(x).DType()) })
			require.Equal(t, torch.Float32, x.MatMul(x).DType())
		})
	}
}

// A rank knows its place.
func TestRanksKnowTheirPlaces(t *testing.T) {
	var places [2][4]int
	cfg := lite.Config{Accelerator: "cpu", Devices: "2", Strategy: "ddp_spawn"}
	require.NoError(t, lite.Run(ctx, cfg, func(_ context.Context, l *lite.Lite) error {
		places[l.GlobalRank()] = [4]int{l.LocalRank(), l.NodeRank(), l.WorldSize(), map[bool]int{true: 1}[l.IsGlobalZero()]}
		return nil
	}))
	require.Equal(t, [2][4]int{{0, 0, 2, 1}, {1, 0, 2, 0}}, places)
}

// Of one rank reductions are in place and change nothing, gathering gives the one value, and what is done
// first on rank 0 is done.
func TestCollectivesOfOneRank(t *testing.T) {
	on(t, lite.Config{}, func(l *lite.Lite) {
		x := torch.Ones(2)
		require.Same(t, x, l.AllReduce(x))
		require.Same(t, x, l.AllReduce(x, dist.Sum))
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

// A tensor of one element is a metric, one of two is refused.
func TestLog(t *testing.T) {
	rec := &recorder{}
	cfg := lite.Config{Loggers: []lite.MetricLogger{rec}}
	on(t, cfg, func(l *lite.Lite) {
		require.NoError(t, l.Log("a", torch.From([]float32{2}), 1))
		require.ErrorContains(t, l.Log("b", torch.From([]float32{3, 4}), 1), "2 elements")
		require.ErrorContains(t, l.Log("c", "text", 1), "a string can't be logged: want a number")
		require.NoError(t, l.LogDict(map[string]any{"i": 3, "u": uint8(4), "f": float32(0.5), "b": true}, 2))
	})
	require.Equal(t, []map[string]float64{{"a": 2}, {"i": 3, "u": 4, "f": 0.5, "b": 1}}, rec.metrics)
	require.Equal(t, []int64{1, 2}, rec.steps)
	require.Equal(t, 1, rec.closed)
}

// Clipping by value and by norm are two methods, each with its argument, so neither both nor none can be asked
// for; a bad argument panics.
func TestClipping(t *testing.T) {
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

// An epoch through lite equals the loop without it, bit for bit.
func TestEqualsThePlainLoop(t *testing.T) {
	const steps = 30
	torch.ManualSeed(5)
	var plain []float64
	net := NewCNN()
	torch.RunRank(func() {
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
