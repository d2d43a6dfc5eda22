package supervisor

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/golite/golite/internal/text"
)

// job is the supervisor's state machine. Messages, exits, signals and the time go in, actions come out. It starts no
// process and reads no clock, so that its decisions can be tested one by one.
type job struct {
	spec  Spec
	ranks []rank
	phase phase

	failures  []failure
	cause     *failure      // the first cause, once the job was aborted for it
	settled   time.Time     // until when further failures are collected
	killAt    time.Time     // when what has not ended is killed
	stopAt    time.Time     // when the grace of a stop ends
	grace     time.Duration // that of the stop
	asked     bool          // a signal to stop has come, whatever the job did then
	stopping  bool
	stopCause string // in words
	overdue   bool   // the grace of a stop ended before all ranks had
	cancelled error
	port      int
	result    []byte
	lastTick  time.Time
	host      string
}

type phase int

const (
	running  phase = iota
	settling       // a rank has failed; those that follow from it, or caused it, are waited for
	aborting       // all have been sent the abort
	killing
)

// unkillable is how long a process may take to end after it was killed. One that waits for a driver, or for a disk that
// is gone, may never end: the job does without it.
const unkillable = 10 * time.Second

// rank is one of the job's processes.
type rank struct {
	pid      int
	hello    bool
	state    State
	lastSign time.Time
	ended    bool // its outcome has arrived
	report   *Report
	exited   bool
	finished bool // it exited, and did well
	left     bool // it was killed, and did not end: it counts as exited
	dump     string
}

// action is something to be done to one rank.
type action struct {
	rank int
	do   actionKind
	kind kind // with sendMessage
	body []byte
}

type actionKind int

const (
	sendMessage actionKind = iota
	terminate              // SIGTERM to the process group
	interrupt              // SIGTERM to the process group, which is continued to take it
	kill                   // SIGKILL to the process group
)

func newJob(spec Spec, now time.Time) *job {
	host, err := os.Hostname()
	if err != nil {
		host = "this host"
	}
	return &job{spec: spec, ranks: make([]rank, spec.LocalRanks), lastTick: now, host: host}
}

func (j *job) global(local int) int { return j.spec.NodeRank*j.spec.LocalRanks + local }

func (j *job) local(global int) (int, bool) {
	l := global - j.spec.NodeRank*j.spec.LocalRanks
	return l, l >= 0 && l < j.spec.LocalRanks
}

// over reports whether all processes have ended.
func (j *job) over() bool {
	return !slices.ContainsFunc(j.ranks, func(r rank) bool { return !r.exited })
}

// each makes an action for every rank that has not exited.
func (j *job) each(a action) []action {
	var list []action
	for i, r := range j.ranks {
		if !r.exited {
			a.rank = i
			list = append(list, a)
		}
	}
	return list
}

// onMessage handles a rank's message.
func (j *job) onMessage(i int, k kind, body []byte, now time.Time) []action {
	r := &j.ranks[i]
	r.lastSign = now
	var err error
	switch k {
	case kindHello:
		var h hello
		err = decodeJSON(k, body, &h)
		r.hello = true
		var list []action
		if j.port != 0 {
			list = append(list, action{i, sendMessage, kindPort, encodeJSON(port{j.port})})
		}
		if j.stopping {
			list = append(list, action{i, sendMessage, kindStop, nil})
		}
		if err == nil {
			return list
		}
	case kindState:
		var s State
		if err = decodeJSON(k, body, &s); err == nil && j.phase < aborting { // then: where it was at the failure
			r.state = s
		}
	case kindPort:
		var p port
		if err = decodeJSON(k, body, &p); err == nil {
			j.port = p.Port
			return j.each(action{do: sendMessage, kind: kindPort, body: body})
		}
	case kindStop:
		return j.onStop(fmt.Sprintf("a signal to rank %d", j.global(i)), now)
	case kindStopping:
		return j.onStop("asked of the ranks of another node", now)
	case kindDump:
		r.dump = string(body)
	case kindResult:
		j.result = body
	case kindOutcome:
		r.ended = true
		if len(body) == 0 {
			return nil
		}
		r.report = &Report{}
		if err = decodeJSON(k, body, r.report); err == nil {
			return j.reported(i, now)
		}
	}
	if err != nil {
		return j.fail(failure{rank: i, kind: CauseGarbled, message: err.Error(), at: now})
	}
	return nil
}

// reported handles a rank's own report of its failure.
func (j *job) reported(i int, now time.Time) []action {
	r := j.ranks[i].report
	if r.Stopped && j.stopping {
		return nil
	}
	f := failure{rank: i, kind: CauseError, message: r.Message, report: r, at: now}
	if r.Stack != "" {
		f.kind = CausePanic
	}
	return j.fail(f)
}

// exit is how a process ended.
type exit struct {
	code   int
	signal syscall.Signal // 0: none
	crash  string         // what the Go runtime wrote when it ended the process
	stderr string         // the end of the standard error, where it was captured
}

// onExit takes the end of a rank's process. All its messages have been taken before.
func (j *job) onExit(i int, e exit, now time.Time) []action {
	r := &j.ranks[i]
	r.exited = true
	crash, crashed := crashText(e.stderr)
	if text := strings.TrimSpace(e.crash); text != "" && !crashed {
		crash, crashed = text, true
	}
	f := failure{rank: i, exitCode: e.code, signal: e.signal, at: now}
	switch {
	case r.report != nil:
		return nil // its report was handled
	case r.ended && e.code == 0 && e.signal == 0:
		r.finished = true
		return nil
	case crashed:
		f.kind, f.message = CausePanic, headline(crash)
		if last := lastLineBefore(e.stderr, crash); last != "" && strings.HasPrefix(f.message, "SIGABRT: ") {
			f.message += fmt.Sprintf(" (after the line %q)", last) // such as what an assertion wrote
		}
	case e.signal != 0:
		f.kind, f.message = CauseSignal, fmt.Sprintf("killed by signal %d (%s)", int(e.signal), e.signal)
	case e.code == 0 && !r.ended:
		f.kind = CauseSilent
		f.message = "the process ended with exit code 0 before its function did: os.Exit was called, " +
			"or the program did not reach the same Run as the first process"
	default:
		f.kind, f.message = CauseExit, fmt.Sprintf("exit code %d", e.code)
	}
	if j.phase >= aborting && f.kind == CauseSignal || j.stopping && (e.signal == syscall.SIGTERM || !r.hello) {
		return nil // ended by the supervisor
	}
	r.report = &Report{Message: f.message, Stack: crash}
	return j.fail(f)
}

// fail records a failure: the first one starts the end of the job.
func (j *job) fail(f failure) []action {
	if j.phase >= aborting {
		return nil // it follows from the end
	}
	j.failures = append(j.failures, f)
	wait := j.spec.Settle
	if f.secondary() {
		wait = 4 * j.spec.Settle // its cause should show up
	}
	if until := f.at.Add(wait); j.phase == running || !f.secondary() {
		j.settled = until
	}
	if j.phase == settling {
		return nil
	}
	j.phase = settling
	return j.each(action{do: sendMessage, kind: kindDump})
}

// onSignal handles a signal to the supervisor. Once the job is to stop, another one ends the grace.
func (j *job) onSignal(sig os.Signal, now time.Time) []action {
	j.asked = true
	if j.phase == running && j.stopping {
		j.stopAt = now
	}
	return j.onStop(sig.String(), now)
}

// onStop handles a request to stop, and passes the first one on.
func (j *job) onStop(cause string, now time.Time) []action {
	if j.phase != running || j.stopping {
		return nil // where it ends already, the SIGTERM that ranks report may be the supervisor's own
	}
	j.stopping, j.stopCause, j.grace = true, cause, j.spec.StopGrace
	list := j.each(action{do: sendMessage, kind: kindStop})
	for i, r := range j.ranks {
		if !r.hello && !r.exited { // not in lite.Run yet: it gets SIGTERM, as any program does
			list = append(list, action{rank: i, do: interrupt})
			j.grace = min(j.grace, j.spec.AbortGrace)
		}
	}
	j.stopAt = now.Add(j.grace)
	j.spec.Logger.Warn(StopNotice(cause, j.grace, "the ranks are ended"))
	return list
}

// StopNotice returns the warning at a request to stop: its effect, and what follows (next) at the end of the grace
// period or at another signal.
func StopNotice(cause string, grace time.Duration, next string) string {
	return fmt.Sprintf("%s: the run stops where it calls Stopping, or else at the next batch of a loader; "+
		"after %v, or at another signal, %s", cause, grace, next)
}

// onCancel handles the end of the context.
func (j *job) onCancel(cause error, now time.Time) []action {
	if j.phase >= aborting {
		return nil
	}
	j.cancelled = cause
	return j.abort("cancelled: "+cause.Error(), now)
}

func (j *job) abort(cause string, now time.Time) []action {
	j.phase, j.killAt = aborting, now.Add(j.spec.AbortGrace)
	list := j.each(action{do: sendMessage, kind: kindAbort, body: []byte(cause)})
	return append(list, j.each(action{do: terminate})...)
}

// onTick handles the passing of time.
func (j *job) onTick(now time.Time) []action {
	gap := now.Sub(j.lastTick)
	j.lastTick = now
	if gap > 2*j.spec.Heartbeat+time.Second { // this process slept, or was stopped: messages are unread
		for i := range j.ranks {
			j.ranks[i].lastSign = now
		}
	}
	var list []action
	if j.phase < aborting {
		list = j.findHung(now)
	}
	switch {
	case j.phase == running && j.stopping && !now.Before(j.stopAt):
		j.overdue = true
		list = append(list, j.abort("the grace period of the stop has ended", now)...)
	case j.phase == settling && !now.Before(j.settled):
		root := j.root()
		cause := fmt.Sprintf("rank %d: %s", j.global(root.rank), text.FirstLine(root.message))
		list = append(list, j.abort(cause, now)...)
	case j.phase == aborting && !now.Before(j.killAt):
		j.phase, j.killAt = killing, now.Add(unkillable)
		list = append(list, j.each(action{do: kill})...)
	case j.phase == killing && !now.Before(j.killAt):
		j.giveUp()
	}
	return list
}

func (j *job) findHung(now time.Time) (list []action) {
	if j.spec.HangTimeout < 0 {
		return nil
	}
	for i := range j.ranks {
		r := &j.ranks[i]
		if !r.hello && conditionOf(r.pid) != stopped { // work before lite.Run may take long
			r.lastSign = now
		}
		silent := now.Sub(r.lastSign)
		if r.exited || r.report != nil || silent < j.spec.HangTimeout {
			continue
		}
		if slices.ContainsFunc(j.failures, func(f failure) bool { return f.rank == i }) {
			continue
		}
		state := conditionOf(r.pid)
		if state == debugged {
			continue // stopped by a debugger
		}
		at := "was at " + r.state.String()
		if !r.hello {
			at = "had not reached lite.Run"
		}
		message := fmt.Sprintf("no sign of life for %s: the process is %s; it %s (process %d on %s)",
			silent.Round(100*time.Millisecond), state, at, r.pid, j.host)
		list = append(list, j.fail(failure{rank: i, kind: CauseHang, at: now, message: message})...)
	}
	return list
}

// giveUp counts the processes that do not end as exited.
func (j *job) giveUp() {
	for i := range j.ranks {
		if r := &j.ranks[i]; !r.exited {
			r.exited, r.left = true, true
		}
	}
}

// processState describes a rank's process; "" where it is not known.
func (j *job) processState(r rank) string {
	switch {
	case r.pid == 0:
		return ""
	case !r.hello:
		return fmt.Sprintf(" (it has not reached lite.Run; process %d on %s is %s)", r.pid, j.host, conditionOf(r.pid))
	}
	return fmt.Sprintf(" (process %d on %s is %s)", r.pid, j.host, conditionOf(r.pid))
}

func (j *job) root() failure {
	f := rootCause(j.failures, func(i int) bool { return !j.ranks[i].exited && !j.ranks[i].ended }, j.local, j.suspect)
	if why, blamed := strings.CutPrefix(f.message, absentText); blamed && f.rank >= 0 && f.rank < len(j.ranks) {
		f.message = absentText + j.processState(j.ranks[f.rank]) + why
	}
	j.cause = &f
	return f
}

// suspect returns the rank that the others most likely timed out on: one that has not failed; of several, one whose
// heartbeats have ceased, else one that is in no collective, else the one that has made the fewest collectives.
func (j *job) suspect() (who int, ok bool) {
	progress := func(r rank) (n uint64) {
		if j.lastTick.Sub(r.lastSign) < 3*j.spec.Heartbeat {
			n += 1 << 63
		}
		if r.state.Waiting != "" {
			n += 1 << 62
		}
		return n + r.state.Seq
	}
	for i, r := range j.ranks {
		failed := slices.ContainsFunc(j.failures, func(f failure) bool { return f.rank == i })
		if r.exited || r.ended || failed {
			continue
		}
		if !ok || progress(r) < progress(j.ranks[who]) {
			who, ok = i, true
		}
	}
	return who, ok
}

// verdict returns the results of Supervise, once all processes have ended.
func (j *job) verdict() ([]byte, error) {
	stopped := func(r rank) bool { return r.report != nil && r.report.Stopped }
	follows := !slices.ContainsFunc(j.failures, func(f failure) bool { return !f.secondary() })
	switch {
	case len(j.failures) > 0 && !(j.stopping && follows && slices.ContainsFunc(j.ranks, stopped)):
		return nil, j.jobError()
	case j.cancelled != nil && j.asked: // by the signal, where the program's context ends with it
		return nil, fmt.Errorf("%w: the job was cancelled: %w", ErrStopped, j.cancelled)
	case j.cancelled != nil:
		return nil, fmt.Errorf("the job was cancelled: %w", j.cancelled)
	case j.overdue:
		return nil, fmt.Errorf("%w (%s), and killed, as it had not ended within %s", ErrStopped, j.stopCause, j.grace)
	case j.stopping && slices.ContainsFunc(j.ranks, func(r rank) bool { return !r.ended || r.report != nil }):
		return nil, fmt.Errorf("%w (%s)", ErrStopped, j.stopCause)
	}
	return j.result, nil
}

func (j *job) jobError() *JobError {
	f := j.rootBeforeExit()
	var r rank // zero for a rank of another node
	if f.rank >= 0 && f.rank < len(j.ranks) {
		r = j.ranks[f.rank]
	}
	e := &JobError{Rank: j.global(f.rank), PID: r.pid, Kind: f.kind, Message: f.message,
		ExitCode: f.exitCode, Signal: f.signal, Report: f.report}
	if r.report != nil && f.kind != CauseHang {
		e.Stack = r.report.Stack
	}
	if f.kind == CauseHang {
		e.Stack = r.dump
	}
	if r.left {
		e.Message += fmt.Sprintf("; it was killed, and process %d does not end", r.pid)
	}
	for i, o := range j.ranks {
		if i == f.rank {
			continue
		}
		status := o.state.at(f.at)
		switch {
		case !o.hello:
			status = "had not reached lite.Run"
		case o.finished:
			status = "had finished"
		case o.left:
			status += fmt.Sprintf("; it was killed, and process %d does not end", o.pid)
		case o.report != nil && !o.report.Stopped && o.report.Message != "":
			status += "; " + text.FirstLine(o.report.Message)
		}
		e.Others = append(e.Others,
			RankStatus{Rank: j.global(i), PID: o.pid, Text: status, State: o.state, Stack: o.dump})
	}
	return e
}

// rootBeforeExit returns root as of the abort: at the end all have exited, the blamed ones too.
func (j *job) rootBeforeExit() failure {
	if j.cause != nil {
		return *j.cause
	}
	return rootCause(j.failures, func(i int) bool {
		return !slices.ContainsFunc(j.failures, func(f failure) bool { return f.rank == i }) && !j.ranks[i].finished
	}, j.local, j.suspect)
}
