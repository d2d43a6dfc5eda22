//go:build !amd64 && !arm64

package callsite

import "runtime"

// Here fills o with the return addresses of its caller's callers.
func Here(o *Origin) { runtime.Callers(2, o[:]) }
