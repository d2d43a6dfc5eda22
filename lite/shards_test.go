package lite_test

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

// shardNames are the strategies whose ranks hold parts, with goroutines.
var shardNames = []string{"fsdp_spawn", "fsdp_cpu_offload_spawn", "deepspeed_spawn", "deepspeed_stage_1_offload_spawn",
	"deepspeed_stage_3_spawn", "deepspeed_stage_3_offload_spawn", "ddp_sharded_spawn"}

// shardNet has blocks of 7 and 5 rows, and a buffer.
type shardNet struct {
	nn.Base
	In     *nn.Linear
	Blocks []*shardBlock
	Norm   *nn.BatchNorm1d
}

type shardBlock struct {
	nn.Base
	Up, Down *nn.Linear
}

func newShardNet() (m *shardNet) {
	torch.WithGenerator(torch.NewGenerator(5), func() {
		m = &shardNet{In: nn.NewLinear(3, 5), Norm: nn.NewBatchNorm1d(5)}
		for range 3 {
			m.Blocks = append(m.Blocks, &shardBlock{Up: nn.NewLinear(5, 7), Down: nn.NewLinear(7, 5)})
		}
	})
	return m
}

func (m *shardNet) Forward(x *torch.Tensor) *torch.Tensor {
	x = m.In.Forward(x)
	for _, b := range m.Blocks {
		x = x.Add(b.Down.Forward(F.GELU(b.Up.Forward(x))))
	}
	return m.Norm.Forward(x)
}

// shardRun trains from step to step on the same batches on all ranks, so that any number of ranks gives the same.
type shardRun struct {
	strategy  string
	ranks     int
	precision string
	from, to  int
	load      string // checkpoint to begin with
	save      string // plain file at the end
	folder    string // folder at the end
	clip      float64
}

func (r shardRun) train(t *testing.T) (losses []float64) {
	t.Helper()
	var lock sync.Mutex
	cfg := lite.Config{Strategy: r.strategy, Accelerator: "cpu", Devices: lite.Devices(fmt.Sprint(r.ranks)), Precision: r.precision}
	require.NoError(t, lite.Run(ctx, cfg, func(_ context.Context, l *lite.Lite) error {
		net := newShardNet()
		opt := optim.NewAdamW(nn.Parameters(net), 1e-2) // before Setup
		model, err := lite.Setup(l, net, net.Forward, opt)
		if err != nil {
			return err
		}
		state := lite.State{"model": model, "optimizer": opt}
		if r.load != "" {
			if _, err := l.Load(r.load, state); err != nil {
				return err
			}
		}
		for step := r.from; step < r.to; step++ {
			g := torch.NewGenerator(uint64(step))
			torch.Scope(func() {
				x, y := torch.Options{Generator: g}.Randn(6, 3), torch.Options{Generator: g}.Randn(6, 5)
				loss := F.MSELoss(model.Forward(x), y)
				opt.ZeroGrad()
				l.Backward(loss)
				if r.clip > 0 {
					norm := l.ClipGradNorm(model, opt, r.clip)
					loss = loss.Detach().Add(norm)
				}
				opt.Step()
				if l.GlobalRank() == 0 {
					lock.Lock()
					losses = append(losses, loss.Item())
					lock.Unlock()
				}
			})
		}
		if r.save != "" {
			if err := l.Save(r.save, state); err != nil {
				return err
			}
		}
		if r.folder != "" {
			return l.SaveSharded(r.folder, state)
		}
		return nil
	}))
	return losses
}

func near(t *testing.T, want, got []float64, tolerance float64) {
	t.Helper()
	require.Len(t, got, len(want))
	for i := range want {
		require.InEpsilon(t, want[i], got[i], tolerance, "value %d", i)
	}
}

// TestShardedStrategies: losses and norms are those of one rank, for any number of ranks.
func TestShardedStrategies(t *testing.T) {
	for _, clip := range []float64{0, 0.3} {
		want := shardRun{strategy: "single_device", ranks: 1, to: 6, clip: clip}.train(t)
		for _, name := range shardNames {
			for _, ranks := range []int{1, 2, 3} {
				t.Run(fmt.Sprintf("%s/%d/%v", name, ranks, clip), func(t *testing.T) {
					near(t, want, shardRun{strategy: name, ranks: ranks, to: 6, clip: clip}.train(t), 2e-5)
				})
			}
		}
	}
}

// TestShardedCheckpoints: what any number of ranks has saved, as a file or a folder, any other goes on from, under any strategy; a
// plain file has whole tensors.
func TestShardedCheckpoints(t *testing.T) {
	whole := shardRun{strategy: "single_device", ranks: 1, to: 8}.train(t)
	for _, name := range shardNames {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			at := func(i int) string { return filepath.Join(dir, fmt.Sprint(i)) }
			var losses []float64
			for i, ranks := range []int{4, 2, 1, 4} { // by turns a folder and a file
				r := shardRun{strategy: name, ranks: ranks, from: 2 * i, to: 2*i + 2}
				if i > 0 {
					r.load = at(i - 1)
				}
				if r.save = at(i); i%2 == 0 {
					r.save, r.folder = "", at(i)
				}
				losses = append(losses, r.train(t)...)
			}
			near(t, whole, losses, 2e-5)

			content := lite.State{}
			require.NoError(t, lite.Run(ctx, lite.Config{Accelerator: "cpu", Devices: "1"}, func(_ context.Context, l *lite.Lite) (err error) {
				content, err = l.Load(at(3), nil)
				return err
			}))
			weight, _ := content["model"].(*torch.StateDict).Get("blocks.1.up.weight")
			require.Equal(t, []int{7, 5}, weight.Shape())
			moments := content["optimizer"].(map[string]any)["state"].(map[int]any)[0].(map[string]any)
			require.Equal(t, []int{5, 3}, moments["exp_avg"].(*torch.Tensor).Shape())
			other := shardRun{strategy: "ddp_spawn", ranks: 2, from: 6, to: 8, load: at(2)}.train(t)
			near(t, whole[6:], other, 2e-5)
		})
	}
	t.Run("from one rank", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		shardRun{strategy: "single_device", ranks: 1, to: 4, save: file}.train(t)
		near(t, whole[4:], shardRun{strategy: "fsdp_spawn", ranks: 3, from: 4, to: 8, load: file}.train(t), 2e-5)
	})
}

// TestShardedOverflow: an overflow on one rank alone makes all leave the step out, and halve the scale.
func TestShardedOverflow(t *testing.T) {
	for _, name := range []string{"fsdp_spawn", "ddp_sharded_spawn"} {
		t.Run(name, func(t *testing.T) {
			cfg := lite.Config{Strategy: name, Accelerator: "cpu", Devices: "2", Precision: "16-mixed"}
			require.NoError(t, lite.Run(ctx, cfg, func(_ context.Context, l *lite.Lite) error {
				net := newShardNet()
				opt := optim.NewSGD(nn.Parameters(net), 1e-2)
				model, err := lite.Setup(l, net, net.Forward, opt)
				if err != nil {
					return err
				}
				for step, want := range []bool{true, false, true} {
					l.Backward(model.Forward(torch.Randn(6, 3)).Mul(torch.Randn(6, 5)).Mean().MulScalar(1e-2))
					if step == 1 && l.GlobalRank() == 1 { // rank 1's rows alone
						for _, p := range nn.Parameters(net.Blocks[1].Up) {
							p.Grad().Fill_(math.Inf(1))
						}
					}
					opt.Step()
					if ran := !opt.Skipped(); ran != want {
						return fmt.Errorf("rank %d, step %d: ran is %v", l.GlobalRank(), step, ran)
					}
					opt.ZeroGrad()
				}
				return nil
			}))
		})
	}
}

// TestShardedGAN: two models and two optimizers.
func TestShardedGAN(t *testing.T) {
	var want []float64
	for _, c := range []struct {
		name  string
		ranks int
	}{{"single_device", 1}, {"fsdp_spawn", 2}, {"deepspeed_spawn", 2}, {"deepspeed_stage_3_spawn", 3}, {"ddp_sharded_spawn", 2}} {
		t.Run(c.name, func(t *testing.T) {
			var losses []float64
			cfg := lite.Config{Strategy: c.name, Accelerator: "cpu", Devices: lite.Devices(fmt.Sprint(c.ranks))}
			require.NoError(t, lite.Run(ctx, cfg, func(_ context.Context, l *lite.Lite) error {
				g, d := newShardNet(), newShardNet()
				gOpt, dOpt := optim.NewAdamW(nn.Parameters(g), 1e-2), optim.NewSGD(nn.Parameters(d), 1e-2)
				generator, err := lite.Setup(l, g, g.Forward, gOpt)
				if err != nil {
					return err
				}
				discriminator, err := lite.Setup(l, d, d.Forward, dOpt)
				if err != nil {
					return err
				}
				for step := range 5 {
					r := torch.NewGenerator(uint64(step))
					torch.Scope(func() {
						z, real := torch.Options{Generator: r}.Randn(6, 3), torch.Options{Generator: r}.Randn(6, 3)
						fake := generator.Forward(z).Narrow(1, 0, 3)
						dOpt.ZeroGrad()
						dLoss := discriminator.Forward(fake.Detach()).Tanh().Mean().Sub(discriminator.Forward(real).Sigmoid().Sum())
						l.Backward(dLoss)
						l.ClipGradValue(discriminator, dOpt, 0.05)
						dOpt.Step()
						gOpt.ZeroGrad()
						gLoss := discriminator.Forward(fake).Sigmoid().Mul(torch.Ones(6, 5).CumSum(1)).Mean()
						l.Backward(gLoss)
						gOpt.Step()
						if l.GlobalRank() == 0 {
							losses = append(losses, dLoss.Item(), gLoss.Item())
						}
					})
				}
				return nil
			}))
			if want == nil {
				want = losses
			}
			near(t, want, losses, 5e-5)
		})
	}
}
