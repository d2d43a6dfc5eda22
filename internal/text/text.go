// Package text makes what messages are put together from.
package text

import (
	"runtime"
	"strings"
)

// FirstLine leaves out what follows the first line: errors of C++ bring their stacks along.
func FirstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// Stacks gives the stacks of all goroutines, the caller's first, cut off at a number of bytes.
func Stacks(limit int) []byte {
	for n := min(1<<16, limit); ; n = min(4*n, limit) {
		b := make([]byte, n)
		if k := runtime.Stack(b, true); k < n || n >= limit {
			return b[:k]
		}
	}
}
