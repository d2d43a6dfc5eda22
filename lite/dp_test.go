package lite_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/amp"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	"github.com/golite/golite/torch/cuda/gputest"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

// onReplicas runs f under strategy "dp" with n replicas on the CPU.
func onReplicas(t *testing.T, cfg lite.Config, n int, f func(l *lite.Lite)) {
	t.Helper()
	require.NoError(t, lite.RunReplicas(ctx, cfg, n, func(l *lite.Lite) error { f(l); return nil }))
}

// mixture has what replicas could get wrong: statistics of the batch, random numbers, a weight used twice, one that is not
// trained and one that is not used.
type mixture struct {
	nn.Base
	In, Mid, Out, Frozen, Unused *nn.Linear
	Norm                         *nn.BatchNorm1d
	Drop                         *nn.Dropout
}

func newMixture() *mixture {
	m := &mixture{In: nn.NewLinear(6, 16), Mid: nn.NewLinear(16, 16), Out: nn.NewLinear(16, 3), Frozen: nn.NewLinear(16, 16), Unused: nn.NewLinear(2, 2),
		Norm: nn.NewBatchNorm1d(16), Drop: nn.NewDropout(0.25)}
	nn.RequiresGrad(m.Frozen, false)
	return m
}

func (m *mixture) Forward(x *torch.Tensor) *torch.Tensor {
	x = m.Norm.Forward(m.In.Forward(x))
	x = m.Mid.Forward(F.ReLU(m.Mid.Forward(x)))
	return m.Out.Forward(m.Drop.Forward(m.Frozen.Forward(x).Tanh()))
}

const (
	dpSeed  = 3
	dpSteps = 4
)

// dpBatch is the batch of a step.
func dpBatch(step, n int) (x, y *torch.Tensor) {
	g := torch.NewGenerator(uint64(100 + step))
	x = torch.Options{Generator: g}.Randn(n, 6)
	return x, x.Sum(1).GtScalar(0).Long()
}

func dpOptimizer(m *mixture) *optim.SGD {
	return optim.NewSGD(nn.Parameters(m), 0.1, optim.SGDOptions{Momentum: 0.9})
}

// dpCourse is a training run.
type dpCourse struct {
	precision       string
	devices, batch  int
	accumulate      int
	withoutDropping bool
}

func (c dpCourse) build() *mixture {
	net := newMixture()
	if c.withoutDropping {
		net.Drop = nn.NewDropout(0)
	}
	return net
}

// run is the course under "dp".
func (c dpCourse) run(t *testing.T, l *lite.Lite) *mixture {
	t.Helper()
	l.SeedEverything(dpSeed)
	net := c.build()
	opt := dpOptimizer(net)
	model, err := lite.Setup(l, net, net.Forward, opt)
	require.NoError(t, err)
	for step := range dpSteps {
		torch.Scope(func() {
			opt.ZeroGrad()
			for micro := range c.accumulate {
				x, y := dpBatch(step*c.accumulate+micro, c.batch)
				x, y = lite.ToDevice(l, x), lite.ToDevice(l, y)
				l.NoBackwardSync(model, micro < c.accumulate-1, func() {
					out := model.Forward(x)
					require.Equal(t, torch.Float32, out.DType())
					require.Equal(t, l.Device(), out.Device())
					l.Backward(F.CrossEntropy(out, y))
				})
			}
			opt.Step()
			require.False(t, opt.Skipped())
		})
	}
	require.Nil(t, net.Unused.Weight.Grad())
	require.Equal(t, nn.StateDict(net).Keys(), model.StateDict().Keys())
	require.EqualValues(t, dpSteps*c.accumulate, net.Norm.NumBatchesTracked.Item())
	return net
}

// A course under "dp" is, bit for bit, that of the same computation written by hand: the batch cut into chunks, each through
// a copy of the model with random numbers of its own, gradients added up in the order of the chunks; buffers are those of the first.
func TestDPIsTheSameComputationByChunks(t *testing.T) {
	for _, c := range []dpCourse{
		{precision: "32-true", devices: 2, batch: 8, accumulate: 1}, {precision: "32-true", devices: 3, batch: 8, accumulate: 1},
		{precision: "32-true", devices: 4, batch: 6, accumulate: 1}, {precision: "32-true", devices: 4, batch: 11, accumulate: 2},
		{precision: "16-mixed", devices: 2, batch: 8, accumulate: 1}, {precision: "bf16-mixed", devices: 3, batch: 8, accumulate: 2},
		{precision: "64-true", devices: 2, batch: 7, accumulate: 1}, {precision: "bf16-true", devices: 2, batch: 8, accumulate: 1},
	} {
		t.Run(fmt.Sprintf("%s/%d devices/%d samples/%d", c.precision, c.devices, c.batch, c.accumulate), func(t *testing.T) {
			var want, got *mixture
			torch.WithNumThreads(1, func() { want = c.byChunks(t) })
			onReplicas(t, lite.Config{Precision: c.precision}, c.devices, func(l *lite.Lite) { got = c.run(t, l) })
			for name, p := range nn.StateDict(want).All() {
				q, ok := nn.StateDict(got).Get(name)
				require.True(t, ok, name)
				require.Equal(t, bits(p), bits(q), name)
			}
		})
	}
}

// On a GPU the course is that of the CPU, but for rounding: with both replicas on one device, and with one on each of two.
func TestDPOnGPUs(t *testing.T) {
	gputest.Need(t)
	gputest.Exact(t)
	c := dpCourse{precision: "32-true", devices: 2, batch: 8, accumulate: 2, withoutDropping: true}
	want := c.byChunks(t)
	near := func(t *testing.T, got *mixture) {
		t.Helper()
		for name, p := range nn.StateDict(want).All() {
			q, _ := nn.StateDict(got).Get(name)
			gputest.Near(t, p, q, 1e-4, name)
		}
	}
	t.Run("one", func(t *testing.T) {
		onReplicas(t, lite.Config{GPUs: "1"}, 2, func(l *lite.Lite) { near(t, c.run(t, l)) })
	})
	t.Run("two", func(t *testing.T) {
		gputest.NeedTwo(t)
		on(t, lite.Config{GPUs: "2", Strategy: "dp"}, func(l *lite.Lite) { near(t, c.run(t, l)) })
	})
}

// byChunks is the computation by hand.
func (c dpCourse) byChunks(t *testing.T) *mixture {
	t.Helper()
	p, err := amp.New(c.precision, torch.CPU)
	require.NoError(t, err)
	var net *mixture
	torch.WithGenerator(torch.NewGenerator(dpSeed), func() {
		net = c.build()
		if d := p.ModuleDType(); d != 0 {
			nn.To(net, d)
		}
		opt := dpOptimizer(net)
		streams := make([]*torch.Generator, c.devices)
		for k := 1; k < c.devices; k++ {
			streams[k] = torch.NewGenerator(dpSeed)
		}
		for step := range dpSteps {
			torch.Scope(func() {
				opt.ZeroGrad()
				for micro := range c.accumulate {
					x, y := dpBatch(step*c.accumulate+micro, c.batch)
					chunkedStep(p, net, streams, x, y)
				}
				opt.Step()
			})
		}
	})
	return net
}

// chunkedStep adds the gradients of a batch to those of net.
func chunkedStep(p amp.Precision, net *mixture, streams []*torch.Generator, x, y *torch.Tensor) {
	chunks := aten.Chunk(p.Input(x), len(streams), 0)
	copies := []*mixture{derived(net)}
	for range chunks[1:] {
		copies = append(copies, derived(nn.Clone(net))) // before the first writes its buffers
	}
	outs := make([]*torch.Tensor, len(chunks))
	for k, chunk := range chunks {
		forward := func() { p.Forward(torch.CPUType, func() { outs[k] = copies[k].Forward(chunk) }) }
		if k == 0 {
			forward()
		} else {
			torch.WithGenerator(streams[k], forward)
		}
	}
	joined := torch.Cat(outs, 0).Detach().RequiresGrad_(true)
	loss := F.CrossEntropy(p.Output(joined), y)
	scale := 1.0
	if p.Scaler() != nil {
		scale = 65536
	}
	upstream := aten.Chunk(torch.Grad([]*torch.Tensor{loss.MulScalar(scale)}, []*torch.Tensor{joined})[0], len(streams), 0)
	var sums []*torch.Tensor
	for k, c := range copies {
		grads := torch.Grad([]*torch.Tensor{outs[k]}, trained(c), torch.GradOptions{Gradients: []*torch.Tensor{upstream[k]}, AllowUnused: true})
		if sums == nil {
			sums = grads
			continue
		}
		for i, g := range grads {
			if g != nil {
				sums[i] = sums[i].Add(g)
			}
		}
	}
	for i, q := range trained(net) {
		if sums[i] == nil {
			continue
		}
		sums[i] = sums[i].DivScalar(scale)
		if had := q.Grad(); had != nil {
			sums[i] = had.Add(sums[i])
		}
		q.SetGrad(sums[i])
	}
}

// derived gives a copy of m with its tensors, of which those used twice are results of operations, as a replica's are:
// autocast converts them at each use, and a leaf once.
func derived(m *mixture) *mixture {
	c, mid := *m, *m.Mid
	mid.Weight.Tensor, mid.Bias.Tensor = m.Mid.Weight.Alias(), m.Mid.Bias.Alias()
	c.Mid = &mid
	return &c
}

func trained(m *mixture) (list []*torch.Tensor) {
	for _, p := range nn.Parameters(m) {
		if p.RequiresGrad() {
			list = append(list, p.Tensor)
		}
	}
	return list
}

// In evaluation, without gradients, the outputs are those of the whole batch, and nothing of the module changes.
func TestDPEvaluation(t *testing.T) {
	onReplicas(t, lite.Config{}, 3, func(l *lite.Lite) {
		net := newMixture()
		model, err := lite.Setup(l, net, net.Forward)
		require.NoError(t, err)
		model.Eval()
		before := net.Norm.RunningMean.ToBytes()
		x, _ := dpBatch(0, 8)
		for _, mode := range []func(func()){torch.NoGrad, torch.InferenceMode, func(f func()) { f() }} {
			mode(func() {
				whole, got := net.Forward(x), model.Forward(x)
				require.Equal(t, torch.GradEnabled(), got.RequiresGrad())
				require.True(t, aten.Allclose(whole, got, 1e-5, 1e-6, false))
			})
		}
		require.Equal(t, before, net.Norm.RunningMean.ToBytes())
	})
}

// A thousand steps leave as many tensors as ten, and no goroutine outlives the run.
func TestDPHoldsItsTensorsAndGoroutines(t *testing.T) {
	onReplicas(t, lite.Config{}, 2, func(*lite.Lite) {}) // the first run in a process starts what listens for signals
	goroutines := runtime.NumGoroutine()
	onReplicas(t, lite.Config{}, 3, func(l *lite.Lite) {
		net := newMixture()
		opt := dpOptimizer(net)
		model, err := lite.Setup(l, net, net.Forward, opt)
		require.NoError(t, err)
		held := 0
		var out *torch.Tensor
		for step := range 1000 {
			torch.Scope(func() {
				x, y := dpBatch(step, 6)
				opt.ZeroGrad()
				out = model.Forward(x)
				l.Backward(F.CrossEntropy(out, y))
				opt.Step()
				require.False(t, out.Released())
			})
			require.True(t, out.Released(), "it belongs to the step's scope")
			if step == 9 {
				runtime.GC()
				held = torch.LiveTensors()
			}
		}
		require.LessOrEqual(t, torch.LiveTensors(), held)
	})
	// require.Eventually would look from a goroutine of its own, which counts.
	for late := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > goroutines && time.Now().Before(late); {
		time.Sleep(time.Millisecond)
	}
	require.LessOrEqual(t, runtime.NumGoroutine(), goroutines)
}

// A loader keeps its sampler: there is one process, and its batches are cut up later.
func TestDPKeepsTheSampler(t *testing.T) {
	onReplicas(t, lite.Config{}, 2, func(l *lite.Lite) {
		require.Equal(t, 1, l.WorldSize())
		ready, err := lite.SetupDataLoader(l, data.NewLoader(numbers(5), 2, data.Options{Sampler: fixedOrder{4, 0, 3, 1, 2}}))
		require.NoError(t, err)
		require.Equal(t, [][]int64{{4, 0}, {3, 1}, {2}}, values(t, ready))
	})
}

// A run that goes on from a checkpoint draws what the run that wrote it would have drawn, on every device.
func TestDPResumes(t *testing.T) {
	path := t.TempDir() + "/dp.pt"
	train := func(load, save bool, seed uint64) (state []byte) {
		onReplicas(t, lite.Config{}, 3, func(l *lite.Lite) {
			l.SeedEverything(seed)
			net := newMixture()
			opt := dpOptimizer(net)
			model, err := lite.Setup(l, net, net.Forward, opt)
			require.NoError(t, err)
			first := 0
			if load {
				_, err := l.Load(path, lite.State{"model": model, "optimizer": opt})
				require.NoError(t, err)
				first = 2
			}
			for step := first; step < 4; step++ {
				if save && step == 2 {
					require.NoError(t, l.Save(path, lite.State{"model": model, "optimizer": opt}))
				}
				torch.Scope(func() {
					x, y := dpBatch(step, 6)
					opt.ZeroGrad()
					l.Backward(F.CrossEntropy(model.Forward(x), y))
					opt.Step()
				})
			}
			for _, p := range nn.StateDict(net).All() {
				state = append(state, p.ToBytes()...)
			}
		})
		return state
	}
	whole := train(false, true, 1)
	require.Equal(t, whole, train(true, false, 99))
	// The streams of another number of replicas can't be restored, and nothing else is lost.
	require.NoError(t, lite.Run(ctx, lite.Config{}, func(_ context.Context, l *lite.Lite) error {
		net := newMixture()
		model, err := lite.Setup(l, net, net.Forward)
		require.NoError(t, err)
		_, err = l.Load(path, lite.State{"model": model})
		return err
	}))
}
