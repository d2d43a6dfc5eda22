package optim_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// A fused step that is told of an overflow changes nothing, its count included, and the next one is like the first.
func TestStepUnless(t *testing.T) {
	for name, build := range map[string]func([]nn.Parameter) optim.Optimizer{
		"SGD": func(p []nn.Parameter) optim.Optimizer {
			return optim.NewSGD(p, 0.1, optim.SGDOptions{Momentum: 0.9, Fused: true})
		},
		"Adam":  func(p []nn.Parameter) optim.Optimizer { return optim.NewAdam(p, 0.1, optim.AdamOptions{Fused: true}) },
		"AdamW": func(p []nn.Parameter) optim.Optimizer { return optim.NewAdamW(p, 0.1, optim.AdamWOptions{Fused: true}) },
		"Adagrad": func(p []nn.Parameter) optim.Optimizer {
			return optim.NewAdagrad(p, 0.1, optim.AdagradOptions{Fused: true})
		},
	} {
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
	o := optim.NewSGD([]nn.Parameter{nn.NewParameter(torch.Ones(3))}, 0.1)
	before := optim.Settings(o)
	sched := optim.NewStepLR(o, 1)
	require.Equal(t, before, optim.Settings(o), "a schedule alone changes nothing")
	sched.Step()
	require.NotEqual(t, before, optim.Settings(o))
}
