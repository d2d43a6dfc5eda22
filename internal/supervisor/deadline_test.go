package supervisor

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// newcomers is a job whose ranks have not come to Run. Their processes are the test's own.
func newcomers(t *testing.T, ranks int) *stage {
	s := newStage(t, ranks)
	for i := range s.ranks {
		s.ranks[i].hello, s.ranks[i].pid = false, os.Getpid()
	}
	return s
}

// TestARankMayTakeItsTimeBeforeRun: a program that prepares its data there is no hang, however long it takes.
func TestARankMayTakeItsTimeBeforeRun(t *testing.T) {
	s := newcomers(t, 2)
	for range 100 {
		s.now = s.now.Add(time.Second)
		require.Empty(t, s.onTick(s.now))
	}
	require.Equal(t, running, s.phase)
}

// TestAStopBeforeTheJobHasBegun asks ranks that have not come to Run as any program is asked, and gives them less time.
func TestAStopBeforeTheJobHasBegun(t *testing.T) {
	s := newcomers(t, 2)
	s.onMessage(1, kindHello, encodeJSON(hello{PID: 1, Rank: 1}), s.now)
	list := s.onSignal(syscall.SIGTERM, s.now)
	require.Contains(t, list, action{rank: 1, do: sendMessage, kind: kindStop})
	require.Contains(t, list, action{rank: 0, do: interrupt})
	require.NotContains(t, list, action{rank: 1, do: interrupt})
	require.Empty(t, s.pass(2500*time.Millisecond))
	require.True(t, does(s.pass(time.Second), terminate, 0))

	s = newcomers(t, 1)
	s.onSignal(syscall.SIGTERM, s.now)
	s.onExit(0, exit{code: 1}, s.now) // the program has a way of its own to end
	_, err := s.verdict()
	require.ErrorIs(t, err, ErrStopped)
}

// TestAContextThatEndsWithTheSignal: signal.NotifyContext around Run, and Run's own watch, are one request.
func TestAContextThatEndsWithTheSignal(t *testing.T) {
	for _, first := range []string{"signal", "context"} {
		s := newStage(t, 1)
		if first == "signal" {
			s.onSignal(syscall.SIGTERM, s.now)
		}
		s.onCancel(os.ErrClosed, s.now)
		if first != "signal" {
			s.onSignal(syscall.SIGTERM, s.now)
		}
		s.report(0, Report{Message: "context canceled"})
		s.onExit(0, exit{code: 1}, s.now)
		_, err := s.verdict()
		require.ErrorIs(t, err, ErrStopped, "%s first", first)
		require.ErrorIs(t, err, os.ErrClosed)
	}
}

// TestAProcessThatDoesNotEnd is given up some time after it was killed: it may wait for a driver.
func TestAProcessThatDoesNotEnd(t *testing.T) {
	s := newStage(t, 2)
	s.ranks[1].pid = 4711
	s.report(0, Report{Message: "the disk is full"})
	require.True(t, does(s.pass(4*time.Second), kill, 0))
	s.onExit(0, exit{code: 1}, s.now)
	s.pass(unkillable - time.Second)
	require.False(t, s.over())
	s.pass(2 * time.Second)
	require.True(t, s.over())
	_, err := s.verdict()
	require.ErrorContains(t, err, "rank 0: the disk is full")
	require.ErrorContains(t, err, "rank 1: step 5; it was killed, and process 4711 does not end")
}

// TestTheSupervisorLeavesAProcessThatDoesNotEnd: nothing waits for it.
func TestTheSupervisorLeavesAProcessThatDoesNotEnd(t *testing.T) {
	spec, err := Spec{LocalRanks: 1, Path: "/bin/sleep", Args: []string{"1000"}}.withDefaults()
	require.NoError(t, err)
	s := &supervisor{job: newJob(spec, time.Now()), events: make(chan event, 64), startDone: make(chan struct{})}
	require.NoError(t, s.start())
	pid := s.job.ranks[0].pid
	require.True(t, living(pid))
	s.job.giveUp()
	start := time.Now()
	s.loop(t.Context(), nil)
	s.finish()
	require.Less(t, time.Since(start), time.Second)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	s.procs[0].work.Wait() // the goroutines that were left end with it
	close(s.events)
}

// TestARankThatHangsAfterItsOutcome has told how it ended, and does not exit.
func TestARankThatHangsAfterItsOutcome(t *testing.T) {
	s := newStage(t, 2)
	s.onMessage(0, kindOutcome, nil, s.now)
	s.onMessage(1, kindOutcome, nil, s.now)
	s.onExit(1, exit{}, s.now)
	require.True(t, does(s.pass(62*time.Second, 0), terminate, 0))
	require.Equal(t, CauseHang, s.jobError().Kind)
	require.Equal(t, 0, s.jobError().Rank)
}
