package supervisor

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// stage is a job with a clock of its own and no processes.
type stage struct {
	*job
	now time.Time
}

func newStage(t *testing.T, ranks int) *stage {
	spec, err := Spec{LocalRanks: ranks, Path: "none"}.withDefaults()
	require.NoError(t, err)
	return stageOf(spec)
}

func stageOf(spec Spec) *stage {
	now := time.Unix(1000, 0)
	s := &stage{newJob(spec, now), now}
	for i := range s.ranks {
		s.onMessage(i, kindHello, encodeJSON(hello{PID: 1, Rank: i}), now)
	}
	return s
}

// pass lets time pass in ticks of 100 ms, while all ranks but the silent ones give signs of life.
func (s *stage) pass(d time.Duration, silent ...int) (list []action) {
	for end := s.now.Add(d); s.now.Before(end); {
		s.now = s.now.Add(100 * time.Millisecond)
		for i := range s.ranks {
			if len(silent) == 0 || silent[0] != i {
				s.onMessage(i, kindState, encodeJSON(State{Step: 5}), s.now)
			}
		}
		list = append(list, s.onTick(s.now)...)
	}
	return list
}

func (s *stage) report(i int, r Report) []action {
	return s.onMessage(i, kindOutcome, encodeJSON(r), s.now)
}

func does(list []action, do actionKind, k kind) bool {
	for _, a := range list {
		if a.do == do && a.kind == k {
			return true
		}
	}
	return false
}

func TestVictimIsNamedThoughPeersReportFirst(t *testing.T) {
	s := newStage(t, 3)
	first := s.report(0, Report{Message: "connection reset", Secondary: true})
	require.True(t, does(first, sendMessage, kindDump), "all are asked where they are")
	s.report(2, Report{Message: "connection reset", Secondary: true})
	require.Empty(t, s.pass(300*time.Millisecond))
	s.onExit(1, exit{signal: syscall.SIGKILL}, s.now)
	list := s.pass(time.Second)
	require.True(t, does(list, sendMessage, kindAbort))
	require.True(t, does(list, terminate, 0))
	require.Equal(t, 1, s.jobError().Rank)
	require.Equal(t, CauseSignal, s.jobError().Kind)
	list = s.pass(3 * time.Second)
	require.True(t, does(list, kill, 0), "after the grace what remains is killed")
}

func TestTimeoutNamesTheRankThatDidNotCome(t *testing.T) {
	s := newStage(t, 3)
	s.report(0, Report{Message: "all_reduce timed out", Secondary: true, Blames: []int{1}})
	s.report(2, Report{Message: "all_reduce timed out", Secondary: true, Blames: []int{1}})
	s.pass(2 * time.Second)
	for i := range s.ranks {
		s.onExit(i, exit{signal: syscall.SIGKILL}, s.now)
	}
	require.True(t, s.over())
	_, err := s.verdict()
	require.ErrorContains(t, err,
		"rank 1: did not join the collective that its peers are blocked in: all_reduce timed out")
}

func TestEachOnTheOtherBlamedIsTheFirstReport(t *testing.T) {
	s := newStage(t, 2)
	s.report(1, Report{Message: "one", Secondary: true, Blames: []int{0}})
	s.report(0, Report{Message: "two", Secondary: true, Blames: []int{1}})
	s.pass(2 * time.Second)
	require.Equal(t, 1, s.jobError().Rank)
}

func TestSilenceIsAHang(t *testing.T) {
	s := newStage(t, 2)
	require.Empty(t, s.pass(59*time.Second, 1))
	require.True(t, does(s.pass(3*time.Second, 1), sendMessage, kindAbort))
	require.Equal(t, CauseHang, s.jobError().Kind)
	require.Equal(t, 1, s.jobError().Rank)
}

func TestASleepingSupervisorBlamesNobody(t *testing.T) {
	s := newStage(t, 2)
	s.now = s.now.Add(time.Hour) // the laptop was shut
	require.Empty(t, s.onTick(s.now))
	require.Equal(t, running, s.phase)
}

func TestHangTimeoutCanBeOff(t *testing.T) {
	s := newStage(t, 1)
	s.spec.HangTimeout = -1
	require.Empty(t, s.pass(10*time.Minute, 0))
}

func TestStop(t *testing.T) {
	s := newStage(t, 2)
	require.True(t, does(s.onStop("terminated", s.now), sendMessage, kindStop))
	require.Empty(t, s.onStop("a signal to rank 1", s.now), "once is enough")
	s.report(0, Report{Message: "stopped", Stopped: true})
	s.report(1, Report{Message: "lost rank 0", Secondary: true})
	s.onExit(0, exit{code: ExitStopped}, s.now)
	s.onExit(1, exit{code: 1}, s.now)
	_, err := s.verdict()
	require.ErrorIs(t, err, ErrStopped, "a peer's loss of a stopped rank is no failure")

	s = newStage(t, 2)
	s.onStop("terminated", s.now)
	require.True(t, does(s.pass(31*time.Second), sendMessage, kindAbort), "the grace ends")
	s = newStage(t, 1)
	s.onStop("terminated", s.now)
	s.onMessage(0, kindResult, []byte("done"), s.now)
	s.onMessage(0, kindOutcome, nil, s.now)
	s.onExit(0, exit{}, s.now)
	result, err := s.verdict()
	require.NoError(t, err, "it finished all the same")
	require.Equal(t, "done", string(result))

	s = newStage(t, 1)
	s.onStop("terminated", s.now)
	s.report(0, Report{Message: "the disk is full"})
	s.onExit(0, exit{code: 1}, s.now)
	_, err = s.verdict()
	require.ErrorContains(t, err, "the disk is full", "a failure while stopping is a failure")
}

func TestSignalsOfTheEndAreNoStop(t *testing.T) {
	s := newStage(t, 2)
	s.report(1, Report{Message: "lost a peer", Secondary: true})
	s.pass(2 * time.Second)
	require.Equal(t, aborting, s.phase)
	require.Empty(t, s.onMessage(0, kindStop, nil, s.now)) // the supervisor's own SIGTERM
	s.report(0, Report{Message: "stopped", Stopped: true})
	s.onExit(0, exit{code: ExitStopped}, s.now)
	s.onExit(1, exit{code: 1}, s.now)
	_, err := s.verdict()
	require.NotErrorIs(t, err, ErrStopped)
	require.ErrorContains(t, err, "rank 1: lost a peer")
}

// Ranks 2 and 3 are on another node. What rank 0 lost there is why rank 1 lost rank 0, whoever says so first.
func TestPeerLostOnAnotherNodeComesFirst(t *testing.T) {
	spec, err := Spec{LocalRanks: 2, Nodes: 2, MainPort: 1, Path: "none"}.withDefaults()
	require.NoError(t, err)
	s := stageOf(spec)
	s.report(1, Report{Message: "lost a peer", Secondary: true, Blames: []int{0}})
	s.report(0, Report{Message: "lost a peer", Secondary: true, Blames: []int{2}})
	s.pass(2 * time.Second)
	s.onExit(0, exit{code: 1}, s.now)
	s.onExit(1, exit{code: 1}, s.now)
	_, err = s.verdict()
	require.ErrorContains(t, err, "rank 2: was lost on another node: lost a peer")
	e := s.jobError()
	require.Equal(t, CauseLost, e.Kind)
	require.Len(t, e.Others, 2)

	s = stageOf(spec)
	s.report(0, Report{Message: "time is up", Secondary: true, Late: true, Blames: []int{3}})
	s.pass(2 * time.Second)
	require.Equal(t, 3, s.jobError().Rank)
	require.Equal(t, CauseHang, s.jobError().Kind)
	require.Equal(t, "did not join the collective that its peers are blocked in: time is up", s.jobError().Message)

	s = stageOf(spec)
	s.report(0, Report{Message: "lost a peer", Secondary: true, Blames: []int{3}})
	s.report(1, Report{Message: "the disk is full"})
	s.pass(2 * time.Second)
	require.Equal(t, 1, s.jobError().Rank, "what happened here is known for sure")
}

// The other node's supervisor was asked to stop; this one's ranks tell it so before they end.
func TestStopOfAnotherNode(t *testing.T) {
	spec, err := Spec{LocalRanks: 2, Nodes: 2, MainPort: 1, Path: "none"}.withDefaults()
	require.NoError(t, err)
	s := stageOf(spec)
	list := s.onMessage(1, kindStopping, nil, s.now)
	require.True(t, does(list, sendMessage, kindStop), "all are told, and have the grace of a stop")
	require.Empty(t, s.onMessage(0, kindStopping, nil, s.now))
	s.report(0, Report{Message: "stopped", Stopped: true})
	require.Empty(t, s.pass(20*time.Second), "rank 1 saves")
	s.report(1, Report{Message: "stopped", Stopped: true})
	s.onExit(0, exit{code: ExitStopped}, s.now)
	s.onExit(1, exit{code: ExitStopped}, s.now)
	_, err = s.verdict()
	require.ErrorIs(t, err, ErrStopped)
	require.ErrorContains(t, err, "asked of the ranks of another node")
}

func TestSecondSignal(t *testing.T) {
	s := newStage(t, 1)
	require.True(t, does(s.onSignal(syscall.SIGTERM, s.now), sendMessage, kindStop))
	require.Empty(t, s.pass(time.Second))
	require.Empty(t, s.onStop("a signal to rank 0", s.now), "the terminal sent the same one to all")
	require.Empty(t, s.pass(time.Second))
	require.Empty(t, s.onSignal(syscall.SIGTERM, s.now))
	require.True(t, does(s.pass(time.Second), sendMessage, kindAbort))
}

func TestCrashOnATerminal(t *testing.T) {
	s := newStage(t, 1)
	s.onExit(0, exit{code: 2, crash: "panic: boom\n\ngoroutine 1 [running]:\n"}, s.now)
	_, err := s.verdict()
	require.ErrorContains(t, err, "rank 0: panic: boom")
	require.Equal(t, CausePanic, s.jobError().Kind)
}

func TestLateRankLearnsPortAndStop(t *testing.T) {
	s := newStage(t, 2)
	s.onMessage(0, kindPort, encodeJSON(port{4711}), s.now)
	s.onStop("terminated", s.now)
	list := s.onMessage(1, kindHello, encodeJSON(hello{}), s.now)
	require.True(t, does(list, sendMessage, kindPort))
	require.True(t, does(list, sendMessage, kindStop))
}

func TestStoppedWithoutBeingAskedIsAFailure(t *testing.T) {
	s := newStage(t, 1)
	s.report(0, Report{Message: "stopped", Stopped: true})
	s.onExit(0, exit{code: ExitStopped}, s.now)
	_, err := s.verdict()
	require.ErrorContains(t, err, "rank 0: stopped")
}

func TestGlobalRanksOfASecondNode(t *testing.T) {
	spec, err := Spec{LocalRanks: 2, Nodes: 2, NodeRank: 1, MainPort: 1, Path: "none"}.withDefaults()
	require.NoError(t, err)
	j := newJob(spec, time.Unix(0, 0))
	require.Equal(t, 3, j.global(1))
	l, ok := j.local(2)
	require.True(t, ok)
	require.Equal(t, 0, l)
	_, ok = j.local(1)
	require.False(t, ok, "rank 1 is on the other node")
}

func TestCrashText(t *testing.T) {
	text, crashed := crashText("step 1\nstep 2\npanic: boom\n\ngoroutine 1 [running]:\nmain.main()\n")
	require.True(t, crashed)
	require.Equal(t, "panic: boom\n\ngoroutine 1 [running]:\nmain.main()", text)
	text, crashed = crashText("terminate called after throwing an instance of 'c10::Error'\n  what(): no\n")
	require.True(t, crashed)
	require.Contains(t, text, "what(): no")
	require.Equal(t, "terminate called after throwing an instance of 'c10::Error': no", headline(text))
	require.Equal(t, "panic: boom", headline("panic: boom\n\ngoroutine 1 [running]:"))
	text, crashed = crashText("step 1\nfree(): invalid size\nSIGABRT: abort\n")
	require.True(t, crashed)
	require.Equal(t, "free(): invalid size", headline(text))
	text, crashed = crashText("don't panic: it is fine\n")
	require.False(t, crashed)
	require.Equal(t, "don't panic: it is fine", text)
}

func TestSuspectWhereTimeWasUp(t *testing.T) {
	late := Report{Message: "time is up", Secondary: true, Late: true}
	for what, c := range map[string]struct {
		silent int
		states []State // of the ranks that have not failed
		want   int
	}{
		"the only one that has not failed": {-1, nil, 2},
		"the one that waits for nobody":    {-1, []State{{Waiting: "barrier", Seq: 3}, {}}, 2},
		"the one that is behind":           {-1, []State{{Waiting: "barrier", Seq: 2}, {Waiting: "barrier", Seq: 3}}, 1},
		"the one that is silent":           {2, []State{{}, {Waiting: "barrier", Seq: 3}}, 2},
	} {
		s := newStage(t, 3)
		for i, state := range c.states {
			s.onMessage(i+1, kindState, encodeJSON(state), s.now)
		}
		for range 40 {
			s.now = s.now.Add(100 * time.Millisecond)
			for i := range s.ranks {
				if i != c.silent {
					s.ranks[i].lastSign = s.now
				}
			}
			s.onTick(s.now)
		}
		s.report(0, late)
		if c.states == nil {
			s.report(1, late)
		}
		s.now = s.now.Add(4 * s.spec.Settle)
		s.onTick(s.now)
		e := s.jobError()
		require.Equal(t, c.want, e.Rank, what)
		require.Equal(t, CauseHang, e.Kind, what)
		require.Contains(t, e.Message, "did not join the collective that its peers are blocked in: time is up", what)
	}
}

func TestLostConnectionIsNoSuspicion(t *testing.T) {
	s := newStage(t, 2)
	s.report(0, Report{Message: "connection reset", Secondary: true})
	s.pass(2 * time.Second)
	require.Equal(t, 0, s.jobError().Rank, "nobody says that rank 1 was missing")
}

func TestShortTrace(t *testing.T) {
	for name, c := range map[string]struct{ trace, want string }{
		"a panic": {"panic: boom\n\ngoroutine 1 [running]:\nmain.main()\n\tmain.go:3 +0x1",
			"panic: boom\n\ngoroutine 1 [running]:\nmain.main()\n\tmain.go:3 +0x1"},
		"a stack alone": {"goroutine 7 [running]:\nruntime.gopanic()\n\nruntime",
			"goroutine 7 [running]:\nruntime.gopanic()\n\n... and 1 lines more, on the standard error of the rank"},
		"a signal": {"SIGABRT: abort\nPC=0x1 m=0\n\ngoroutine 0 [idle]:\nruntime.futex(0x1)\n\tsys.s:5 +0x1 fp=0x1 sp=0x2 " +
			"pc=0x3\n\n" +
			"goroutine 1 [syscall]:\nruntime.cgocall(0x1)\n\tcgo.go:1 +0x1 fp=0x1 sp=0x2 pc=0x3\nmain.main()\n\tmain.go:3 " +
			"+0x1 fp=0x4 sp=0x5 pc=0x6\n\nrax 0x0\nrbx 0x0",
			"SIGABRT: abort\nPC=0x1 m=0\n\ngoroutine 1 [syscall]:\nruntime.cgocall(0x1)\n\tcgo.go:1 " +
				"+0x1\nmain.main()\n\tmain.go:3 +0x1\n\n" +
				"... and 5 lines more, on the standard error of the rank"},
		"no goroutine of the program": {"SIGSEGV: segmentation violation\n\ngoroutine 0 [idle]:\nruntime.futex(0x1)",
			"SIGSEGV: segmentation violation\n\ngoroutine 0 [idle]:\nruntime.futex(0x1)"},
		"what the library wrote": {"free(): invalid size", "free(): invalid size"},
	} {
		require.Equal(t, c.want, shortTrace(c.trace), name)
	}
	require.Equal(t, "b", lastLineBefore("a\nb\n\nSIGABRT: abort\nmore\n", "SIGABRT: abort\nmore"))
	require.Empty(t, lastLineBefore("SIGABRT: abort", "SIGABRT: abort"))
	require.Empty(t, lastLineBefore("a\n", "SIGABRT: abort"))
}
