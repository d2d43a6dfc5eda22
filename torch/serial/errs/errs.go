// Package errs holds the typed errors that every reader and writer of checkpoint files returns.
//
// They live apart from package serial so that the pure-Go parsers, the command ckpt and package serial
// share one set of types; package serial re-exports them. Test for them with errors.As:
//
//	var corrupt *errs.ErrCorrupt
//	if errors.As(err, &corrupt) { ... corrupt.Record, corrupt.Offset ... }
package errs

import (
	"errors"
	"fmt"
	"strings"

	"github.com/golite/golite/internal/regular"
)

// ErrCorrupt says that a file is damaged, cut short, or not a checkpoint at all.
type ErrCorrupt struct {
	// File is the path of the file, empty where the bytes came from memory.
	File string
	// Record names the part of the file that is damaged: a zip record such as "archive/data/3", or
	// "header" and the like for formats without records.
	Record string
	// Offset is the position in the file, in bytes; -1 where it is not known.
	Offset int64
	// Reason says what was found, and what was expected.
	Reason string
	// Err is the cause beneath, or nil.
	Err error
}

// Error implements error.
func (e *ErrCorrupt) Error() string {
	var b strings.Builder
	b.WriteString("corrupt checkpoint")
	if e.File != "" {
		fmt.Fprintf(&b, " %s", e.File)
	}
	if e.Record != "" {
		fmt.Fprintf(&b, ", record %q", e.Record)
	}
	if e.Offset >= 0 {
		fmt.Fprintf(&b, ", offset %d", e.Offset)
	}
	fmt.Fprintf(&b, ": %s", e.Reason)
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// Unwrap returns the cause beneath.
func (e *ErrCorrupt) Unwrap() error { return e.Err }

// ErrUnsafe is the error for a file with content that no checkpoint needs: a Python global outside the allow-list, or a
// structure built to exhaust its reader. Nothing of it has been run.
type ErrUnsafe struct {
	// File is the path of the file, empty where the bytes came from memory.
	File string
	// Global is the Python name that was refused, such as "os.system"; empty where Reason alone says it.
	Global string
	// Reason says why it was refused.
	Reason string
}

// Error implements error.
func (e *ErrUnsafe) Error() string {
	where := "checkpoint"
	if e.File != "" {
		where = e.File
	}
	if e.Global == "" {
		return fmt.Sprintf("unsafe %s: %s", where, e.Reason)
	}
	return fmt.Sprintf("unsafe %s: it asks for Python's %q, which is not on the allow-list%s", where, e.Global,
		suffix(e.Reason))
}

// ErrUnsupported says that a file is well formed and uses something that golite does not read or write:
// a quantized tensor, an old tar checkpoint, a compressed zip record.
type ErrUnsupported struct {
	// File is the path of the file, empty where the bytes came from memory.
	File string
	// What names the feature, or the Python global.
	What string
	// Remedy says what to do instead, or is empty.
	Remedy string
}

// Error implements error.
func (e *ErrUnsupported) Error() string {
	where := ""
	if e.File != "" {
		where = e.File + ": "
	}
	return fmt.Sprintf("%s%s is not supported%s", where, e.What, suffix(e.Remedy))
}

func suffix(s string) string {
	if s == "" {
		return ""
	}
	return "; " + s
}

// Typed reports whether err is one of this package's types itself (not merely wraps one).
func Typed(err error) bool {
	switch err.(type) {
	case *ErrCorrupt, *ErrUnsafe, *ErrUnsupported, *ErrMismatch:
		return true
	}
	return false
}

// InFile sets the file's name on the typed error within err that does not carry one yet, and returns err.
func InFile(err error, file string) error {
	var c *ErrCorrupt
	var u *ErrUnsafe
	var n *ErrUnsupported
	var m *ErrMismatch
	switch {
	case errors.As(err, &c) && c.File == "":
		c.File = file
	case errors.As(err, &u) && u.File == "":
		u.File = file
	case errors.As(err, &n) && n.File == "":
		n.File = file
	case errors.As(err, &m) && m.File == "":
		m.File = file
	default:
		return err
	}
	if !Typed(err) && !strings.Contains(err.Error(), file) { // the texts around it were made without the file's name
		return fmt.Errorf("%s: %w", file, err)
	}
	return err
}

// FileType makes an *ErrUnsupported of a *regular.Error, for a checkpoint file that is a folder, a named pipe, a socket
// or a device. Other errors are returned as they are.
func FileType(err error) error {
	var odd *regular.Error
	if !errors.As(err, &odd) {
		return err
	}
	e := &ErrUnsupported{File: odd.Path, What: "a " + regular.Kind(odd.Mode) + " as a checkpoint file",
		Remedy: "a checkpoint is read at many places at once: write its bytes to a regular file first"}
	if odd.Mode.IsDir() {
		e.Remedy = "serial.LoadSharded reads that of a sharded checkpoint"
	}
	return e
}

// Corrupt builds an *ErrCorrupt for a record at an offset.
func Corrupt(record string, offset int64, format string, args ...any) *ErrCorrupt {
	return &ErrCorrupt{Record: record, Offset: offset, Reason: fmt.Sprintf(format, args...)}
}
