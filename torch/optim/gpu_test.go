package optim_test

import (
	"testing"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/cuda/gputest"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// An optimizer steps on each device as on the CPU, by loops and by fused kernels.
func TestOptimizersOnEachDevice(t *testing.T) {
	gputest.Exact(t)
	type params = []nn.Parameter
	for name, build := range map[string]func(params) optim.Optimizer{
		"SGD": func(p params) optim.Optimizer {
			return optim.NewSGD(p, 0.1, optim.SGDOptions{Momentum: 0.9, Nesterov: true, WeightDecay: 0.01})
		},
		"SGD, fused": func(p params) optim.Optimizer {
			return optim.NewSGD(p, 0.1, optim.SGDOptions{Momentum: 0.9, Fused: true})
		},
		"Adam":        func(p params) optim.Optimizer { return optim.NewAdam(p, 0.1, optim.AdamOptions{AMSGrad: true}) },
		"Adam, fused": func(p params) optim.Optimizer { return optim.NewAdam(p, 0.1, optim.AdamOptions{Fused: true}) },
		"AdamW":       func(p params) optim.Optimizer { return optim.NewAdamW(p, 0.1) },
		"AdamW, fused": func(p params) optim.Optimizer {
			return optim.NewAdamW(p, 0.1, optim.AdamWOptions{Fused: true})
		},
		"Adagrad": func(p params) optim.Optimizer { return optim.NewAdagrad(p, 0.1) },
		"Adagrad, fused": func(p params) optim.Optimizer {
			return optim.NewAdagrad(p, 0.1, optim.AdagradOptions{Fused: true})
		},
		"Adadelta": func(p params) optim.Optimizer { return optim.NewAdadelta(p, 1) },
		"Adamax":   func(p params) optim.Optimizer { return optim.NewAdamax(p, 0.1) },
		"ASGD":     func(p params) optim.Optimizer { return optim.NewASGD(p, 0.1) },
		"NAdam":    func(p params) optim.Optimizer { return optim.NewNAdam(p, 0.1) },
		"RAdam":    func(p params) optim.Optimizer { return optim.NewRAdam(p, 0.1) },
		"RMSprop":  func(p params) optim.Optimizer { return optim.NewRMSprop(p, 0.1) },
		"Rprop":    func(p params) optim.Optimizer { return optim.NewRprop(p, 0.1) },
		"LBFGS":    func(p params) optim.Optimizer { return optim.NewLBFGS(p, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			gputest.EachDevice(t, func(t *testing.T, on torch.Options) {
				run := func(d torch.Device) *torch.Tensor {
					p := nn.NewParameter(torch.From([]float32{1, -2, 3, 0.5}).To(d))
					target := torch.From([]float32{0.5, 0.25, -1, 2}).To(d)
					o := build(params{p})
					for range 6 {
						o.StepFunc(func() *torch.Tensor {
							o.ZeroGrad()
							loss := p.Sub(target).Square().Sum()
							loss.Backward()
							return loss
						})
					}
					return p.Tensor
				}
				gputest.Near(t, run(torch.CPU), run(on.Device), 1e-4, "a parameter after 6 steps")
			})
		})
	}
}
