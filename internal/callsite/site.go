package callsite

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
)

// sites caches the text of call sites by their return addresses: looking one up anew takes a hundred times longer.
var sites sync.Map

// shallow reaches from a collective to the program in most cases, deep through all that golite may wrap around it, such
// as an operation with a gradient: unwinding costs by the frame.
type (
	shallow [10]uintptr
	deep    [32]uintptr
)

// Site names the place in the program from which golite was called: "dir/file.go:12".
func Site() string {
	var n shallow
	runtime.Callers(3, n[:])
	if s, ok := sites.Load(n); ok && s != "" {
		return s.(string)
	} else if !ok {
		place, outside := describeSite(n[:])
		if outside {
			sites.Store(n, place)
			return place
		}
		sites.Store(n, "") // further out
	}
	var f deep
	runtime.Callers(3, f[:])
	if s, ok := sites.Load(f); ok {
		return s.(string)
	}
	place, _ := describeSite(f[:])
	sites.Store(f, place)
	return place
}

// describeSite is find for return addresses that end at the first 0.
func describeSite(a []uintptr) (place string, outside bool) {
	n := len(a)
	for n > 0 && a[n-1] == 0 {
		n--
	}
	place, _, outside = find(a[:n], func(f runtime.Frame) string {
		return fmt.Sprintf("%s:%d", shortened(f.File),
			f.Line)
	})
	return place, outside
}

// shortened keeps a path's last two elements: where a checkout lies is not the same on all machines.
func shortened(path string) string {
	parts := strings.Split(path, "/")
	if len(parts) > 2 {
		parts = parts[len(parts)-2:]
	}
	return strings.Join(parts, "/")
}
