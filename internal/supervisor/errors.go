package supervisor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"
)

// ErrStopped is what Supervise's error wraps where the job ended early on a request to stop.
var ErrStopped = errors.New("launch: the job was stopped by a signal")

// CauseKind is the way in which a rank ended a job.
type CauseKind string

// The ways in which a rank ends a job.
const (
	CauseError   CauseKind = "error"   // it reported an error
	CausePanic   CauseKind = "panic"   // it panicked, or crashed with a trace on its standard error
	CauseExit    CauseKind = "exit"    // it ended with a code, without a report
	CauseSignal  CauseKind = "signal"  // a signal killed it
	CauseHang    CauseKind = "hang"    // it sent no heartbeat, or did not join a collective of its peers
	CauseSilent  CauseKind = "silent"  // it ended with code 0 without having reached lite.Run
	CauseStart   CauseKind = "start"   // it could not be started
	CauseGarbled CauseKind = "garbled" // what it sent was no message
	CauseLost    CauseKind = "lost"    // ranks of this node lost it, and it is on another one
)

// RankStatus is the state of a rank when the job failed.
type RankStatus struct {
	Rank  int
	PID   int
	Text  string // in a few words
	State State  // the last that it sent
	Stack string // the stacks of its goroutines, if it could still send them
}

// JobError is the one error of a job: the rank that failed first, why, and where the others were.
type JobError struct {
	Rank     int // the global rank
	PID      int // 0 for one on another node
	Kind     CauseKind
	Message  string
	ExitCode int            // with CauseExit
	Signal   syscall.Signal // with CauseSignal
	Stack    string         // of the panic or the crash, or the end of the standard error
	Report   *Report        // what the rank reported, or one that waited for it
	Others   []RankStatus   // in the order of ranks
}

// Error names the rank and the cause in the first line; the others and the stack follow. Of a crash it is the stack of
// the goroutine that crashed: Stack has all that the runtime wrote.
func (e *JobError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "rank %d: %s", e.Rank, e.Message)
	for _, o := range e.Others {
		fmt.Fprintf(&b, "\n  rank %d: %s", o.Rank, o.Text)
	}
	s := strings.TrimSpace(e.Stack)
	if e.Kind == CausePanic {
		s = shortTrace(s)
	}
	if s != "" {
		fmt.Fprintf(&b, "\n  output of rank %d:\n    %s", e.Rank, strings.ReplaceAll(s, "\n", "\n    "))
	}
	return b.String()
}

// failure is the failure of one rank, as the supervisor observed it.
type failure struct {
	rank     int // local; one below 0, or too large, is on another node
	kind     CauseKind
	message  string
	exitCode int
	signal   syscall.Signal
	report   *Report
	at       time.Time
}

func (f failure) secondary() bool { return f.report != nil && f.report.Secondary }

// absentText begins the message about a rank that its peers blame.
const absentText = "did not join the collective that its peers are blocked in"

// blame returns the failure of the rank that f's rank was waiting for.
func (f failure) blame(rank int, here bool) failure {
	b := failure{rank: rank, kind: CauseHang, at: f.at, report: f.report, message: absentText + ": " + f.message}
	if !here && !f.report.Late {
		b.kind, b.message = CauseLost, "was lost on another node: "+f.message
	}
	return b
}

// rootCause returns the first failure that was not caused by another rank. Where all were caused by others, it is a
// hang of a rank that they blame and that has not failed; a blamed rank of another node was lost there or hangs, and
// its own supervisor reports more. Where the ranks timed out and blame none, it is a hang of the suspect.
func rootCause(failures []failure, running func(rank int) bool, local func(global int) (int, bool),
	suspect func() (int, bool)) failure {
	for _, f := range failures {
		if !f.secondary() {
			return f
		}
	}
	failed := func(rank int) bool {
		return slices.ContainsFunc(failures, func(f failure) bool { return f.rank == rank })
	}
	var elsewhere []failure
	for _, f := range failures {
		for _, g := range f.report.Blames {
			switch r, here := local(g); {
			case !here:
				elsewhere = append(elsewhere, f.blame(r, false))
			case running(r) && !failed(r):
				return f.blame(r, true)
			}
		}
	}
	if len(elsewhere) > 0 {
		return elsewhere[0]
	}
	if late := slices.IndexFunc(failures, func(f failure) bool { return f.report.Late }); late >= 0 {
		if r, ok := suspect(); ok {
			return failures[late].blame(r, true)
		}
	}
	return failures[0]
}
