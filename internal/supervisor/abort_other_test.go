//go:build !linux

package supervisor

import (
	"os"
	"syscall"
)

// abort ends the process by a signal.
func abort() { syscall.Kill(os.Getpid(), syscall.SIGABRT) }
