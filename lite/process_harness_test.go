package lite_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/lite"
)

// Jobs of several ranks run in processes of their own: the test binary, started anew with the variables below, calls
// lite.Run, and, with strategy "ddp", starts itself once more for each rank.
const (
	envJob      = "LITE_TEST_JOB"      // a key of jobs
	envArg      = "LITE_TEST_ARG"      // what it is told
	envStrategy = "LITE_TEST_STRATEGY" // "ddp" or "ddp_spawn"
	envRanks    = "LITE_TEST_RANKS"
	envTimeout  = "LITE_TEST_TIMEOUT" // of collectives
	envDir      = "LITE_TEST_DIR"     // where it leaves what the test looks at
	envBefore   = "LITE_TEST_BEFORE"  // what a rank does before it comes to Run: "kind:rank"
)

// result is what a job's rank 0 returns.
type result struct {
	Losses  [][]float64 // of each rank
	Tensors map[string]fixture.Tensor
	Words   []string
	Numbers []int
}

// outcome is how Run ended, as the first process wrote it down.
type outcome struct {
	Result result
	Error  string
	Rank   int // of the *lite.RankError, -1 if it is none
	Took   time.Duration
}

type rankFunc = func(ctx context.Context, l *lite.Lite) (result, error)

// jobs are what ranks can be asked to do.
var jobs = map[string]rankFunc{}

// configs are what some jobs change about their Config.
var configs = map[string]func(*lite.Config){}

// runJob does what the environment asks for, and reports whether it asks for anything.
func runJob() (code int, asked bool) {
	name := os.Getenv(envJob)
	if name == "" {
		return 0, false
	}
	f, ok := jobs[name]
	if !ok {
		fmt.Fprintln(os.Stderr, "there is no job", name)
		return 2, true
	}
	timeout, err := time.ParseDuration(os.Getenv(envTimeout))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2, true
	}
	cfg := lite.Config{Strategy: os.Getenv(envStrategy), Accelerator: "cpu", Devices: lite.Devices(os.Getenv(envRanks)), Timeout: timeout}
	if change := configs[name]; change != nil {
		change(&cfg)
	}
	beforeRun()
	start := time.Now()
	if name == "outside" {
		shared = newTiny(8)
	}
	run := func(ctx context.Context, l *lite.Lite) (result, error) {
		note(fmt.Sprintf("rank%d", l.GlobalRank()), os.Getpid())
		return f(ctx, l)
	}
	v, err := lite.RunValue(context.Background(), cfg, run)
	if name == "twice" && err == nil {
		v, err = lite.RunValue(context.Background(), cfg, run)
	}
	o := outcome{Result: v, Rank: -1, Took: time.Since(start)}
	if err != nil {
		o.Error = err.Error()
	}
	if re, ok := errors.AsType[*lite.RankError](err); ok {
		o.Rank = re.Rank
	}
	text, err2 := json.Marshal(o)
	if err2 != nil {
		fmt.Fprintln(os.Stderr, err2)
		return 2, true
	}
	write("outcome", text)
	return lite.ExitCode(err), true
}

// write leaves a file for the test, whole or not at all.
func write(name string, text []byte) {
	dir := os.Getenv(envDir)
	tmp := filepath.Join(dir, fmt.Sprintf(".%s.%d", name, os.Getpid()))
	if err := errors.Join(os.WriteFile(tmp, text, 0o644), os.Rename(tmp, filepath.Join(dir, name))); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

func note(name string, number int) { write(name, []byte(strconv.Itoa(number))) }

// job is what a test asks for.
type job struct {
	do, arg  string
	strategy string
	ranks    int
	timeout  time.Duration // 0: a minute
	debug    bool          // ranks compare their calls
	env      []string
	port     int                                         // on which rank 0 listens; 0: a free one
	dir      string                                      // empty: a new one
	command  func(name string, args ...string) *exec.Cmd // nil: exec.Command
}

// started is a job under way.
type started struct {
	job
	cmd *exec.Cmd
	out *bytes.Buffer
}

// start starts a job in processes of its own. Rank 0 listens on a port that the test knows.
func (j job) start(t *testing.T) *started {
	t.Helper()
	if j.dir == "" {
		j.dir = t.TempDir()
	}
	if j.timeout == 0 {
		j.timeout = time.Minute
	}
	if j.command == nil {
		j.command = exec.Command
	}
	if j.port == 0 {
		j.port = freePort(t)
	}
	s := &started{job: j, out: &bytes.Buffer{}}
	s.cmd = j.command(os.Args[0], "-test.run=^$")
	s.cmd.Env = append(os.Environ(), envJob+"="+j.do, envArg+"="+j.arg, envStrategy+"="+j.strategy, envRanks+"="+strconv.Itoa(j.ranks),
		envTimeout+"="+j.timeout.String(), envDir+"="+j.dir)
	if j.strategy == "ddp" {
		s.cmd.Env = append(s.cmd.Env, "MASTER_PORT="+strconv.Itoa(j.port))
	}
	s.cmd.Env = append(append(s.cmd.Env, "LITE_DEBUG="+strconv.FormatBool(j.debug)), j.env...)
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	s.cmd.WaitDelay = 5 * time.Second
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, s.cmd.Start())
	t.Cleanup(func() {
		if s.cmd.ProcessState == nil {
			s.cmd.Process.Kill()
			s.cmd.Wait()
		}
		if t.Failed() {
			t.Logf("%s %s, %s, %d ranks, said:\n%s", j.do, j.arg, j.strategy, j.ranks, s.out)
		}
	})
	return s
}

func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// wait waits until the job is over, at most bound, and checks that no process and no port is left.
func (s *started) wait(t *testing.T, bound time.Duration) (o outcome, code int) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- s.cmd.Wait() }()
	select {
	case <-ended:
	case <-time.After(bound):
		s.cmd.Process.Kill()
		<-ended
		require.Fail(t, "the job did not end", "within %v", bound)
	}
	s.nothingLeft(t)
	if text, err := os.ReadFile(filepath.Join(s.dir, "outcome")); err == nil {
		require.NoError(t, json.Unmarshal(text, &o))
	}
	return o, s.cmd.ProcessState.ExitCode()
}

func (s *started) nothingLeft(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return len(s.alive(t)) == 0 }, 3*time.Second, 10*time.Millisecond, "processes are left")
	require.False(t, s.listens(t), "the port is left")
}

// listens tells whether somebody listens on the job's port, on the host where it was started.
func (s *started) listens(t *testing.T) bool {
	table, err := s.command("cat", "/proc/net/tcp", "/proc/net/tcp6").Output()
	require.NoError(t, err)
	const listening = "0A"
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line) // number, local address, remote address, state, ...
		if strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", s.port)) && fields[3] == listening {
			return true
		}
	}
	return false
}

// alive lists the ranks that are still running.
func (s *started) alive(t *testing.T) (names []string) {
	files, err := filepath.Glob(filepath.Join(s.dir, "rank*"))
	require.NoError(t, err)
	for _, f := range files {
		if living(s.pid(t, filepath.Base(f))) {
			names = append(names, filepath.Base(f))
		}
	}
	return names
}

func (s *started) pid(t *testing.T, name string) int {
	raw, err := os.ReadFile(filepath.Join(s.dir, name))
	require.NoError(t, err)
	pid, err := strconv.Atoi(string(raw))
	require.NoError(t, err)
	return pid
}

// living reports whether a process runs. One that has ended and was not waited for yet does not, once its threads have
// ended too: until then they hold its files and ports, although the process is a zombie already.
func living(pid int) bool {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	const state, threads = 0, 17 // among the fields after the name
	after := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	return len(after) > threads && (after[state] != "Z" || after[threads] != "0" && after[threads] != "1")
}

// awaitFile waits until the job has written a file.
func (s *started) awaitFile(t *testing.T, name string) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(s.dir, name))
		return err == nil
	}, 60*time.Second, 5*time.Millisecond, "the job never wrote %s", name)
}

// waitLong bounds what is not about time.
const waitLong = 3 * time.Minute

// run starts a job, which must succeed.
func (j job) run(t *testing.T) result {
	t.Helper()
	o, code := j.start(t).wait(t, waitLong)
	require.Zero(t, code, o.Error)
	require.Empty(t, o.Error)
	return o.Result
}

// strategies are both kinds of ranks; goroutines alone under the race detector.
var strategies = func() []string {
	if raceDetector {
		return []string{"ddp_spawn"}
	}
	return []string{"ddp_spawn", "ddp"}
}()
