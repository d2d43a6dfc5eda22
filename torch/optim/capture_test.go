package optim_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// The learning rates are numbers that float32 holds too.
var fusedOptimizers = map[string]func([]nn.Parameter) optim.Optimizer{
	"SGD": func(p []nn.Parameter) optim.Optimizer {
		return optim.NewSGD(p, 0.125, optim.SGDOptions{Momentum: 0.9, Fused: true})
	},
	"Adam": func(p []nn.Parameter) optim.Optimizer {
		return optim.NewAdam(p, 0.125, optim.AdamOptions{AMSGrad: true, Fused: true})
	},
	"AdamW": func(p []nn.Parameter) optim.Optimizer {
		return optim.NewAdamW(p, 0.125, optim.AdamWOptions{Fused: true})
	},
	"Adagrad": func(p []nn.Parameter) optim.Optimizer {
		return optim.NewAdagrad(p, 0.125, optim.AdagradOptions{Fused: true})
	},
}

// A fused step that is told of an overflow changes nothing, its count included, and the next one is like the first.
func TestStepUnless(t *testing.T) {
	for name, build := range fusedOptimizers {
		t.Run(name, func(t *testing.T) {
			torch.Scope(func() {
				run := func(overflows ...bool) ([]float32, map[string]any) {
					p := nn.NewParameter(torch.Ones(3))
					o := build([]nn.Parameter{p})
					require.NoError(t, optim.Capturable(o, true))
					for _, over := range overflows {
						o.ZeroGrad()
						p.Mul(p.Tensor).Sum().Backward()
						found := torch.Zeros()
						if over {
							found = torch.Ones()
						}
						optim.StepUnless(o, found, o.Step)
					}
					o.ZeroGrad()
					p.Mul(p.Tensor).Sum().Backward()
					o.Step()
					return torch.ToSlice[float32](p.Tensor), o.StateDict()
				}
				want, state := run(false)
				got, stateAfterOverflow := run(false, true)
				require.Equal(t, want, got)
				require.Equal(t, describe(state), describe(stateAfterOverflow))
				once, _ := run()
				require.NotEqual(t, once, want, "a step without an overflow is one")
			})
		})
	}
}

// describe gives a state's tensors as text.
func describe(v any) any {
	switch v := v.(type) {
	case *torch.Tensor:
		return v.String()
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			out[k] = describe(x)
		}
		return out
	case map[int]any:
		out := map[int]any{}
		for k, x := range v {
			out[k] = describe(x)
		}
		return out
	}
	return v
}

func TestCapturable(t *testing.T) {
	p := []nn.Parameter{nn.NewParameter(torch.Ones(3))}
	require.NoError(t, optim.Capturable(optim.NewSGD(p, 0.1), false))
	require.ErrorContains(t, optim.Capturable(optim.NewSGD(p, 0.1), true), "Fused")
	require.ErrorContains(t, optim.Capturable(optim.NewAdam(p, 0.1), false), "Fused")
	require.ErrorContains(t, optim.Capturable(optim.NewRMSprop(p, 0.1), false), "in Go")
}

func TestSettingsShowAChange(t *testing.T) {
	for fused, changed := range map[bool]bool{false: true, true: false} {
		o := optim.NewSGD([]nn.Parameter{nn.NewParameter(torch.Ones(3))}, 0.1, optim.SGDOptions{Fused: fused})
		before := optim.Settings(o)
		sched := optim.NewStepLR(o, 1)
		require.Equal(t, before, optim.Settings(o), "a schedule alone changes nothing")
		sched.Step()
		require.Equal(t, changed, before != optim.Settings(o), "the rate is baked in where it isn't read from the device")
		o.ParamGroups()[0].Momentum = 0.5
		require.NotEqual(t, before, optim.Settings(o))
	}
}

// A rate that is read from a tensor gives the step of the same rate.
func TestRecordedStepsReadTheirRates(t *testing.T) {
	for name, build := range fusedOptimizers {
		t.Run(name, func(t *testing.T) {
			torch.Scope(func() {
				run := func(step func(optim.Optimizer, func())) []float32 {
					p := nn.NewParameter(torch.From([]float32{1, 2, 3}))
					o := build([]nn.Parameter{p})
					sched := optim.NewExponentialLR(o, 0.5)
					for range 4 {
						o.ZeroGrad()
						p.Mul(p.Tensor).Sum().Backward()
						step(o, o.Step)
						sched.Step()
					}
					return torch.ToSlice[float32](p.Tensor)
				}
				want := run(func(_ optim.Optimizer, step func()) { step() })
				require.Equal(t, want, run(func(o optim.Optimizer, step func()) {
					optim.WriteRates(o)
					optim.Recording(o, step)
				}))
			})
		})
	}
}

// What WriteRates writes is the rate of the step, not the group's.
func TestWriteRates(t *testing.T) {
	p := nn.NewParameter(torch.Ones(3))
	o := optim.NewSGD([]nn.Parameter{p}, 0.5, optim.SGDOptions{Fused: true})
	p.Sum().Backward()
	optim.WriteRates(o)
	optim.Recording(o, func() {
		o.ParamGroups()[0].LR = 100
		o.Step()
		require.Equal(t, []float32{0.5, 0.5, 0.5}, torch.ToSlice[float32](p.Tensor))
		o.ParamGroups()[0].LR = 0.25
		optim.WriteRates(o)
		o.Step()
		require.Equal(t, []float32{0.25, 0.25, 0.25}, torch.ToSlice[float32](p.Tensor))
	})
}

func TestRevisionCountsReplacedStates(t *testing.T) {
	p := nn.NewParameter(torch.Ones(3))
	o := optim.NewAdam([]nn.Parameter{p}, 0.5)
	p.Sum().Backward()
	o.Step()
	require.Zero(t, optim.Revision(o))
	require.NoError(t, o.LoadStateDict(o.StateDict()))
	require.Equal(t, 1, optim.Revision(o))
	require.Error(t, o.LoadStateDict(nil))
	require.Equal(t, 1, optim.Revision(o), "a state that was refused replaces none")
	optim.MoveState(o)
	require.Equal(t, 2, optim.Revision(o))
}
