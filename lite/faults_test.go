package lite_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch/serial"
)

// A collective waits this long in these tests.
const shortTimeout = 3 * time.Second

// TestFaults lets a rank fail in the middle of training. The job ends within its bound, with one error that names the rank
// and the cause, and leaves no process and no port.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		strategy string // and whether ranks compare their calls, as goroutine ranks do in any case
		fault    string
		ranks    int
		rank     int // -1: whichever
		bound    time.Duration
		says     []string
	}{
		{"ddp", "kill:0", 2, 0, 10 * time.Second, []string{"rank 0: killed by signal 9"}},
		{"ddp", "kill:2", 3, 2, 10 * time.Second, []string{"rank 2: killed by signal 9", "rank 0: step", "rank 1: step"}},
		{"ddp", "error:1", 2, 1, 10 * time.Second, []string{"rank 1: the disk is full", "rank 0: step", "in backward at lite/faults_jobs_test.go:"}},
		{"ddp", "panic:0", 2, 0, 10 * time.Second, []string{"panic: runtime error: index out of range", "faults_jobs_test.go"}},
		{"ddp", "panic-elsewhere:1", 2, 1, 10 * time.Second, []string{"panic: elsewhere", "faults_jobs_test.go"}},
		{"ddp", "op:1", 2, 1, 10 * time.Second, []string{"rank 1: ", "mat1 and mat2 shapes cannot be multiplied"}},
		{"ddp", "exit:0", 2, 0, 10 * time.Second, []string{"rank 0: exit code 3", "giving up"}},
		{"ddp", "exit0:1", 2, 1, 10 * time.Second, []string{"rank 1: the process ended with exit code 0 before its function did"}},
		{"ddp", "segv:0", 2, 0, 10 * time.Second, []string{"rank 0: SIGSEGV: segmentation violation", "signal arrived during cgo execution", "lite_test.writeFarAway"}},
		{"ddp", "fpe:1", 2, 1, 10 * time.Second, []string{"rank 1: SIGFPE: floating-point exception", "lite_test.commit"}},
		{"ddp", "stop:1", 2, 1, 20 * time.Second, []string{"rank 1: did not join the collective that its peers are blocked in", "time is up after 3s"}},
		{"ddp", "stop:0", 3, 0, 20 * time.Second, []string{"rank 0: "}},
		{"ddp", "loop:1", 2, 1, 20 * time.Second, []string{"rank 1: did not join the collective that its peers are blocked in", "lite_test.commit"}},
		{"ddp", "cgo:1", 2, 1, 20 * time.Second, []string{"rank 1: did not join the collective that its peers are blocked in", "lite_test.stuckInC"}},
		{"ddp", "absent:1", 2, 1, 20 * time.Second, []string{"rank 1: did not join the collective that its peers are blocked in", "lite_test.commit"}},
		{"ddp", "skip:1", 2, -1, 10 * time.Second, []string{"ranks made different calls: rank", "AllReduce at lite/faults_jobs_test.go:88", "in backward at lite/faults_jobs_test.go:85"}},
		{"ddp", "uneven:1", 2, -1, 20 * time.Second, []string{"faults_jobs_test.go"}},
		{"ddp", "diverge:1", 2, -1, 10 * time.Second, []string{"the ranks' models differ", "in.weight", "[8 4] on rank 0", "[9 4] on rank 1"}},

		{"ddp, debug", "kill:1", 2, 1, 10 * time.Second, []string{"rank 1: killed by signal 9"}},
		{"ddp, debug", "error:1", 2, 1, 10 * time.Second, []string{"rank 1: the disk is full"}},
		{"ddp, debug", "stop:1", 2, 1, 20 * time.Second, []string{"rank 1: did not join the collective that its peers are blocked in", "time is up after 3s"}},
		{"ddp, debug", "skip:1", 2, -1, 10 * time.Second, []string{"AllReduce", "faults_jobs_test.go"}},
		{"ddp, debug", "uneven:1", 2, -1, 10 * time.Second, []string{"Barrier", "faults_jobs_test.go"}},

		{"ddp_spawn", "error:1", 2, 1, 10 * time.Second, []string{"rank 1: the disk is full"}},
		{"ddp_spawn", "panic:0", 3, 0, 10 * time.Second, []string{"rank 0: panic: runtime error: index out of range", "faults_jobs_test.go"}},
		{"ddp_spawn", "op:1", 2, 1, 10 * time.Second, []string{"rank 1: ", "mat1 and mat2 shapes cannot be multiplied"}},
		{"ddp_spawn", "goexit:1", 2, 1, 10 * time.Second, []string{"rank 1: ", "runtime.Goexit"}},
		{"ddp_spawn", "absent:1", 2, 1, 15 * time.Second, []string{"rank 1: did not join the collective that its peers are blocked in", "time is up after 3s"}},
		{"ddp_spawn", "loop:1", 2, 1, 20 * time.Second, []string{"rank 1: lite: ranks [1] did not end within 5s", "time is up after 3s", "lite_test.commit"}},
		{"ddp_spawn", "cgo:1", 2, 1, 20 * time.Second, []string{"rank 1: lite: ranks [1] did not end within 5s", "lite_test.stuckInC"}},
		{"ddp_spawn", "loop:0", 3, 0, 20 * time.Second, []string{"rank 0: lite: ranks [0] did not end within 5s", "lite_test.commit"}},
		{"ddp_spawn", "skip:1", 2, -1, 10 * time.Second, []string{"AllReduce", "faults_jobs_test.go"}},
		{"ddp_spawn", "uneven:1", 2, -1, 10 * time.Second, []string{"Barrier", "faults_jobs_test.go"}},
		{"ddp_spawn", "diverge:1", 2, -1, 10 * time.Second, []string{"the ranks' models differ", "in.weight", "[8 4] on rank 0", "[9 4] on rank 1"}},
	} {
		t.Run(c.strategy+"/"+c.fault, func(t *testing.T) {
			strategy, _, debug := strings.Cut(c.strategy, ", debug")
			o, code := job{do: "fault", arg: c.fault, strategy: strategy, ranks: c.ranks, timeout: shortTimeout, debug: debug}.start(t).wait(t, c.bound)
			require.Equal(t, 1, code)
			t.Logf("%.1f s: %s", o.Took.Seconds(), strings.Join(strings.SplitN(o.Error, "\n", 4)[:min(3, strings.Count(o.Error, "\n")+1)], " | "))
			if c.rank >= 0 {
				require.Equal(t, c.rank, o.Rank, o.Error)
			} else {
				require.GreaterOrEqual(t, o.Rank, 0, o.Error)
			}
			for _, text := range c.says {
				require.Contains(t, o.Error, text)
			}
		})
	}
}

// TestEveryRankRefusesDivergentModels: rank 0 too, and before any parameter was overwritten by another's.
func TestEveryRankRefusesDivergentModels(t *testing.T) {
	for _, strategy := range strategies {
		t.Run(strategy, func(t *testing.T) {
			s := job{do: "fault", arg: "diverge:2", strategy: strategy, ranks: 3, timeout: shortTimeout}.start(t)
			_, code := s.wait(t, 10*time.Second)
			require.Equal(t, 1, code)
			for rank := range 3 {
				text, err := os.ReadFile(filepath.Join(s.dir, "refused"+strconv.Itoa(rank)))
				require.NoError(t, err, "rank %d did not fail in Setup", rank)
				require.Contains(t, string(text), "the ranks' models differ: parameter 0 is in.weight")
			}
		})
	}
}

func TestKilledSupervisorLeavesNothing(t *testing.T) {
	s := job{do: "fault", arg: "forever", strategy: "ddp", ranks: 2}.start(t)
	s.awaitFile(t, "step1")
	time.Sleep(100 * time.Millisecond) // into the steps
	require.Len(t, s.alive(t), 2)
	require.NoError(t, s.cmd.Process.Kill())
	start := time.Now()
	s.cmd.Wait()
	s.nothingLeft(t)
	t.Logf("%.2f s", time.Since(start).Seconds())
}

// TestStop: all ranks see the request at the same step, save once, and the program ends with a code of its own.
func TestStop(t *testing.T) {
	for _, c := range []struct {
		strategy string
		signal   syscall.Signal
		to       string // "" for the first process
	}{
		{"ddp", syscall.SIGTERM, ""}, {"ddp", syscall.SIGINT, ""}, {"ddp", syscall.SIGTERM, "rank1"},
		{"ddp_spawn", syscall.SIGTERM, ""}, {"ddp_spawn", syscall.SIGINT, ""},
	} {
		t.Run(c.strategy+"/"+c.signal.String()+c.to, func(t *testing.T) {
			s := job{do: "stop", strategy: c.strategy, ranks: 2}.start(t)
			s.awaitFile(t, "training0")
			s.awaitFile(t, "training1")
			pid := s.cmd.Process.Pid
			if c.to != "" {
				pid = s.pid(t, c.to)
			}
			require.NoError(t, syscall.Kill(pid, c.signal))
			start := time.Now()
			o, code := s.wait(t, 15*time.Second)
			t.Logf("%.2f s", time.Since(start).Seconds())
			require.Equal(t, 75, code, o.Error)
			require.Contains(t, o.Error, "stopped by a signal")
			require.Equal(t, s.pid(t, "stopped0"), s.pid(t, "stopped1"), "the steps at which ranks stopped")
			saved, err := serial.Load(filepath.Join(s.dir, "last.pt"))
			require.NoError(t, err)
			step, ok := saved.(*serial.Dict).Get("step")
			require.True(t, ok)
			require.Equal(t, s.pid(t, "stopped0"), step)
		})
	}
}

func TestTakenPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	number := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	o, code := job{do: "fault", arg: "none", strategy: "ddp", ranks: 2, env: []string{"MASTER_PORT=" + number}}.start(t).wait(t, 5*time.Second)
	require.Equal(t, 1, code)
	require.Contains(t, o.Error, "can't listen on port "+number)
	require.Contains(t, o.Error, "MASTER_PORT")
}

// TestTwoJobsAtOnce: where no port is set each job takes a free one.
func TestTwoJobsAtOnce(t *testing.T) {
	var jobs []*started
	for range 2 {
		jobs = append(jobs, job{do: "fault", arg: "none", strategy: "ddp", ranks: 2, env: []string{"MASTER_PORT="}}.start(t))
	}
	for _, s := range jobs {
		o, code := s.wait(t, 20*time.Second)
		require.Zero(t, code, o.Error)
	}
}

func TestSecondRunOfProcesses(t *testing.T) {
	o, code := job{do: "twice", strategy: "ddp", ranks: 2}.start(t).wait(t, 20*time.Second)
	require.Equal(t, 1, code)
	require.Contains(t, o.Error, `a program can have one Run with strategy "ddp"`)
	o, code = job{do: "twice", strategy: "ddp_spawn", ranks: 2}.start(t).wait(t, 20*time.Second)
	require.Zero(t, code, "goroutine ranks can run again: %s", o.Error)
}

func TestModelOfTwoGoroutineRanks(t *testing.T) {
	o, code := job{do: "outside", strategy: "ddp_spawn", ranks: 2, timeout: shortTimeout}.start(t).wait(t, 10*time.Second)
	require.Equal(t, 1, code)
	require.Contains(t, o.Error, "goroutine ranks need a model each, so make it inside of Run")
}
