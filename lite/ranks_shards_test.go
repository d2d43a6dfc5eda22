package lite_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

func init() { jobs["shards"] = shardsRank }

// shardsRank trains as shardRun does, and saves after steps 2 and 4. Its argument is where rank 1 ends without a word after step 2:
// in the third forward pass, where others gather, in its backward pass, where they sum gradients, or ahead of the second save.
func shardsRank(_ context.Context, l *lite.Lite) (got result, err error) {
	where := os.Getenv(envArg)
	folder := filepath.Join(os.Getenv(envDir), "folder")
	net := newShardNet()
	opt := optim.NewAdamW(nn.Parameters(net), 1e-2)
	model, err := lite.Setup(l, net, net.Forward, opt)
	if err != nil {
		return got, err
	}
	end := func(at string, step int) {
		if at == where && step >= 2 && l.GlobalRank() == 1 {
			os.Exit(3)
		}
	}
	step := 0
	nn.RegisterForwardPreHook(net.Blocks[1].Up, func(nn.Module, []*torch.Tensor) []*torch.Tensor { end("gather", step); return nil })
	nn.RegisterForwardHook(net.Blocks[2].Up, func(_ nn.Module, _, out []*torch.Tensor) []*torch.Tensor {
		out[0].RegisterHook(func(*torch.Tensor) *torch.Tensor { end("reduce", step); return nil })
		return nil
	})
	for ; step < 4; step++ {
		g := torch.NewGenerator(uint64(step))
		torch.Scope(func() {
			x, y := torch.Options{Generator: g}.Randn(6, 3), torch.Options{Generator: g}.Randn(6, 5)
			loss := F.MSELoss(model.Forward(x), y)
			l.Backward(loss)
			opt.Step()
			opt.ZeroGrad()
			if l.GlobalRank() == 0 {
				got.Losses = append(got.Losses, []float64{loss.Item()})
			}
		})
		if step%2 == 1 {
			end("save", step)
			if err := l.SaveSharded(folder, lite.State{"model": model, "optimizer": opt}); err != nil {
				return got, err
			}
		}
	}
	return got, nil
}

// TestShardsOfProcesses: ranks that are processes train as one does, and their folder is gone on from by goroutines.
func TestShardsOfProcesses(t *testing.T) {
	if raceDetector {
		t.Skip("goroutines alone under the race detector")
	}
	want := shardRun{strategy: "single_device", ranks: 1, to: 6}.train(t)
	for _, strategy := range []string{"fsdp", "ddp_sharded", "deepspeed_stage_3_offload"} {
		t.Run(strategy, func(t *testing.T) {
			dir := t.TempDir()
			var losses []float64
			for _, l := range (job{do: "shards", strategy: strategy, ranks: 2, dir: dir}).run(t).Losses {
				losses = append(losses, l...)
			}
			near(t, want[:4], losses, 2e-5)
			near(t, want[4:], shardRun{strategy: "fsdp_spawn", ranks: 3, from: 4, to: 6, load: filepath.Join(dir, "folder")}.train(t), 2e-5)
		})
	}
}

// TestShardsOfALostProcess: where a rank ends in a gather, in a sum of gradients or before its part of a checkpoint is written, the
// others end, by an error that names it, and the checkpoint before is whole.
func TestShardsOfALostProcess(t *testing.T) {
	if raceDetector {
		t.Skip("goroutines alone under the race detector")
	}
	want := shardRun{strategy: "single_device", ranks: 1, to: 4}.train(t)
	for _, where := range []string{"gather", "reduce", "save"} {
		t.Run(where, func(t *testing.T) {
			dir := t.TempDir()
			s := job{do: "shards", arg: where, strategy: "fsdp", ranks: 2, dir: dir, timeout: time.Minute}.start(t)
			o, code := s.wait(t, waitLong)
			require.NotZero(t, code)
			require.Contains(t, o.Error, "rank 1")
			require.Empty(t, s.alive(t))
			near(t, want[2:], shardRun{strategy: "fsdp_spawn", ranks: 1, from: 2, to: 4, load: filepath.Join(dir, "folder")}.train(t), 2e-5)
		})
	}
}
