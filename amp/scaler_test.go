package amp_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/amp"
	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

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

// pair is two parameters of ones with an optimizer each, under one scaler.
func pair(o amp.ScalerOptions) (s *amp.GradScaler, p, q nn.Parameter, one, two *optim.SGD) {
	p, q = nn.NewParameter(torch.Ones(3)), nn.NewParameter(torch.Ones(3))
	return amp.NewGradScaler(o), p, q, optim.NewSGD([]nn.Parameter{p}, 1), optim.NewSGD([]nn.Parameter{q}, 1)
}

// With two optimizers gradients are divided once each, in any order, and a backward pass counts once.
func TestTwoOptimizersAreUnscaledOnceEach(t *testing.T) {
	torch.Scope(func() {
		s, p, q, one, two := pair(amp.ScalerOptions{InitScale: 4, GrowthInterval: 2})
		s.Scale(p.Sum().Add(q.Sum())).Backward()
		s.Unscale(one)
		s.Unscale(two)
		s.Unscale(two)
		require.True(t, s.Step(one, one.Step))
		require.Equal(t, 4.0, s.CurrentScale())
		require.True(t, s.Step(two, two.Step))
		require.Equal(t, 4.0, s.CurrentScale(), "one good pass, of two that it takes to grow")
		require.Equal(t, []float32{0, 0, 0}, torch.ToSlice[float32](p.Tensor))
		require.Equal(t, []float32{0, 0, 0}, torch.ToSlice[float32](q.Tensor))
		one.ZeroGrad()
		two.ZeroGrad()
		s.Scale(p.Sum().Add(q.Sum())).Backward()
		require.True(t, s.Step(one, one.Step))
		require.True(t, s.Step(two, two.Step))
		require.Equal(t, 8.0, s.CurrentScale())
		require.Equal(t, []float32{-1, -1, -1}, torch.ToSlice[float32](q.Tensor))
	})
}

// An overflow that only one of them meets skips its step alone, and halves the scale; one that both meet halves it once.
func TestTwoOptimizersHalveTheScaleOnce(t *testing.T) {
	torch.Scope(func() {
		s, p, q, one, two := pair(amp.ScalerOptions{InitScale: 16})
		for i, infinite := range []bool{false, true} {
			one.ZeroGrad()
			two.ZeroGrad()
			loss := p.MulScalar(math.Inf(1)).Sum().Add(q.Sum())
			if infinite {
				loss = loss.MulScalar(math.Inf(1))
			}
			s.Scale(loss).Backward()
			require.False(t, s.Step(one, one.Step))
			require.Equal(t, !infinite, s.Step(two, two.Step))
			require.Equal(t, []float64{8, 4}[i], s.CurrentScale())
		}
		require.Equal(t, []float32{1, 1, 1}, torch.ToSlice[float32](p.Tensor))
		require.Equal(t, []float32{0, 0, 0}, torch.ToSlice[float32](q.Tensor))
	})
}

// Clipping each part of an accumulation would leave the later parts' gradients too large; a batch that is dropped after
// clipping must not.
func TestGradientsAddedAfterUnscaleAreRefused(t *testing.T) {
	torch.Scope(func() {
		s, p, _, one, _ := pair(amp.ScalerOptions{InitScale: 4})
		s.Scale(p.Sum()).Backward()
		s.Unscale(one)
		s.Scale(p.Sum()).Backward()
		require.ErrorContains(t, torch.Try(func() { s.Unscale(one) }), "clip once, after the last backward pass")

		one.ZeroGrad()
		s.Forget(one)
		s.Scale(p.Sum()).Backward()
		s.Unscale(one)
		require.Equal(t, []float32{1, 1, 1}, torch.ToSlice[float32](p.Grad()))
		require.True(t, s.Step(one, one.Step))
		require.Equal(t, []float32{0, 0, 0}, torch.ToSlice[float32](p.Tensor))
	})
}

// Gradients that were not scaled must not be divided: of a plain Backward, or of a step before.
func TestGradientsThatNoScaledLossGaveAreRefused(t *testing.T) {
	torch.Scope(func() {
		s, p, q, one, two := pair(amp.ScalerOptions{InitScale: 4})
		require.True(t, s.Step(one, one.Step), "without gradients there is nothing to spoil")
		p.Sum().Backward()
		require.ErrorContains(t, torch.Try(func() { s.Step(one, one.Step) }), "l.Backward(loss)")
		require.ErrorContains(t, torch.Try(func() { s.Unscale(one) }), "no loss was scaled")
		one.ZeroGrad()

		s.Scale(p.Sum().Add(q.Sum())).Backward()
		require.True(t, s.Step(one, one.Step))
		require.ErrorContains(t, torch.Try(func() { s.Step(one, one.Step) }), "no loss was scaled")
		s.Update()
		require.ErrorContains(t, torch.Try(func() { s.Unscale(one) }), "no loss was scaled", "the scale's change alters nothing in that")
		require.True(t, s.Step(two, two.Step), "the other's are still to be used")
		require.Equal(t, []float32{0, 0, 0}, torch.ToSlice[float32](p.Tensor))
		require.Equal(t, []float32{0, 0, 0}, torch.ToSlice[float32](q.Tensor))
	})
}

// Gradients wait for their own loss's factor, whatever has become of the scale meanwhile.
func TestGradientsAreDividedByTheirLossesFactor(t *testing.T) {
	torch.Scope(func() {
		s, p, q, one, two := pair(amp.ScalerOptions{InitScale: 4, GrowthInterval: 1})
		s.Scale(p.Sum().Add(q.Sum())).Backward()
		require.True(t, s.Step(one, one.Step))
		s.Update()
		require.Equal(t, 8.0, s.CurrentScale())
		require.True(t, s.Step(two, two.Step))
		require.Equal(t, []float32{0, 0, 0}, torch.ToSlice[float32](q.Tensor))
	})
}

// Two scalers whose parameters are parts of one model agree on an overflow that only one of them has, and on a step in
// which one of them has no gradient at all.
func TestScalersAgreeOnAnOverflow(t *testing.T) {
	for name, c := range map[string]struct {
		grads [2]float64 // of each scaler's parameter; 0: it has none
		ran   bool
	}{
		"none overflows":       {[2]float64{1, 2}, true},
		"first overflows":      {[2]float64{math.Inf(1), 2}, false},
		"second overflows":     {[2]float64{1, math.NaN()}, false},
		"first has none":       {[2]float64{0, math.Inf(1)}, false},
		"second has none":      {[2]float64{1, 0}, true},
		"overflow beside none": {[2]float64{math.Inf(-1), 0}, false},
	} {
		t.Run(name, func(t *testing.T) {
			torch.Scope(func() {
				var marks []*torch.Tensor
				var scalers []*amp.GradScaler
				var opts []optim.Optimizer
				for _, grad := range c.grads {
					p := nn.NewParameter(torch.Ones(2))
					opts = append(opts, optim.NewSGD([]nn.Parameter{p}, 0.5))
					s := amp.NewGradScaler(amp.ScalerOptions{InitScale: 4})
					s.OnFoundInf(func(found *torch.Tensor) { marks = append(marks, found) })
					s.Scale(torch.Ones(1))
					if grad != 0 {
						p.SetGrad(torch.Full(grad, 2))
					}
					scalers = append(scalers, s)
				}
				for i, s := range scalers { // what ranks do at once: all divide before one steps
					s.Unscale(opts[i])
				}
				require.Len(t, marks, 2, "a scaler without gradients calls it, too")
				both := marks[0].Add(marks[1])
				for i, s := range scalers {
					marks[i].Copy_(both)
					require.Equal(t, c.ran, s.Step(opts[i], func() {}))
					s.Update()
					want := 4.0
					if !c.ran {
						want = 2
					}
					require.Equal(t, want, s.CurrentScale())
				}
				require.Len(t, marks, 2, "once for each division")
			})
		})
	}
	s := amp.NewGradScaler()
	calls := 0
	s.OnFoundInf(func(*torch.Tensor) { calls++ })
	s.OnFoundInf(nil)
	p := nn.NewParameter(torch.Ones(1))
	s.Step(optim.NewSGD([]nn.Parameter{p}, 0.5), func() {})
	require.Zero(t, calls)
}
