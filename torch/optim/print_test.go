package optim_test

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

func matrices(n int) (list []nn.Parameter) {
	for range n {
		list = append(list, nn.NewParameter(torch.Ones(2, 2)))
	}
	return list
}

// printedTwins are the optimizers of scripts/fixtures/record_repr.py.
var printedTwins = map[string]func() optim.Optimizer{
	"SGD": func() optim.Optimizer { return optim.NewSGD(matrices(2), 0.1) },
	"SGD all": func() optim.Optimizer {
		return optim.NewSGD(matrices(2), 0.1, optim.SGDOptions{Momentum: 0.9, WeightDecay: 5e-4, Nesterov: true,
			Maximize: true, Fused: true})
	},
	"SGD groups": func() optim.Optimizer {
		groups := []optim.Group{{Params: matrices(2)}, {Params: matrices(1), LR: new(0.5), WeightDecay: new(0.01)}}
		return optim.NewSGDGroups(groups, 0.1, optim.SGDOptions{Momentum: 0.9})
	},
	"SGD scheduled": func() optim.Optimizer {
		o := optim.NewSGD(matrices(2), 0.1, optim.SGDOptions{Momentum: 0.9})
		optim.NewStepLR(o, 30)
		return o
	},
	"Adam": func() optim.Optimizer { return optim.NewAdam(matrices(2), 0.001) },
	"Adam all": func() optim.Optimizer {
		return optim.NewAdam(matrices(2), 3e-4, optim.AdamOptions{Betas: &[2]float64{0.8, 0.99}, Eps: new(1e-6),
			WeightDecay: 0.01, AMSGrad: true})
	},
	"AdamW": func() optim.Optimizer {
		return optim.NewAdamW(matrices(2), 6e-4, optim.AdamWOptions{WeightDecay: new(0.1)})
	},
	"Adadelta": func() optim.Optimizer { return optim.NewAdadelta(matrices(2), 1) },
	"Adagrad": func() optim.Optimizer {
		return optim.NewAdagrad(matrices(2), 0.01,
			optim.AdagradOptions{LRDecay: 0.1})
	},
	"Adamax": func() optim.Optimizer { return optim.NewAdamax(matrices(2), 0.002) },
	"ASGD":   func() optim.Optimizer { return optim.NewASGD(matrices(2), 0.01) },
	"LBFGS":  func() optim.Optimizer { return optim.NewLBFGS(matrices(2), 1, optim.LBFGSOptions{StrongWolfe: true}) },
	"LBFGS plain": func() optim.Optimizer {
		return optim.NewLBFGS(matrices(2), 1)
	},
	"NAdam": func() optim.Optimizer { return optim.NewNAdam(matrices(2), 0.002) },
	"RAdam": func() optim.Optimizer { return optim.NewRAdam(matrices(2), 0.001) },
	"RMSprop": func() optim.Optimizer {
		return optim.NewRMSprop(matrices(2), 0.01, optim.RMSpropOptions{Momentum: 0.5, Centered: true})
	},
	"Rprop": func() optim.Optimizer { return optim.NewRprop(matrices(2), 0.01) },
}

// Every optimizer is printed as PyTorch prints it.
func TestOptimizersPrintAsPyTorchs(t *testing.T) {
	data, err := os.ReadFile("testdata/repr.json")
	require.NoError(t, err)
	var recorded struct{ Cases []struct{ Name, Text string } }
	require.NoError(t, json.Unmarshal(data, &recorded))
	require.Len(t, recorded.Cases, len(printedTwins))
	for _, c := range recorded.Cases {
		require.Contains(t, printedTwins, c.Name)
		require.Equal(t, c.Text, fmt.Sprint(printedTwins[c.Name]()), "%s", c.Name)
	}
}
