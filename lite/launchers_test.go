package lite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/lite/cluster"
	"github.com/golite/golite/lite/launch"
	"github.com/golite/golite/torch"
)

func init() {
	for name, f := range map[string]rankFunc{"shell": sumRank, "shellfault": faultRank, "shellstop": stopRank} {
		jobs[name] = f
		configs[name] = func(c *lite.Config) { c.Plugins = []any{shellLauncher{}} }
	}
}

// sumRank sums the ranks' numbers.
func sumRank(_ context.Context, l *lite.Lite) (got result, err error) {
	sum := l.AllReduce(torch.Full(float64(l.GlobalRank()+1), 1), dist.Sum)
	got.Numbers = []int{l.GlobalRank(), l.WorldSize(), l.LocalRank(), int(sum.Item()), os.Getpid()}
	return got, nil
}

// shellLauncher starts each rank through a shell, as a launcher that uses ssh does. What rank 0 returns comes back in a
// file.
type shellLauncher struct{}

var _ launch.RankLauncher = shellLauncher{}

const envResult = "LITE_TEST_SHELL_RESULT"

func (shellLauncher) Name() string { return "shell" }

func (shellLauncher) Launch(ctx context.Context, j *launch.Job) error {
	ctx, stop := launch.WatchSignals(ctx, j.Log)
	defer stop.Close()
	port := j.Placement.MainPort
	if port == 0 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		port = l.Addr().(*net.TCPAddr).Port
		l.Close()
	}
	file := filepath.Join(os.Getenv(envDir), "shellresult")
	var ranks []*exec.Cmd
	outputs := make([]bytes.Buffer, len(j.Ranks))
	for rank := range j.Ranks {
		variables := fmt.Sprintf("RANK=%d LOCAL_RANK=%d WORLD_SIZE=%d LOCAL_WORLD_SIZE=%d NODE_RANK=0 MASTER_ADDR=127.0.0.1 MASTER_PORT=%d",
			rank, rank, len(j.Ranks), len(j.Ranks), port)
		c := exec.Command("sh", append([]string{"-c", "export " + variables + "; exec \"$@\"", "sh", os.Args[0]}, os.Args[1:]...)...)
		c.Env = append(os.Environ(), envResult+"="+file)
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
		c.Stdout, c.Stderr = &outputs[rank], &outputs[rank]
		c.WaitDelay = time.Second
		if err := c.Start(); err != nil {
			return err
		}
		ranks = append(ranks, c)
	}
	signalAll := func(sig syscall.Signal) {
		for _, c := range ranks {
			syscall.Kill(-c.Process.Pid, sig)
		}
	}
	detach := context.AfterFunc(ctx, func() { signalAll(syscall.SIGTERM) })
	defer detach()

	var mu sync.Mutex
	var first error
	var all sync.WaitGroup
	for rank, c := range ranks {
		all.Go(func() {
			err := c.Wait()
			mu.Lock()
			defer mu.Unlock()
			if err == nil || first != nil {
				return
			}
			if first = (&lite.RankError{Rank: rank, Err: fmt.Errorf("%w: %s", err, outputs[rank].Bytes())}); c.ProcessState.ExitCode() == lite.ExitStopped {
				first = lite.ErrStopped
				return
			}
			signalAll(syscall.SIGKILL)
		})
	}
	all.Wait()
	if first != nil {
		return first
	}
	encoded, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return j.SetResult(encoded)
}

func (shellLauncher) LaunchRank(ctx context.Context, j *launch.Job) error {
	if err := (launch.External{}).Launch(ctx, j); err != nil || j.Placement.GlobalRank != 0 {
		return err
	}
	encoded, err := j.Result()
	if err != nil {
		return err
	}
	return os.WriteFile(os.Getenv(envResult), encoded, 0o644)
}

// TestLauncherOfOnesOwn: a Launcher among Config.Plugins starts the ranks, and rank 0's result comes back.
func TestLauncherOfOnesOwn(t *testing.T) {
	if raceDetector {
		t.Skip("ranks that are processes are tested without the race detector")
	}
	s := job{do: "shell", ranks: 2, timeout: 20 * time.Second}.start(t)
	o, code := s.wait(t, waitLong)
	require.Zero(t, code, o.Error)
	require.Equal(t, []int{0, 2, 0, 3}, o.Result.Numbers[:4])
	require.Equal(t, s.pid(t, "rank0"), o.Result.Numbers[4], "the shell started the process that was rank 0")
	require.NotEqual(t, s.cmd.Process.Pid, o.Result.Numbers[4])
	require.NotEqual(t, s.pid(t, "rank0"), s.pid(t, "rank1"))
}

// TestLauncherOfOnesOwnFails: its error is Run's, and no process is left.
func TestLauncherOfOnesOwnFails(t *testing.T) {
	for _, c := range []struct{ fault, text string }{
		{"kill:1", "rank 1: signal: killed"},
		{"error:0", ": exit status 1"}, // of the rank whose process ends first: both fail
	} {
		t.Run(c.fault, func(t *testing.T) {
			o, code := job{do: "shellfault", arg: c.fault, ranks: 2, timeout: 20 * time.Second}.start(t).wait(t, 15*time.Second)
			require.Equal(t, 1, code)
			require.Contains(t, o.Error, c.text)
			require.GreaterOrEqual(t, o.Rank, 0)
		})
	}
}

// TestLauncherOfOnesOwnStops: ranks agree on a request to stop, and Run returns ErrStopped.
func TestLauncherOfOnesOwnStops(t *testing.T) {
	s := job{do: "shellstop", ranks: 2, timeout: 20 * time.Second}.start(t)
	s.awaitFile(t, "training0")
	s.awaitFile(t, "training1")
	require.NoError(t, syscall.Kill(s.cmd.Process.Pid, syscall.SIGTERM))
	o, code := s.wait(t, 15*time.Second)
	require.Equal(t, lite.ExitStopped, code, o.Error)
	require.Equal(t, s.pid(t, "stopped0"), s.pid(t, "stopped1"), "the steps at which ranks stopped")
}

// threads is a launcher that runs ranks as goroutines and has no Stop for them.
type threads struct{ launched *int }

func (threads) Name() string { return "threads" }

func (s threads) Launch(ctx context.Context, j *launch.Job) error {
	*s.launched++
	world := dist.NewLocalWorld(len(j.Ranks))
	defer world.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(j.Ranks))
	var all sync.WaitGroup
	for i, devices := range j.Ranks {
		all.Go(func() {
			r := &launch.Rank{Devices: devices,
				Placement: cluster.Placement{GlobalRank: i, LocalRank: i, WorldSize: len(j.Ranks), LocalWorldSize: len(j.Ranks)}}
			r.Join = func(ctx context.Context, o dist.Options) (*dist.Group, error) { return world.Group(ctx, i, o) }
			if errs[i] = j.Body(ctx, r); errs[i] != nil {
				cancel()
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// TestLauncherInProcess runs the ranks of "ddp" and the one of a single device by a launcher of goroutines.
func TestLauncherInProcess(t *testing.T) {
	for _, ranks := range []int{1, 2} {
		launched := 0
		cfg := lite.Config{Devices: lite.DeviceCount(ranks), Plugins: []any{threads{&launched}}, Accelerator: "cpu", Timeout: 10 * time.Second}
		n, err := lite.RunValue(t.Context(), cfg, func(ctx context.Context, l *lite.Lite) (int, error) {
			if l.Stopping() {
				return 0, errors.New("a rank without a Stop is never stopping")
			}
			return int(l.AllReduce(torch.Full(1, 1), dist.Sum).Item()), nil
		})
		require.NoError(t, err)
		require.Equal(t, ranks, n)
		require.Equal(t, 1, launched)

		err = lite.Run(t.Context(), cfg, func(ctx context.Context, l *lite.Lite) error {
			if l.GlobalRank() == ranks-1 {
				panic("boom " + strconv.Itoa(ranks))
			}
			l.AllReduce(torch.Full(1, 1), dist.Sum)
			return nil
		})
		var p *launch.PanicError
		require.ErrorAs(t, err, &p)
		require.Equal(t, "boom "+strconv.Itoa(ranks), p.Value)
	}
}
