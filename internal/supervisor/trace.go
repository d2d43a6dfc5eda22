package supervisor

import (
	"fmt"
	"regexp"
	"strings"
)

// registers matches what the Go runtime adds to the addresses of a frame after a signal.
var registers = regexp.MustCompile(` fp=0x[0-9a-f]+ sp=0x[0-9a-f]+ pc=0x[0-9a-f]+`)

// shortTrace returns of what the Go runtime writes when it ends a process the cause, and the first goroutine that runs
// more than the runtime itself: the one that crashed, where a signal met one. The other goroutines and the processor's
// registers are counted.
func shortTrace(trace string) string {
	const mostCause = 20 // lines: an exception of C++ comes with its own frames
	var kept []string
	found, left := false, 0
	for i, block := range strings.Split(trace, "\n\n") {
		switch goroutine := strings.HasPrefix(block, "goroutine "); {
		case !goroutine && !found:
			lines := strings.Split(block, "\n")
			left += max(0, len(lines)-mostCause)
			kept = append(kept, strings.Join(lines[:min(len(lines), mostCause)], "\n"))
		case goroutine && !found && (i == 0 || runsMore(block)):
			found = true
			kept = append(kept, registers.ReplaceAllString(block, ""))
		default:
			left += strings.Count(block, "\n") + 1
		}
	}
	if !found {
		return trace
	}
	if left > 0 {
		kept = append(kept, fmt.Sprintf("... and %d lines more, on the standard error of the rank", left))
	}
	return strings.Join(kept, "\n\n")
}

// runsMore reports whether a goroutine's stack has a function that is not the runtime's.
func runsMore(block string) bool {
	for i, line := range strings.Split(block, "\n") {
		if i == 0 || strings.HasPrefix(line, "\t") || strings.HasPrefix(line, "runtime.") {
			continue
		}
		if !strings.HasPrefix(line, "created by ") {
			return true
		}
	}
	return false
}

// lastLineBefore returns the last line that was written on the standard error before a crash, "" where there is none.
func lastLineBefore(stderr, crash string) string {
	before, _, found := strings.Cut(stderr, crash)
	if !found {
		return ""
	}
	before = strings.TrimSpace(before)
	return strings.TrimSpace(before[strings.LastIndexByte(before, '\n')+1:])
}
