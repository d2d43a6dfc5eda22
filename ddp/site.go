package ddp

import (
	"fmt"
	"runtime"
	"strings"
	"sync"

	"github.com/golite/golite/internal/callers"
)

// sites remembers the text of call sites by their return addresses: looking one up anew takes a hundred times longer.
var sites sync.Map

// addresses reach from a collective through what golite wraps around it, such as an operation with a gradient, to the program.
type addresses [32]uintptr

// callSite names the place in the program from which golite was called: "dir/file.go:12".
func callSite() string {
	var a addresses
	runtime.Callers(3, a[:])
	if s, ok := sites.Load(a); ok {
		return s.(string)
	}
	s := describeSite(a[:])
	sites.Store(a, s)
	return s
}

func describeSite(a []uintptr) string {
	n := len(a)
	for n > 0 && a[n-1] == 0 {
		n--
	}
	frames := runtime.CallersFrames(a[:n])
	first := ""
	for {
		f, more := frames.Next()
		if f.File != "" {
			place := fmt.Sprintf("%s:%d", shortened(f.File), f.Line)
			if !callers.Inside(f.Function, f.File) {
				return place
			}
			if first == "" {
				first = place
			}
		}
		if !more {
			return first
		}
	}
}

// shortened keeps a path's last two elements: where a checkout lies is not the same on all machines.
func shortened(path string) string {
	parts := strings.Split(path, "/")
	if len(parts) > 2 {
		parts = parts[len(parts)-2:]
	}
	return strings.Join(parts, "/")
}
