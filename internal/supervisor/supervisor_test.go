package supervisor

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// survivors returns the processes noted in dir that are still alive.
func survivors(t *testing.T, dir string) []string {
	var alive []string
	files, err := filepath.Glob(filepath.Join(dir, "[rg]*"))
	require.NoError(t, err)
	require.NotEmpty(t, files, "no process has noted its number")
	for _, f := range files {
		raw, err := os.ReadFile(f)
		require.NoError(t, err)
		if pid, err := strconv.Atoi(string(raw)); err == nil && living(pid) {
			alive = append(alive, filepath.Base(f))
		}
	}
	return alive
}

func living(pid int) bool {
	c := conditionOf(pid)
	return c != gone && c != dead
}

// supervise runs a job and checks that it ends within the bound and leaves no process.
func supervise(t *testing.T, bound time.Duration, spec Spec, dir string) ([]byte, error) {
	t.Helper()
	var out bytes.Buffer
	if spec.Stderr == nil {
		spec.Stderr = &out
	}
	start := time.Now()
	result, err := Supervise(t.Context(), spec)
	require.Less(t, time.Since(start), bound, "the job took too long to end")
	require.Eventually(t, func() bool { return len(survivors(t, dir)) == 0 }, 2*time.Second, 10*time.Millisecond,
		"a process is left") // a killed one takes a moment
	return result, err
}

func jobError(t *testing.T, err error) *JobError {
	t.Helper()
	e, ok := errors.AsType[*JobError](err)
	require.True(t, ok, "%v", err)
	return e
}

func TestResultOfRank0ComesBack(t *testing.T) {
	dir := t.TempDir()
	result, err := supervise(t, 10*time.Second, testSpec(3, "none", dir), dir)
	require.NoError(t, err)
	require.Equal(t, "rank 0 did 20 steps on port 0", string(result))
}

func TestFaults(t *testing.T) {
	for _, c := range []struct {
		fault   string
		ranks   int
		rank    int
		kind    CauseKind
		message string
	}{
		{"kill:0", 2, 0, CauseSignal, "killed by signal 9"},
		{"kill:2", 3, 2, CauseSignal, "killed by signal 9"},
		{"error:1", 2, 1, CauseError, "the disk is full"},
		{"report-panic:0", 2, 0, CausePanic, "panic: index out of range"},
		{"panic:1", 3, 1, CausePanic, "panic: elsewhere"},
		{"segv:1", 2, 1, CausePanic, "SIGABRT: abort"},
		{"exit:0", 2, 0, CauseExit, "exit code 3"},
		{"exit0:1", 2, 1, CauseSilent, "the process ended with exit code 0 before its function did"},
		{"stop:1", 2, 1, CauseHang, "no sign of life for"},
		{"stop:0", 2, 0, CauseHang, "the process is stopped by a signal"},
		{"loop:1", 2, 1, CauseHang, "did not join the collective that its peers are blocked in"},
		{"garble:1", 2, 1, CauseGarbled, "not a frame of this protocol"},
		{"grandchild:1", 2, 1, CauseError, "left a child behind"},
	} {
		t.Run(c.fault, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			_, err := supervise(t, 15*time.Second, testSpec(c.ranks, c.fault, dir), dir)
			e := jobError(t, err)
			require.Equal(t, c.rank, e.Rank, "%v", err)
			require.Equal(t, c.kind, e.Kind, "%v", err)
			require.Contains(t, e.Message, c.message)
			require.Len(t, e.Others, c.ranks-1)
			for _, o := range e.Others {
				require.Regexp(t, `step (9|1[01])`, o.Text, "where the others were")
			}
			text := err.Error()
			require.True(t, strings.HasPrefix(text, "rank "+strconv.Itoa(c.rank)+": "), text)
			switch strings.Split(c.fault, ":")[0] {
			case "exit":
				require.Contains(t, text, "giving up", "the end of the standard error is in the error")
			case "panic":
				require.Contains(t, e.Stack, "ranks_test.go", "so is the stack")
			case "segv":
				require.Contains(t, e.Message, `SIGABRT: abort (after the line "ranks_test.go: an assertion failed")`)
				require.Contains(t, text, "supervisor.commit", "where it was")
				require.Contains(t, text, "lines more, on the standard error of the rank")
				require.Less(t, strings.Count(text, "\n"), 40, "%s", text)
				require.NotContains(t, text, "rflags")
				require.Greater(t, strings.Count(e.Stack, "\n"), 100, "all that the runtime wrote")
			case "loop":
				require.Contains(t, e.Stack, "supervisor.commit", "and the stacks of the rank that hangs")
			case "stop":
				require.Regexp(t, `waiting in barrier at ranks_test.go \(collective 1[01]\)`, text)
			}
		})
	}
}

func TestGrandchildrenOfASuccessfulRankEnd(t *testing.T) {
	dir := t.TempDir()
	_, err := supervise(t, 10*time.Second, testSpec(2, "leave:1", dir), dir)
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(dir, "grandchild"))
}

func TestSignalToOneRankStopsAll(t *testing.T) {
	dir := t.TempDir()
	spec := testSpec(2, "term:1", dir)
	_, err := supervise(t, 10*time.Second, spec, dir)
	require.ErrorIs(t, err, ErrStopped)
	require.ErrorContains(t, err, "a signal to rank 1")
}

// outside starts a supervisor of its own process, and waits until its ranks train.
func outside(t *testing.T, fault string) (cmd *exec.Cmd, dir string) {
	dir = t.TempDir()
	cmd = exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), "LAUNCH_TEST_SUPERVISE="+fault, "LAUNCH_TEST_DIR="+dir)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = 5 * time.Second
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Log(out.String())
		}
	})
	require.Eventually(t, func() bool {
		files, _ := filepath.Glob(filepath.Join(dir, "rank*"))
		return len(files) == 2
	}, 10*time.Second, 10*time.Millisecond)
	time.Sleep(200 * time.Millisecond) // into the steps
	return cmd, dir
}

func pidOf(t *testing.T, dir, name string) int {
	raw, err := os.ReadFile(filepath.Join(dir, name))
	require.NoError(t, err)
	pid, err := strconv.Atoi(string(raw))
	require.NoError(t, err)
	return pid
}

func TestKilledSupervisorTakesAllWithIt(t *testing.T) {
	cmd, dir := outside(t, "forever")
	require.NoError(t, cmd.Process.Kill())
	cmd.Wait()
	require.Eventually(t, func() bool { return len(survivors(t, dir)) == 0 }, 5*time.Second, 20*time.Millisecond)
}

func TestKilledSupervisorTakesStoppedRanksWithIt(t *testing.T) {
	cmd, dir := outside(t, "forever")
	for _, name := range []string{"rank0", "rank1"} {
		require.NoError(t, syscall.Kill(pidOf(t, dir, name), syscall.SIGSTOP))
	}
	require.NoError(t, cmd.Process.Kill())
	cmd.Wait()
	require.Eventually(t, func() bool { return len(survivors(t, dir)) == 0 }, 5*time.Second, 20*time.Millisecond)
}

func TestKilledSupervisorTakesGrandchildrenWithIt(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), "LAUNCH_TEST_SUPERVISE=parent", "LAUNCH_TEST_DIR="+dir)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(dir, "grandchild"))
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
	require.Len(t, survivors(t, dir), 3)
	require.NoError(t, cmd.Process.Kill())
	cmd.Wait()
	require.Eventually(t, func() bool { return len(survivors(t, dir)) == 0 }, 5*time.Second, 20*time.Millisecond)
}

func TestSignalsToTheSupervisor(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			cmd, dir := outside(t, "forever")
			require.NoError(t, cmd.Process.Signal(sig))
			start := time.Now()
			err := cmd.Wait()
			require.Less(t, time.Since(start), 5*time.Second)
			require.Error(t, err)
			require.Equal(t, ExitStopped, cmd.ProcessState.ExitCode(), "a distinct exit code")
			require.Empty(t, survivors(t, dir))
			saved, _ := filepath.Glob(filepath.Join(dir, "saved*"))
			require.NotEmpty(t, saved, "ranks were told, and could save")
		})
	}
}

func TestSecondSignalEndsTheGrace(t *testing.T) {
	cmd, dir := outside(t, "deaf")
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	time.Sleep(500 * time.Millisecond)
	require.Len(t, survivors(t, dir), 2, "the grace of 10 s is on")
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	start := time.Now()
	require.Error(t, cmd.Wait())
	require.Less(t, time.Since(start), 5*time.Second)
	require.Equal(t, ExitStopped, cmd.ProcessState.ExitCode())
	require.Empty(t, survivors(t, dir))
}

func TestCancelledContextEndsTheJob(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(700*time.Millisecond, func() { cancel(errors.New("enough")) })
	start := time.Now()
	_, err := Supervise(ctx, testSpec(2, "forever", dir))
	require.ErrorContains(t, err, "enough")
	require.Less(t, time.Since(start), 6*time.Second)
	require.Empty(t, survivors(t, dir))
}

func TestTwoJobsAtOnce(t *testing.T) {
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			dir := t.TempDir()
			result, err := Supervise(t.Context(), testSpec(2, "none", dir))
			if err != nil || !strings.HasPrefix(string(result), "rank 0 did 20 steps") {
				t.Errorf("%s, %v", result, err)
			}
		})
	}
	all.Wait()
}

func TestFixedPort(t *testing.T) {
	l, err := net.Listen("tcp", ":0")
	require.NoError(t, err)
	number := l.Addr().(*net.TCPAddr).Port
	dir := t.TempDir()
	spec := testSpec(2, "none", dir)
	spec.MainPort = number
	start := time.Now()
	_, err = Supervise(t.Context(), spec)
	require.ErrorContains(t, err, "rank 0 can't listen on port "+strconv.Itoa(number))
	require.ErrorContains(t, err, "set MASTER_PORT")
	require.Less(t, time.Since(start), 2*time.Second)
	require.NoError(t, l.Close())

	result, err := supervise(t, 10*time.Second, spec, dir)
	require.NoError(t, err)
	require.Equal(t, "rank 0 did 20 steps on port "+strconv.Itoa(number), string(result))
	require.NoError(t, CheckPort(number), "no port is left")
}

func TestOutput(t *testing.T) {
	dir := t.TempDir()
	spec := testSpec(2, "exit:1", dir)
	var out, errs bytes.Buffer
	spec.Prefix, spec.Stdout, spec.Stderr = true, &out, &errs
	_, err := supervise(t, 10*time.Second, spec, dir)
	require.Equal(t, 3, jobError(t, err).ExitCode)
	require.Contains(t, errs.String(), "[rank 1] giving up\n")
}

func TestProgramThatCanNotStart(t *testing.T) {
	_, err := Supervise(t.Context(), Spec{LocalRanks: 2, Path: filepath.Join(t.TempDir(), "none")})
	e := jobError(t, err)
	require.Equal(t, CauseStart, e.Kind)
	require.ErrorContains(t, err, "no such file")
}

func TestProgramThatNeverAttaches(t *testing.T) {
	_, err := Supervise(t.Context(), Spec{LocalRanks: 2, Path: "/bin/true", Args: []string{}})
	require.Equal(t, CauseSilent, jobError(t, err).Kind)
}

func TestWrongSpecs(t *testing.T) {
	for text, spec := range map[string]Spec{
		"0 ranks on this node":   {},
		"node rank 1 of 1 nodes": {LocalRanks: 1, NodeRank: 1},
		"2 nodes need a port":    {LocalRanks: 1, Nodes: 2},
	} {
		_, err := Supervise(t.Context(), spec)
		require.ErrorContains(t, err, text)
	}
}

func TestAttachOutsideAJob(t *testing.T) {
	_, ok := Attach()
	require.False(t, ok)
	t.Setenv(marker, string(encodeJSON(startInfo{Version: protocolVersion})))
	require.Nil(t, inherit(), "a marker without the pipes is left over from elsewhere")
}
