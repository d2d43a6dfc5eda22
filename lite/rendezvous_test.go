package lite_test

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/ranktest"
)

// beforeRun does what a rank was told to do before it comes to Run.
func beforeRun() {
	kind, rank, _ := strings.Cut(os.Getenv(envBefore), ":")
	if kind == "" || rank != os.Getenv("RANK") {
		return
	}
	note("rank"+rank, os.Getpid())
	switch kind {
	case "stop":
		if err := syscall.Kill(os.Getpid(), syscall.SIGSTOP); err != nil {
			panic(err)
		}
	case "sleep":
		time.Sleep(10 * time.Minute)
	}
}

// TestRankThatNeverComesToRun: Config.Timeout holds from the start, whichever rank is missing, and the error names it.
func TestRankThatNeverComesToRun(t *testing.T) {
	const freePort = "MASTER_PORT="
	for _, c := range []struct {
		before string
		ranks  int
		rank   int
		env    []string
		says   []string
	}{
		{"stop:0", 2, 0, []string{freePort}, []string{"stopped by a signal"}},
		{"stop:0", 3, 0, nil, []string{"stopped by a signal"}},
		{"sleep:0", 2, 0, []string{freePort}, []string{"has not reached lite.Run", "sleeping"}},
		{"sleep:0", 3, 0, nil, []string{"has not reached lite.Run", "sleeping"}},
		{"stop:1", 2, 1, []string{freePort}, []string{"stopped by a signal"}},
		{"sleep:2", 3, 2, []string{freePort}, []string{"has not reached lite.Run", "sleeping"}},
	} {
		t.Run(c.before+strings.Join(c.env, " "), func(t *testing.T) {
			t.Parallel() // they wait
			env := append([]string{envBefore + "=" + c.before}, c.env...)
			s := job{do: "fault", arg: "none", strategy: "ddp", ranks: c.ranks, timeout: shortTimeout, env: env}.start(t)
			o, code := s.wait(t, 15*time.Second)
			require.Equal(t, 1, code)
			t.Logf("%.1f s: %s", o.Took.Seconds(), o.Error)
			require.Equal(t, c.rank, o.Rank, o.Error)
			for _, text := range c.says {
				require.Contains(t, o.Error, text)
			}
			require.Contains(t, o.Error, strconv.Itoa(s.pid(t, "rank"+strconv.Itoa(c.rank))), "the process")
		})
	}
}

// TestRankThatStopsWhileItStarts: wherever rank 0 is when it stops, before Run, in the rendezvous or in the first
// steps, the job ends in time and names it.
func TestRankThatStopsWhileItStarts(t *testing.T) {
	for _, after := range []time.Duration{0, 100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond} {
		t.Run(after.String(), func(t *testing.T) {
			t.Parallel() // they wait
			s := job{do: "fault", arg: "forever", strategy: "ddp", ranks: 2, timeout: shortTimeout, env: []string{envBefore + "=note:0", "MASTER_PORT="}}.start(t)
			s.awaitFile(t, "rank0")
			time.Sleep(after)
			require.NoError(t, syscall.Kill(s.pid(t, "rank0"), syscall.SIGSTOP))
			o, code := s.wait(t, 20*time.Second)
			require.Equal(t, 1, code)
			t.Logf("%.1f s: %.300s", o.Took.Seconds(), o.Error)
			require.Equal(t, 0, o.Rank, o.Error)
		})
	}
}

// TestSignalDuringTheRendezvous: a job that has not begun has nothing to save, and ends at once.
func TestSignalDuringTheRendezvous(t *testing.T) {
	for _, c := range []struct {
		before string
		signal syscall.Signal
	}{{"sleep:0", syscall.SIGTERM}, {"sleep:1", syscall.SIGINT}, {"stop:0", syscall.SIGTERM}} {
		t.Run(c.before+"/"+c.signal.String(), func(t *testing.T) {
			s := job{do: "fault", arg: "none", strategy: "ddp", ranks: 2, env: []string{envBefore + "=" + c.before, "MASTER_PORT="}}.start(t)
			s.awaitFile(t, "rank"+strings.Split(c.before, ":")[1])
			time.Sleep(300 * time.Millisecond) // for the other rank to wait
			require.NoError(t, syscall.Kill(s.cmd.Process.Pid, c.signal))
			start := time.Now()
			o, code := s.wait(t, 10*time.Second)
			t.Logf("%.1f s: %s", time.Since(start).Seconds(), o.Error)
			require.Equal(t, 75, code, o.Error)
			require.Contains(t, o.Error, "stopped by a signal")
		})
	}
}

// TestMasterThatNeverAnswers: what listens at the master's address is no store, or one that hangs. A rank that an
// engine started, and a node's supervisor with its ranks, end in time, and at once when they are asked to.
func TestMasterThatNeverAnswers(t *testing.T) {
	for _, c := range []struct {
		name string
		env  []string
	}{
		{"engine", []string{"RANK=1", "LOCAL_RANK=1", "WORLD_SIZE=2"}},
		{"second node", []string{"LITE_NUM_NODES=2", "NODE_RANK=1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			port := strconv.Itoa(ranktest.MuteServer(t))
			env := append([]string{"MASTER_ADDR=127.0.0.1", "MASTER_PORT=" + port}, c.env...)
			o, code := job{do: "fault", arg: "none", strategy: "ddp", ranks: 2, timeout: shortTimeout, env: env}.start(t).wait(t, 12*time.Second)
			require.Equal(t, 1, code)
			t.Logf("%.1f s: %s", o.Took.Seconds(), o.Error)
			require.Contains(t, o.Error, "127.0.0.1:"+port)
			require.Contains(t, o.Error, "accepts connections and does not answer")
			require.Contains(t, o.Error, "rank 0")
			require.Equal(t, c.name == "engine", strings.Contains(o.Error, "because of LOCAL_RANK=1, RANK=1, WORLD_SIZE=2, MASTER_ADDR=127.0.0.1"))

			s := job{do: "fault", arg: "none", strategy: "ddp", ranks: 2, env: env}.start(t)
			time.Sleep(1500 * time.Millisecond) // into the wait
			require.NoError(t, syscall.Kill(s.cmd.Process.Pid, syscall.SIGTERM))
			start := time.Now()
			o, code = s.wait(t, 10*time.Second)
			t.Logf("%.1f s: %s", time.Since(start).Seconds(), o.Error)
			require.Equal(t, 75, code, o.Error)
			require.Contains(t, o.Error, "stopped by a signal")
		})
	}
}

// TestLeftOverLocalRank: the variable makes a program a rank that waits for others which nothing starts. It is told so
// at once, and the error names the variable.
func TestLeftOverLocalRank(t *testing.T) {
	s := job{do: "fault", arg: "none", strategy: "ddp", ranks: 2, timeout: shortTimeout, env: []string{"LOCAL_RANK=0", "MASTER_PORT="}}.start(t)
	o, code := s.wait(t, 12*time.Second)
	require.Equal(t, 1, code)
	require.Contains(t, s.out.String(), "LOCAL_RANK=0 is set: this process is rank 0 of 2")
	require.Contains(t, o.Error, "missing: rank 1")
	require.Contains(t, o.Error, "because of LOCAL_RANK=0 (cluster environment: variables set by hand)")
	require.Contains(t, o.Error, "unset what was left over")
}
