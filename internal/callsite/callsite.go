// Package callsite finds where in a user's program golite was called. Here costs a few loads: it walks the frame
// pointers that Go keeps, where runtime.Callers unwinds the stack by its tables, which takes a hundred times as long.
// Every tensor records its origin this way. Site and Outside unwind: they serve collectives and errors.
package callsite

import (
	"fmt"
	"runtime"
	"strings"
)

// Depth is how many frames an Origin holds.
const Depth = 5

// Origin is the return addresses of the innermost calls, innermost first; 0 where there was none.
type Origin [Depth]uintptr

const module = "github.com/golite/golite/"

// Inside reports whether a frame, of which runtime gives function and file, belongs to golite rather than to its user.
// Programs and tests in golite's own module are users; frames of reflect and runtime between golite and the user are
// not.
func Inside(function, file string) bool {
	for _, p := range []string{"reflect.", "runtime.", "sync.", "_cgo"} {
		if strings.HasPrefix(function, p) {
			return true
		}
	}
	rest, ok := strings.CutPrefix(function, module)
	if !ok || strings.HasSuffix(file, "_test.go") {
		return false
	}
	for _, p := range []string{"examples/", "docs/", "benchmarks/", "cmd/"} {
		if strings.HasPrefix(rest, p) {
			return false
		}
	}
	return true
}

// String gives file and line of the innermost call outside of golite, with the golite function that was called there;
// the innermost of all if all are inside, and "" if nothing is known.
func (o Origin) String() string {
	n := 0
	for n < len(o) && o[n] != 0 {
		n++
	}
	return describe(o[:n])
}

func describe(pcs []uintptr) string {
	place, called, outside := find(pcs, func(f runtime.Frame) string { return fmt.Sprintf("%s:%d", f.File, f.Line) })
	if outside && called != "" {
		return called + " at " + place
	}
	return place
}

// find returns the innermost place outside of golite, with the golite function that was called there, or else the
// innermost place of all. place makes the text of a frame.
func find(pcs []uintptr, place func(runtime.Frame) string) (at, called string, outside bool) {
	if len(pcs) == 0 {
		return "", "", false
	}
	frames := runtime.CallersFrames(pcs)
	for {
		f, more := frames.Next()
		if f.Function != "" {
			if !Inside(f.Function, f.File) {
				return place(f), called, true
			}
			if at == "" {
				at = place(f)
			}
			if strings.HasPrefix(f.Function, module) {
				called = f.Function[strings.LastIndexByte(f.Function, '/')+1:]
			}
		}
		if !more {
			return at, "", false
		}
	}
}

// Outside gives what Origin.String gives, for the calling goroutine's stack however deep: it unwinds by Go's tables,
// which is for errors. skip is the number of frames to leave out, the caller's own included.
func Outside(skip int) string {
	pcs := make([]uintptr, 64)
	pcs = pcs[:runtime.Callers(skip+1, pcs)]
	return describe(pcs)
}
