// Package stacks writes the stacks of goroutines for reports.
package stacks

import "runtime"

// All returns the stacks of all goroutines, the caller's first, cut off at limit bytes.
func All(limit int) []byte {
	for n := min(1<<16, limit); ; n = min(4*n, limit) {
		b := make([]byte, n)
		if k := runtime.Stack(b, true); k < n || n >= limit {
			return b[:k]
		}
	}
}
