package launch

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/supervisor"
	"github.com/golite/golite/torch"
)

// ErrStopped is what a run returns that ended early because it was asked to, by SIGTERM or Ctrl-C: on one device as on
// several. A process that golite started ends with exit code 75 then; see ExitCode.
var ErrStopped = errors.New("lite: the run was stopped by a signal")

// ExitStopped is the exit code of a rank's process that was asked to stop, and the code that a program should end with
// when Run returns ErrStopped: ExitCode gives it.
const ExitStopped = supervisor.ExitStopped

// ExitCode returns the code that a program should end with after Run: 0 for no error, ExitStopped for ErrStopped, else 1.
func ExitCode(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, ErrStopped):
		return ExitStopped
	}
	return 1
}

// RankError is what ended a rank.
type RankError struct {
	Rank  int    // the global rank
	Err   error  // the cause
	Stack []byte // of the panic, if it was one
}

// Error names the rank and the cause.
func (e *RankError) Error() string {
	if _, named := errors.AsType[*supervisor.JobError](e.Err); named {
		return e.Err.Error() // it begins with the rank
	}
	s := fmt.Sprintf("rank %d: %v", e.Rank, e.Err)
	if len(e.Stack) > 0 {
		s += "\n" + string(e.Stack)
	}
	return s
}

// Unwrap returns the cause.
func (e *RankError) Unwrap() error { return e.Err }

// PanicError is a panic of a rank's function that is not an operation's or a collective's own error.
type PanicError struct {
	Value any    // what panic was called with
	Stack []byte // of the goroutine
}

// Error has the value and the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.Value, e.Stack) }

// Unwrap returns the value, if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Try runs f and turns a panic into an error: a *torch.Error or *dist.RankError stays as it is, anything else becomes a
// *PanicError.
func Try(f func() error) (err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case error:
			var te *torch.Error
			var re *dist.RankError
			if errors.As(v, &te) || errors.As(v, &re) {
				err = v
				return
			}
			err = &PanicError{v, debug.Stack()}
		default:
			err = &PanicError{v, debug.Stack()}
		}
	}()
	return f()
}
