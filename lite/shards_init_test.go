package lite_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

// TestShardsOfAnEmptyModule: of a module without memory Setup makes the ranks' rows alone, into which Load reads; the optimizer may
// have been made before.
func TestShardsOfAnEmptyModule(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	want := shardRun{strategy: "single_device", ranks: 1, to: 4}.train(t)
	shardRun{strategy: "single_device", ranks: 1, to: 2, save: file}.train(t)
	for _, name := range []string{"fsdp_spawn", "deepspeed_spawn", "fsdp_cpu_offload_spawn"} {
		t.Run(name, func(t *testing.T) {
			var losses []float64
			cfg := lite.Config{Strategy: name, Accelerator: "cpu", Devices: "2"}
			require.NoError(t, lite.Run(ctx, cfg, func(_ context.Context, l *lite.Lite) error {
				net := lite.InitModule(l, newShardNet, lite.InitOptions{Empty: true})
				if !nn.OnMeta(net) {
					return fmt.Errorf("the module has memory")
				}
				opt := optim.NewAdamW(nn.Parameters(net), 1e-2)
				model, err := lite.Setup(l, net, net.Forward, opt)
				if err != nil {
					return err
				}
				if _, err := l.Load(file, lite.State{"model": model, "optimizer": opt}); err != nil {
					return err
				}
				for step := 2; step < 4; step++ {
					g := torch.NewGenerator(uint64(step))
					x, y := torch.Options{Generator: g}.Randn(6, 3), torch.Options{Generator: g}.Randn(6, 5)
					loss := F.MSELoss(model.Forward(x), y)
					l.Backward(loss)
					opt.Step()
					opt.ZeroGrad()
					if l.GlobalRank() == 0 {
						losses = append(losses, loss.Item())
					}
				}
				return nil
			}))
			near(t, want[2:], losses, 2e-5)
		})
	}
}

// TestShardsRefuse: what can't be had under shards is refused with what to do.
func TestShardsRefuse(t *testing.T) {
	for name, c := range map[string]struct {
		f    func(l *lite.Lite) error
		want string
	}{
		"a module that is to stay": {func(l *lite.Lite) error {
			net := newShardNet()
			_, err := lite.SetupModule(l, net, net.Forward, lite.ModuleOptions{NoMove: true})
			return err
		}, "leave ModuleOptions.NoMove"},
		"LBFGS": {func(l *lite.Lite) error {
			net := newShardNet()
			_, err := lite.Setup(l, net, net.Forward, optim.NewLBFGS(nn.Parameters(net), 1))
			return err
		}, "use another optimizer"},
		"other numbers of passes": {func(l *lite.Lite) error {
			net := newShardNet()
			model, err := lite.Setup(l, net, net.Forward)
			if err != nil {
				return err
			}
			return torch.Try(func() { l.Join(model, func() {}) })
		}, "same number of batches"},
		"a parameter that is left out too late": {func(l *lite.Lite) error {
			net := newShardNet()
			if _, err := lite.Setup(l, net, net.Forward); err != nil {
				return err
			}
			return torch.Try(func() { l.IgnoreParameters(nn.Parameters(net)[0]) })
		}, "before Setup"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := lite.Config{Strategy: "fsdp_spawn", Accelerator: "cpu", Devices: "2"}
			require.NoError(t, lite.Run(ctx, cfg, func(_ context.Context, l *lite.Lite) error {
				err := c.f(l)
				if err == nil {
					return fmt.Errorf("it was not refused")
				}
				require.ErrorContains(t, err, c.want)
				return nil
			}))
		})
	}
}
