package lite_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

func init() { jobs["resume"] = resumeRank }

// resumeRank trains a network with dropout, on batches that workers read ahead, until step 8, from where the checkpoint left
// off if there is one, and saves at the step that its argument gives (0: never), with which it ends.
func resumeRank(ctx context.Context, l *lite.Lite) (got result, err error) {
	saveAt, err := strconv.Atoi(os.Getenv(envArg))
	if err != nil {
		return got, err
	}
	path := filepath.Join(os.Getenv(envDir), "half.pt")
	l.SeedEverything(7)
	net := NewCNN()
	opt := optim.NewAdam(nn.Parameters(net), 0.001)
	model, err := lite.Setup(l, net, net.Forward, opt)
	if err != nil {
		return got, err
	}
	loader, err := lite.SetupDataLoader(l, digits(12, data.Options{Workers: 2}))
	if err != nil {
		return got, err
	}
	step := 0
	state := lite.State{"model": model, "optimizer": opt, "loader": loader, "step": &step}
	if _, err := os.Stat(path); err == nil {
		if _, err := l.Load(path, state); err != nil {
			return got, err
		}
	}
	model.Train()
	var losses []float64
	var first []int
	for batch, err := range loader.Batches(ctx) {
		if err != nil {
			return got, err
		}
		if first == nil {
			for i := range batch.Target.Size(0) {
				first = append(first, int(batch.Target.Select(0, i).Item()))
			}
		}
		opt.ZeroGrad()
		loss := net.Loss(model.Forward(batch.Input), batch.Target)
		l.Backward(loss)
		opt.Step()
		losses = append(losses, loss.Item())
		if step++; step == saveAt {
			if err := l.Save(path, state); err != nil {
				return got, err
			}
			break
		}
		if step == 8 {
			break
		}
	}
	got.Losses = lite.AllGather(l, losses)
	for _, labels := range lite.AllGather(l, first) {
		got.Numbers = append(got.Numbers, labels...)
	}
	return got, nil
}

// TestResumeOnTwoRanks: what a run does after a checkpoint in the middle of a pass is what an undisturbed one does, to the
// batch and to dropout's draws.
func TestResumeOnTwoRanks(t *testing.T) {
	var whole [][]float64
	for _, strategy := range strategies {
		t.Run(strategy, func(t *testing.T) {
			undisturbed := job{do: "resume", arg: "0", strategy: strategy, ranks: 2}.run(t).Losses
			if whole == nil {
				whole = undisturbed
			}
			require.Equal(t, whole, undisturbed, "goroutines and processes")
			dir := t.TempDir()
			before := job{do: "resume", arg: "6", strategy: strategy, ranks: 2, dir: dir}.run(t).Losses
			after := job{do: "resume", arg: "0", strategy: strategy, ranks: 2, dir: dir}.run(t).Losses
			for rank := range 2 {
				require.Len(t, undisturbed[rank], 8)
				require.Equal(t, undisturbed[rank], append(before[rank], after[rank]...))
			}
		})
	}
}

// TestResumeOnAnotherNumberOfRanks: two ranks have read 6 batches each, so three go on as if each had read 4. Each batch of
// 12 of theirs is every third of 36 samples.
func TestResumeOnAnotherNumberOfRanks(t *testing.T) {
	dir := t.TempDir()
	job{do: "resume", arg: "6", strategy: "ddp_spawn", ranks: 2, dir: dir}.run(t)
	s := job{do: "resume", arg: "0", strategy: "ddp_spawn", ranks: 3, dir: dir}.start(t)
	o, code := s.wait(t, waitLong)
	require.Zero(t, code, o.Error)
	require.Contains(t, s.out.String(), "another number of ranks")

	fresh := t.TempDir()
	job{do: "resume", arg: "4", strategy: "ddp_spawn", ranks: 3, dir: fresh}.run(t)
	want := job{do: "resume", arg: "0", strategy: "ddp_spawn", ranks: 3, dir: fresh}.run(t)
	require.Len(t, want.Numbers, 36)
	require.Equal(t, want.Numbers, o.Result.Numbers, "the labels of the first batch after the checkpoint")
}
