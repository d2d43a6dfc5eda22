package lite_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// Models and optimizers in a list of a State are saved and filled like others, also where ranks hold parts of them.
func TestListsInAState(t *testing.T) {
	for _, strategy := range []string{"ddp_spawn", "fsdp_spawn"} {
		t.Run(strategy, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "list.pt")
			step := func(ctx context.Context, l *lite.Lite, seed uint64) (*lite.Model[*nn.Linear, func(*torch.Tensor) *torch.Tensor], optim.Optimizer) {
				l.SeedEverything(seed)
				net := nn.NewLinear(3, 5)
				opt := optim.NewSGD(nn.Parameters(net), 0.1, optim.SGDOptions{Momentum: 0.9})
				model, err := lite.Setup(l, net, net.Forward, opt)
				require.NoError(t, err)
				l.Backward(model.Forward(torch.Ones(2, 3)).Pow(2).Mean())
				opt.Step()
				return model, opt
			}
			cfg := lite.Config{Strategy: strategy, Devices: "2"}
			require.NoError(t, lite.Run(t.Context(), cfg, func(ctx context.Context, l *lite.Lite) error {
				model, opt := step(ctx, l, 1)
				return l.Save(path, lite.State{"models": []any{model}, "optimizers": []any{opt}, "numbers": []any{1, 2.5}})
			}))
			require.NoError(t, lite.Run(t.Context(), cfg, func(ctx context.Context, l *lite.Lite) error {
				want, wantOpt := step(ctx, l, 1)
				model, opt := step(ctx, l, 2)
				rest, err := l.Load(path, lite.State{"models": []any{model}, "optimizers": []any{opt}})
				require.NoError(t, err)
				require.Equal(t, []any{1, 2.5}, rest["numbers"])
				for i, p := range model.Parameters() {
					require.True(t, p.Equal(want.Parameters()[i].Tensor))
				}
				momentum := func(o optim.Optimizer) *torch.Tensor {
					return o.StateDict()["state"].(map[int]any)[0].(map[string]any)["momentum_buffer"].(*torch.Tensor)
				}
				require.True(t, momentum(opt).Equal(momentum(wantOpt)))
				_, err = l.Load(path, lite.State{"optimizers": []any{opt, opt}})
				require.ErrorContains(t, err, "want a list of 2, found a list of 1")
				return nil
			}))
			require.NoError(t, lite.Run(t.Context(), lite.Config{}, func(ctx context.Context, l *lite.Lite) error {
				all, err := l.Load(path, nil)
				require.NoError(t, err)
				sd := all["models"].([]any)[0].(*torch.StateDict)
				w, _ := sd.Get("weight")
				require.Equal(t, []int{5, 3}, w.Shape())
				return nil
			}))
		})
	}
}
