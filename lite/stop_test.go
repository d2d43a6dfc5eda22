package lite_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

func init() { jobs["passes"] = passesRank }

// rowsOf4 are samples for tiny.
type rowsOf4 int

func (n rowsOf4) Len() int { return int(n) }

func (rowsOf4) Get(context.Context, int) (*torch.Tensor, error) { return torch.Ones(4), nil }

// passesRank trains pass after pass, as a program does that knows nothing of signals. Its argument says what it does
// then.
func passesRank(ctx context.Context, l *lite.Lite) (got result, err error) {
	arg := os.Getenv(envArg)
	l.SeedEverything(1)
	net := newTiny(8)
	opt := optim.NewSGD(nn.Parameters(net), 0.01)
	model, err := lite.Setup(l, net, net.Forward, opt)
	if err != nil {
		return got, err
	}
	loader, err := lite.SetupDataLoader(l, data.NewLoader[*torch.Tensor](rowsOf4(8000), 8))
	if err != nil {
		return got, err
	}
	step := 0
	mark := func(what string) { note(fmt.Sprint(what, l.GlobalRank()), step) }
	for epoch := 0; epoch < 100; epoch++ {
		if arg == "waits" {
			mark("training")
			<-ctx.Done()
			return got, ctx.Err()
		}
		for x, err := range loader.Batches(ctx) {
			if err != nil {
				mark("ended")
				if arg == "ignores" {
					break
				}
				return got, err
			}
			opt.ZeroGrad()
			l.Backward(model.Forward(x).Mean())
			opt.Step()
			if step++; step == 3 {
				mark("training")
			}
			if arg == "asks" && l.Stopping() {
				mark("stopped")
				return got, lite.ErrStopped
			}
			time.Sleep(time.Millisecond)
		}
	}
	return got, nil
}

// TestStopWithoutStopping: a run that never calls Stopping ends at the next batch after the first signal, with one line
// about it, and with ErrStopped under every strategy.
func TestStopWithoutStopping(t *testing.T) {
	for _, c := range []struct {
		strategy string
		ranks    int
		arg      string
		signals  int
	}{
		{"", 1, "returns the error", 1},
		{"", 1, "ignores", 1},
		{"", 1, "asks", 1},
		{"", 1, "waits", 2}, // for its context
		{"ddp_spawn", 2, "returns the error", 1},
		{"ddp_spawn", 2, "ignores", 1},
		{"ddp_spawn", 2, "waits", 2},
		{"ddp", 2, "returns the error", 1},
		{"ddp", 2, "ignores", 1},
		{"ddp", 2, "asks", 1},
		{"ddp", 2, "waits", 2},
	} {
		t.Run(fmt.Sprintf("%s/%s", c.strategy, c.arg), func(t *testing.T) {
			s := job{do: "passes", arg: c.arg, strategy: c.strategy, ranks: c.ranks}.start(t)
			for r := range c.ranks {
				s.awaitFile(t, "training"+strconv.Itoa(r))
			}
			start := time.Now()
			for range c.signals {
				require.NoError(t, syscall.Kill(s.cmd.Process.Pid, syscall.SIGINT))
				time.Sleep(300 * time.Millisecond)
			}
			o, code := s.wait(t, 15*time.Second)
			t.Logf("%.1f s: %s", time.Since(start).Seconds(), o.Error)
			require.Equal(t, 75, code, o.Error)
			require.True(t, strings.HasPrefix(o.Error, "lite: the run was stopped by a signal"), o.Error)
			require.Equal(t, 1, strings.Count(s.out.String(), "interrupt: the run stops where it calls Stopping"), "%s", s.out)
			asked, err := filepath.Glob(filepath.Join(s.dir, "stopped*"))
			require.NoError(t, err)
			cut, err := filepath.Glob(filepath.Join(s.dir, "ended*"))
			require.NoError(t, err)
			switch c.arg {
			case "asks":
				require.Len(t, asked, c.ranks)
				require.Empty(t, cut, "a program that asks decides by itself")
			case "waits":
			default:
				require.NotEmpty(t, cut)
			}
		})
	}
}

// TestIgnoredSignals: what nohup, or a shell for a job in the background, has ignored stays ignored under every
// strategy.
func TestIgnoredSignals(t *testing.T) {
	for _, strategy := range []string{"", "ddp_spawn", "ddp"} {
		t.Run(strategy, func(t *testing.T) {
			ranks := 2
			if strategy == "" {
				ranks = 1
			}
			j := job{do: "passes", arg: "asks", strategy: strategy, ranks: ranks}
			j.command = ignoringInterrupts
			s := j.start(t)
			for r := range ranks {
				s.awaitFile(t, "training"+strconv.Itoa(r))
			}
			pids := []int{s.cmd.Process.Pid}
			if strategy == "ddp" {
				pids = append(pids, s.pid(t, "rank0"), s.pid(t, "rank1"))
			}
			for _, pid := range pids {
				require.NoError(t, syscall.Kill(pid, syscall.SIGINT))
			}
			time.Sleep(500 * time.Millisecond)
			stopped, err := filepath.Glob(filepath.Join(s.dir, "stopped*"))
			require.NoError(t, err)
			require.Empty(t, stopped)
			require.NoError(t, syscall.Kill(s.cmd.Process.Pid, syscall.SIGTERM), "which is not ignored")
			o, code := s.wait(t, 15*time.Second)
			require.Equal(t, 75, code, o.Error)
		})
	}
}

// ignoringInterrupts starts a program as a shell starts a job in the background, with SIGINT ignored.
func ignoringInterrupts(name string, args ...string) *exec.Cmd {
	return exec.Command("sh", append([]string{"-c", `trap "" INT; exec "$0" "$@"`, name}, args...)...)
}
