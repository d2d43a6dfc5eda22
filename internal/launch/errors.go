package launch

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"
)

// ErrStopped is what Supervise's error wraps where the job ended early because it was asked to stop.
var ErrStopped = errors.New("launch: the job was stopped by a signal")

// CauseKind says in which way a rank ended a job.
type CauseKind string

// The ways in which a rank ends a job.
const (
	CauseError   CauseKind = "error"   // it reported an error
	CausePanic   CauseKind = "panic"   // it panicked, or crashed with a trace on its standard error
	CauseExit    CauseKind = "exit"    // it ended with a code, without a report
	CauseSignal  CauseKind = "signal"  // a signal killed it
	CauseHang    CauseKind = "hang"    // it gave no sign of life, or did not come where its peers waited for it
	CauseSilent  CauseKind = "silent"  // it ended with code 0 without having come to Run
	CauseStart   CauseKind = "start"   // it could not be started
	CauseGarbled CauseKind = "garbled" // what it sent was no message
)

// RankStatus is where a rank was when the job failed.
type RankStatus struct {
	Rank  int
	PID   int
	Text  string // in a few words
	State State  // the last it told
	Stack string // the stacks of its goroutines, if it could still tell
}

// JobError is the one error of a job: the rank that failed first, why, and where the others were.
type JobError struct {
	Rank     int // the global rank
	PID      int
	Kind     CauseKind
	Message  string
	ExitCode int            // with CauseExit
	Signal   syscall.Signal // with CauseSignal
	Stack    string         // of the panic or the crash, or the end of the standard error
	Report   *Report        // what the rank reported, if it did
	Others   []RankStatus   // in the order of ranks
}

// Error names the rank and the cause in the first line; the others and the stack follow.
func (e *JobError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "rank %d: %s", e.Rank, e.Message)
	for _, o := range e.Others {
		fmt.Fprintf(&b, "\n  rank %d: %s", o.Rank, o.Text)
	}
	if s := strings.TrimSpace(e.Stack); s != "" {
		fmt.Fprintf(&b, "\n  rank %d said:\n    %s", e.Rank, strings.ReplaceAll(s, "\n", "\n    "))
	}
	return b.String()
}

// failure is one rank's, as the supervisor learned of it.
type failure struct {
	rank     int // local
	kind     CauseKind
	message  string
	exitCode int
	signal   syscall.Signal
	report   *Report
	at       time.Time
}

func (f failure) secondary() bool { return f.report != nil && f.report.Secondary }

// rootCause picks the failure that was not caused by another rank, the first of them. Where all were, and a rank that they
// blame has not failed, it is that rank that hangs. Where time was up for them and they can't say who is missing, it is
// the suspect. What is left are peers lost on another node: the rank that lost one there comes before those that lost that rank.
func rootCause(failures []failure, running func(rank int) bool, local func(global int) (int, bool), suspect func() (int, bool)) failure {
	for _, f := range failures {
		if !f.secondary() {
			return f
		}
	}
	first := failures[max(0, slices.IndexFunc(failures, func(f failure) bool {
		return slices.ContainsFunc(f.report.Blames, func(g int) bool { _, here := local(g); return !here })
	}))]
	var blamed []int
	for _, f := range failures {
		for _, g := range f.report.Blames {
			if r, ok := local(g); ok && running(r) && !slices.Contains(blamed, r) &&
				!slices.ContainsFunc(failures, func(f failure) bool { return f.rank == r }) {
				blamed = append(blamed, r)
			}
		}
	}
	if len(blamed) == 0 {
		late := slices.IndexFunc(failures, func(f failure) bool { return f.report.Late })
		if late < 0 {
			return first
		}
		r, ok := suspect()
		if !ok {
			return first
		}
		first, blamed = failures[late], []int{r}
	}
	return failure{rank: blamed[0], kind: CauseHang, at: first.at, report: first.report,
		message: "did not come to where its peers waited: " + first.message}
}
