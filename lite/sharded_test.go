package lite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
	"github.com/golite/golite/torch/serial"
)

func init() { jobs["sharded"] = shardedRank }

const (
	spread = 12   // rows of the tensor that is spread over the ranks
	wide   = 1024 // of the layer: 4 MiB, whose rows the ranks share when they write
)

// wideRun is a model whose large weight is equal on all ranks, its optimizer after a step, a tensor of which each rank has its
// rows, and a number.
type wideRun struct {
	layer *nn.Linear
	opt   optim.Optimizer
	own   *serial.Shard
	step  int
	state lite.State
}

func newWideRun(l *lite.Lite) (*wideRun, error) {
	l.SeedEverything(3)
	r := &wideRun{layer: nn.NewLinear(wide, wide)}
	r.opt = optim.NewAdam(nn.Parameters(r.layer), 0.5)
	model, err := lite.Setup(l, r.layer, r.layer.Forward, r.opt)
	if err != nil {
		return nil, err
	}
	l.Backward(model.Forward(torch.Ones(2, wide)).Sum())
	r.opt.Step()
	from := l.GlobalRank() * spread / l.WorldSize()
	n := (l.GlobalRank()+1)*spread/l.WorldSize() - from
	r.own = &serial.Shard{Tensor: torch.Zeros(n, 2), Offsets: []int{from, 0}, Shape: []int{spread, 2}}
	r.state = lite.State{"model": model, "optimizer": r.opt, "own": r.own, "step": &r.step}
	return r, nil
}

// mark gives the step's numbers to what differs from rank to rank.
func (r *wideRun) mark(step int) {
	r.step = step
	torch.NoGrad(func() { r.own.Tensor.Copy_(marked(step, r.own.Offsets[0], r.own.Tensor.Size(0))) })
}

func marked(step, from, n int) *torch.Tensor {
	return torch.Arange(float64(2*n)).To(torch.Float32).AddScalar(float64(100*step+2*from)).Reshape(n, 2)
}

// bytes is all that the model and the optimizer have.
func (r *wideRun) bytes() ([]byte, error) {
	path := filepath.Join(os.TempDir(), fmt.Sprintf("wide-%d-%p.pt", os.Getpid(), r))
	defer os.Remove(path)
	if err := serial.Save(path, map[string]any{"m": nn.StateDict(r.layer), "o": r.opt.StateDict()}); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// shardedRank saves, loads, fails on one rank or dies, as its argument says.
func shardedRank(_ context.Context, l *lite.Lite) (got result, err error) {
	dir := filepath.Join(os.Getenv(envDir), "ckpt")
	r, err := newWideRun(l)
	if err != nil {
		return got, err
	}
	arg := os.Getenv(envArg)
	switch arg {
	case "load":
		return got, r.load(l, dir)
	case "one":
		r.state["own"] = torch.Zeros(spread, 2)
		return got, r.load(l, filepath.Join(dir, "one.pt"))
	}
	r.mark(7)
	if err := l.SaveSharded(dir, r.state); err != nil || arg == "save" {
		return got, err
	}
	r.mark(8)
	if arg == "die" { // a part that takes long enough to be seen
		r.state["long"] = torch.Zeros(16 << 20)
	}
	if l.GlobalRank() == 1 {
		if arg == "fail" { // what has no bytes can't be written
			r.state["own"] = &serial.Shard{Tensor: torch.Options{Device: torch.Meta}.Empty(1, 2), Offsets: []int{6, 0}, Shape: []int{spread, 2}}
		} else {
			go dieWithin(dir)
		}
	}
	failed := l.SaveSharded(dir, r.state)
	if failed == nil {
		return got, errors.New("the save went well")
	}
	got.Words = lite.AllGather(l, failed.Error())
	return got, nil
}

// dieWithin kills this process while it is writing its part.
func dieWithin(dir string) {
	for {
		if temps, _ := filepath.Glob(filepath.Join(dir, ".__1_*.tmp-*")); len(temps) > 0 {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
	}
}

// load spoils what the run has, and wants it back from a checkpoint of step 7.
func (r *wideRun) load(l *lite.Lite, path string) error {
	want, err := r.bytes()
	if err != nil {
		return err
	}
	for _, t := range r.opt.Tensors() {
		torch.NoGrad(func() { t.Zero_() })
	}
	if err := r.opt.LoadStateDict(optim.NewAdam(nn.Parameters(r.layer), 0.25).StateDict()); err != nil {
		return err
	}
	rest, err := l.Load(path, r.state)
	if err != nil {
		return err
	}
	got, err := r.bytes()
	own, from := r.own.Tensor, r.own.Offsets[0]
	if t, ok := r.state["own"].(*torch.Tensor); ok {
		own, from = t, 0
	}
	switch {
	case err != nil:
		return err
	case !bytes.Equal(want, got):
		return errors.New("model or optimizer came back otherwise")
	case r.step != 7 || len(rest) != 0:
		return fmt.Errorf("step %d, and %v is left", r.step, rest)
	case !own.Equal(marked(7, from, own.Size(0))):
		return fmt.Errorf("from row %d on there is %v", from, torch.ToSlice[float32](own))
	}
	return nil
}

// TestSaveSharded: two ranks write at once; one, two and three read; the command makes one file of it.
func TestSaveSharded(t *testing.T) {
	for _, strategy := range strategies {
		t.Run(strategy, func(t *testing.T) {
			dir := t.TempDir()
			job{do: "sharded", arg: "save", strategy: strategy, ranks: 2, dir: dir}.run(t)
			folder := filepath.Join(dir, "ckpt")
			require.NoError(t, serial.Check(folder, true))
			parts, err := filepath.Glob(filepath.Join(folder, "*.distcp"))
			require.NoError(t, err)
			require.Len(t, parts, 2)
			for _, p := range parts { // the weight and its two moments, 12 MiB, half each
				st, err := os.Stat(p)
				require.NoError(t, err)
				require.InDelta(t, 6<<20, st.Size(), 100<<10)
			}
			for _, ranks := range []int{1, 2, 3} {
				job{do: "sharded", arg: "load", strategy: strategy, ranks: ranks, dir: dir}.run(t)
			}
			if strategy != "ddp" {
				return
			}
			ckpt := filepath.Join(t.TempDir(), "ckpt")
			out, err := exec.Command("go", "build", "-o", ckpt, "../cmd/ckpt").CombinedOutput()
			require.NoError(t, err, "%s", out)
			out, err = exec.Command(ckpt, "consolidate", folder, filepath.Join(folder, "one.pt")).CombinedOutput()
			require.NoError(t, err, "%s", out)
			job{do: "sharded", arg: "one", strategy: strategy, ranks: 1, dir: dir}.run(t)
		})
	}
}

// wholeStep7 checks that the folder is the checkpoint of step 7, with nothing beside it but what names may be there.
func wholeStep7(t *testing.T, folder string, extra ...string) {
	t.Helper()
	require.NoError(t, serial.Check(folder, true))
	d, err := serial.LoadSharded(folder, serial.ShardOptions{Only: func(name string) bool { return name == "own" || name == "step" }})
	require.NoError(t, err)
	step, _ := d.Get("step")
	require.Equal(t, 7, step)
	own, _ := d.Get("own")
	require.True(t, own.(*torch.Tensor).Equal(marked(7, 0, spread)))
	files, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.LessOrEqual(t, len(files), 3+len(extra))
}

// TestSaveShardedFailsAsOne: when one rank can't write its part, all return the same error, and the folder is as it was.
func TestSaveShardedFailsAsOne(t *testing.T) {
	for _, strategy := range strategies {
		dir := t.TempDir()
		words := job{do: "sharded", arg: "fail", strategy: strategy, ranks: 2, dir: dir}.run(t).Words
		require.Len(t, words, 2)
		require.Contains(t, words[0], "on rank 1: ")
		for _, w := range words {
			require.Contains(t, w, "meta device")
		}
		wholeStep7(t, filepath.Join(dir, "ckpt"))
	}
}

// TestRankKilledInSaveSharded: a rank that dies while it writes ends the run in seconds, and the checkpoint before is whole; the
// next save takes the leftovers away.
func TestRankKilledInSaveSharded(t *testing.T) {
	dir := t.TempDir()
	start := time.Now()
	s := job{do: "sharded", arg: "die", strategy: "ddp", ranks: 2, dir: dir}.start(t)
	o, code := s.wait(t, waitLong)
	require.NotZero(t, code)
	require.Equal(t, 1, o.Rank, o.Error)
	require.Contains(t, o.Error, "killed")
	folder := filepath.Join(dir, "ckpt")
	wholeStep7(t, folder, "a temporary", "rank 0's part, or its temporary")
	require.Less(t, time.Since(start), 60*time.Second)
	job{do: "sharded", arg: "save", strategy: "ddp", ranks: 2, dir: dir}.run(t)
	wholeStep7(t, folder)
}

// TestSaveShardedAlone: one rank, retention, and what it refuses.
func TestSaveShardedAlone(t *testing.T) {
	dir := t.TempDir()
	pattern := filepath.Join(dir, "step-{step}")
	on(t, lite.Config{}, func(l *lite.Lite) {
		for step := range 4 {
			path := filepath.Join(dir, fmt.Sprint("step-", step))
			require.NoError(t, l.SaveSharded(path, lite.State{"step": step}, lite.SaveOptions{Keep: serial.Keep{Pattern: pattern, Last: 2}}))
		}
		found, err := serial.List(pattern)
		require.NoError(t, err)
		require.Len(t, found, 2)
		step := 0
		_, err = l.Load(found[0].Path, lite.State{"step": &step})
		require.NoError(t, err)
		require.Equal(t, 3, step)
		var misfit *serial.ErrMismatch
		_, err = l.Load(found[0].Path, lite.State{"epoch": &step})
		require.ErrorAs(t, err, &misfit)
		require.Equal(t, []string{"epoch"}, misfit.Missing)
		_, err = l.Load(filepath.Join(dir, "step-9"), nil)
		require.ErrorIs(t, err, fs.ErrNotExist)
		require.ErrorContains(t, l.SaveSharded(filepath.Join(dir, "x"), lite.State{}, lite.SaveOptions{Async: true}), "background")
		require.ErrorContains(t, l.SaveSharded(filepath.Join(dir, "x"), lite.State{"c": make(chan int)}), "chan int")
		require.NoDirExists(t, filepath.Join(dir, "x"))
	})
}
