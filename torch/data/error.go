package data

import (
	"fmt"
	"strings"
)

// Error is the failure of a batch.
type Error struct {
	Batch  int   // the batch's number in the pass, from 0
	Index  int   // the sample's index; -1 if it was no single sample's fault
	Worker int   // the worker that read it; -1: the loop itself
	Err    error // the cause: the data set's own error, a *PanicError, context.DeadlineExceeded for a timeout
}

// Error names batch, sample and worker.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "data: batch %d", e.Batch)
	if e.Index >= 0 {
		fmt.Fprintf(&b, ", sample %d", e.Index)
	}
	if e.Worker >= 0 {
		fmt.Fprintf(&b, ", worker %d", e.Worker)
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// PanicError is a panic of a Dataset or of a collate function.
type PanicError struct {
	Value any    // what was panicked with
	Stack []byte // of the goroutine, as runtime/debug.Stack gives it
}

// Error gives the value and the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.Value, e.Stack) }

// Unwrap returns the value, if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
