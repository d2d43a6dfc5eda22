// Package callers tells where a call came from for the price of a few loads: it walks the frame
// pointers that Go keeps, where runtime.Callers would unwind the stack by its tables, a hundred times
// slower. Every tensor remembers its origin this way.
package callers

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

// Inside tells whether a frame, of which runtime gives function and file, belongs to golite rather than to its user. Programs
// and tests in golite's own module are users; what Go calls a user's function by is not.
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

// String gives file and line of the innermost call outside of golite, with the golite function that was called there; the
// innermost of all if all are inside, and "" if nothing is known.
func (o Origin) String() string {
	n := 0
	for n < len(o) && o[n] != 0 {
		n++
	}
	return describe(o[:n])
}

func describe(pcs []uintptr) string {
	if len(pcs) == 0 {
		return ""
	}
	frames := runtime.CallersFrames(pcs)
	var called, first string
	for {
		f, more := frames.Next()
		if f.Function != "" {
			place := fmt.Sprintf("%s:%d", f.File, f.Line)
			if !Inside(f.Function, f.File) {
				if called == "" {
					return place
				}
				return called + " at " + place
			}
			if first == "" {
				first = place
			}
			if strings.HasPrefix(f.Function, module) {
				called = f.Function[strings.LastIndexByte(f.Function, '/')+1:]
			}
		}
		if !more {
			return first
		}
	}
}

// Outside gives what Origin.String gives, for the calling goroutine's stack however deep: it unwinds by Go's tables, which
// is for errors. skip is the number of frames to leave out, the caller's own included.
func Outside(skip int) string {
	pcs := make([]uintptr, 64)
	pcs = pcs[:runtime.Callers(skip+1, pcs)]
	return describe(pcs)
}
