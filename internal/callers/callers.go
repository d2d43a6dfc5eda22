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

// outside names a function that belongs to golite itself rather than to its user.
func outside(function string) bool {
	return !strings.HasPrefix(function, "github.com/golite/golite/torch.") &&
		!strings.HasPrefix(function, "github.com/golite/golite/torch/") &&
		!strings.HasPrefix(function, "github.com/golite/golite/internal/")
}

// String gives file and line of the innermost call outside of torch's packages, with the torch function
// that was called there; the innermost of all if all are inside, and "" if nothing is known.
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
			if outside(f.Function) || strings.HasSuffix(f.File, "_test.go") {
				if called == "" {
					return place
				}
				return called + " at " + place
			}
			if first == "" {
				first = place
			}
			called = f.Function[strings.LastIndexByte(f.Function, '/')+1:]
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
