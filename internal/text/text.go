// Package text writes values as Python does, and shortens messages.
package text

import "strings"

// FirstLine returns s up to its first line break: errors of C++ append a stack.
func FirstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
