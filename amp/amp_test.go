package amp_test

import (
	"math"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/amp"
	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

func TestMain(m *testing.M) { fixture.Main(m) }

func raw(t *torch.Tensor) fixture.Tensor {
	return fixture.Tensor{DType: t.DType().String(), Shape: t.Shape(), Data: t.Detach().ToBytes()}
}

// course is what a case says of a scaler's steps.
type course struct {
	Kwargs   map[string]float64
	Overflow []int
	Clip     *float64
	Scale    fixture.Floats
	Tracker  []int
	P0       fixture.Floats
}

func TestGradScalerTakesPyTorchsCourse(t *testing.T) {
	file := fixture.Open(t, "testdata/amp.json.gz")
	for _, name := range []string{"scaler", "scaler/overflow", "scaler/growth", "scaler/factors", "scaler/clip"} {
		t.Run(name, func(t *testing.T) {
			c := file.Case(t, name)
			var want course
			c.Decode(t, &want)
			torch.Scope(func() {
				torch.ManualSeed(c.Seed)
				p, q := nn.NewParameter(torch.Randn(5, 3)), nn.NewParameter(torch.Randn(4))
				params := []nn.Parameter{p, q}
				opt := optim.NewSGD(params, 0.1, optim.SGDOptions{Momentum: 0.9})
				s := amp.NewGradScaler(amp.ScalerOptions{InitScale: want.Kwargs["init_scale"], GrowthFactor: want.Kwargs["growth_factor"],
					BackoffFactor: want.Kwargs["backoff_factor"], GrowthInterval: int(want.Kwargs["growth_interval"])})
				var scales, firsts []float64
				var trackers []int
				for i := range want.Tracker {
					ran := step(s, opt, params, i, want)
					overflows := false
					for _, at := range want.Overflow {
						overflows = overflows || at == i
					}
					require.Equal(t, !overflows, ran, "step %d", i)
					scales = append(scales, s.CurrentScale())
					trackers = append(trackers, s.StateDict()["_growth_tracker"].(int))
					firsts = append(firsts, p.Index(0, 0).Item())
				}
				c.EqualFloats(t, "scale", want.Scale, scales)
				require.Equal(t, want.Tracker, trackers)
				c.EqualFloats(t, "p[0, 0]", want.P0, firsts)
				c.Equal(t, "p", raw(p.Tensor))
				c.Equal(t, "q", raw(q.Tensor))
			})
		})
	}
}

func step(s *amp.GradScaler, opt *optim.SGD, params []nn.Parameter, i int, c course) (ran bool) {
	opt.ZeroGrad()
	x := torch.Randn(5, 3)
	for _, at := range c.Overflow {
		if at == i {
			x = x.DivScalar(0)
		}
	}
	loss := params[0].Mul(x).Sum().Add(params[1].Mul(params[1].Tensor).Sum().MulScalar(0.5))
	s.Scale(loss).Backward()
	if c.Clip != nil {
		s.Unscale(opt)
		nn.ClipGradNorm_(params, *c.Clip)
	}
	return s.Step(opt, func() { opt.Step() })
}

func TestGradScalerState(t *testing.T) {
	s := amp.NewGradScaler(amp.ScalerOptions{InitScale: 8, GrowthInterval: 5})
	require.Equal(t, map[string]any{"scale": 8.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 5, "_growth_tracker": 0},
		s.StateDict())
	other := amp.NewGradScaler()
	require.NoError(t, other.LoadStateDict(s.StateDict()))
	require.Equal(t, s.StateDict(), other.StateDict())
	for _, bad := range []map[string]any{nil, {}, {"scale": "8"}} {
		require.ErrorContains(t, other.LoadStateDict(bad), "_growth_tracker")
	}
	require.Equal(t, s.StateDict(), other.StateDict(), "a refused state changes nothing")
	for _, bad := range []amp.ScalerOptions{{GrowthFactor: 1}, {BackoffFactor: 1}, {InitScale: -1}, {GrowthInterval: -1}} {
		require.Error(t, torch.Try(func() { amp.NewGradScaler(bad) }), "%+v", bad)
	}
}

func TestTwoOptimizersAreUnscaledOnceEach(t *testing.T) {
	torch.Scope(func() {
		p, q := nn.NewParameter(torch.Ones(3)), nn.NewParameter(torch.Ones(3))
		one, two := optim.NewSGD([]nn.Parameter{p}, 1), optim.NewSGD([]nn.Parameter{q}, 1)
		s := amp.NewGradScaler(amp.ScalerOptions{InitScale: 4, GrowthInterval: 1})
		s.Scale(p.Sum().Add(q.Sum())).Backward()
		s.Unscale(one)
		s.Unscale(two)
		s.Unscale(two)
		require.True(t, s.Step(one, func() { one.Step() }))
		require.Equal(t, 8.0, s.CurrentScale(), "it grows after each step here")
		require.True(t, s.Step(two, func() { two.Step() }))
		require.Equal(t, []float32{0, 0, 0}, torch.ToSlice[float32](p.Tensor))
		require.Equal(t, []float32{0, 0, 0}, torch.ToSlice[float32](q.Tensor))
	})
}

func TestAutocastGivesPyTorchsTypes(t *testing.T) {
	file := fixture.Open(t, "testdata/amp.json.gz")
	for name, dtype := range map[string]torch.DType{"autocast/float16": torch.Float16, "autocast/bfloat16": torch.BFloat16} {
		t.Run(name, func(t *testing.T) {
			c := file.Case(t, name)
			var want struct{ DTypes map[string]string }
			c.Decode(t, &want)
			torch.Scope(func() {
				torch.ManualSeed(c.Seed)
				a, b, bias := torch.Randn(4, 4), torch.Randn(4, 4), torch.Randn(4)
				out := map[string]*torch.Tensor{}
				amp.Autocast(torch.CPUType, dtype, func() {
					out["mm"] = a.MatMul(b)
					out["linear"] = F.Linear(a, b, bias)
					out["softmax"] = F.Softmax(a.MatMul(b), -1)
					out["sum"] = a.MatMul(b).Sum()
					out["add"] = a.MatMul(b).Add(b)
					out["mse"] = F.MSELoss(a.MatMul(b), b)
					out["int"] = a.To(torch.Int64).AddScalar(1)
					amp.NoAutocast(torch.CPUType, func() { out["off"] = a.MatMul(b) })
				})
				require.Len(t, out, len(want.DTypes))
				for what, got := range out {
					require.Equal(t, want.DTypes[what], got.DType().String(), what)
				}
				for _, what := range []string{"mm", "linear", "softmax", "mse"} {
					c.Equal(t, what, raw(out[what]))
				}
			})
		})
	}
}

// Goroutines change threads, and libtorch keeps autocast's state for each thread.
func TestAutocastStaysWithItsGoroutine(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 50 {
				x := torch.Ones(2, 2)
				if i%2 == 0 {
					amp.Autocast(torch.CPUType, torch.BFloat16, func() {
						if d := x.MatMul(x).DType(); d != torch.BFloat16 {
							t.Errorf("under autocast: %s", d)
						}
					})
				}
				if _, on := amp.Enabled(torch.CPUType); on {
					t.Error("autocast is on outside of it")
				}
				if d := x.MatMul(x).DType(); d != torch.Float32 {
					t.Errorf("outside of autocast: %s", d)
				}
				x.Release()
			}
		}()
	}
	wg.Wait()
}

func TestAutocastEndsWithAPanic(t *testing.T) {
	require.Error(t, torch.Try(func() {
		amp.Autocast(torch.CPUType, torch.BFloat16, func() { torch.Ones(2, 3).MatMul(torch.Ones(2, 3)) })
	}))
	_, on := amp.Enabled(torch.CPUType)
	require.False(t, on)
}

func TestPrecisions(t *testing.T) {
	for name, want := range map[string]struct {
		name    string
		module  torch.DType
		inside  torch.DType // of a matrix product of the converted input in the forward pass
		outside torch.DType
		scaler  bool
	}{
		"":           {"32-true", 0, torch.Float32, torch.Float32, false},
		"32":         {"32-true", 0, torch.Float32, torch.Float32, false},
		"64":         {"64-true", torch.Float64, torch.Float64, torch.Float32, false},
		"16":         {"16-mixed", 0, torch.Float16, torch.Float32, true},
		"bf16":       {"bf16-mixed", 0, torch.BFloat16, torch.Float32, false},
		"16-true":    {"16-true", torch.Float16, torch.Float16, torch.Float32, false},
		" BF16-true": {"bf16-true", torch.BFloat16, torch.BFloat16, torch.Float32, false},
	} {
		p, err := amp.New(name, torch.CPU)
		require.NoError(t, err)
		require.Equal(t, want.name, p.Name())
		require.Equal(t, want.module, p.ModuleDType())
		require.Equal(t, want.scaler, p.Scaler() != nil)
		torch.Scope(func() {
			x := torch.Ones(2, 2)
			var y *torch.Tensor
			p.Forward(torch.CPUType, func() { in := p.Input(x); y = in.MatMul(in) })
			require.Equal(t, want.inside, y.DType(), name)
			require.Equal(t, want.outside, p.Output(y).DType(), name)
			whole := torch.From([]int64{1, 2})
			require.Same(t, whole, p.Input(whole), "integers are left alone")
		})
	}
	_, err := amp.New("8", torch.CPU)
	require.ErrorContains(t, err, "bf16-mixed")
}

func TestScaleIsFiniteAfterManyOverflows(t *testing.T) {
	torch.Scope(func() {
		p := nn.NewParameter(torch.Ones(1))
		opt := optim.NewSGD([]nn.Parameter{p}, 1)
		s := amp.NewGradScaler(amp.ScalerOptions{InitScale: 2})
		for range 5 {
			opt.ZeroGrad()
			s.Scale(p.MulScalar(math.Inf(1)).Sum()).Backward()
			require.False(t, s.Step(opt, func() { opt.Step() }))
		}
		require.Equal(t, 2.0/32, s.CurrentScale())
		require.Equal(t, 1.0, p.Item())
	})
}
