//go:build amd64 || arm64

package callsite

// Here fills o with the return addresses of its caller's callers.
//
//go:noescape
func Here(o *Origin)
