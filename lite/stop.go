package lite

import (
	"github.com/golite/golite/dist"
	"github.com/golite/golite/lite/launch"
	"github.com/golite/golite/torch"
)

// RankError is what ended a rank.
//
//	type RankError struct {
//		Rank  int    // the global rank
//		Err   error  // the cause
//		Stack []byte // of the panic, if it was one
//	}
type RankError = launch.RankError

// ErrStopped is what a run returns that ended early because it was asked to, by SIGTERM or Ctrl-C: on one device as on
// several. A process that golite started ends with exit code 75 then; see ExitCode.
var ErrStopped = launch.ErrStopped

// ExitStopped is the exit code of a rank's process that was asked to stop, and the code that a program should end with
// when Run returns ErrStopped: ExitCode gives it.
const ExitStopped = launch.ExitStopped

// ExitCode returns the code that a program should end with after Run: 0 for no error, ExitStopped for ErrStopped, else 1.
func ExitCode(err error) int { return launch.ExitCode(err) }

// Stopping reports whether the run was asked to end, by SIGTERM or Ctrl-C. It turns true at the same call on every
// rank: on several ranks it is a collective, to be called by all of them once a step. The context is cancelled only
// when the grace period of 30 s ends, or at a second signal, so that a last Save still works; the function then returns
// ErrStopped.
//
// In a run that has not called Stopping yet the passes of the loaders that were set up end at the next batch, with
// ErrStopped, and Run returns ErrStopped.
func (l *Lite) Stopping() bool {
	stopping := l.rank.Stop.Poll()
	if l.rank.WorldSize > 1 {
		stopping = l.anyRank(stopping)
	}
	if stopping {
		l.rank.Stop.Agree()
	}
	return stopping
}

// anyRank reports whether a condition holds on any rank, with one collective.
func (l *Lite) anyRank(here bool) bool {
	n := int64(0)
	if here {
		n = 1
	}
	t := torch.From([]int64{n}, 1)
	defer t.Release()
	l.group.AllReduce(t, dist.Max)
	return t.Item() > 0
}
