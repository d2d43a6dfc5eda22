//go:build !linux

package launch

import "syscall"

// attributes makes a rank the leader of its own process group.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// awaitExit does nothing: the caller waits for the process next.
func awaitExit(int) {}

// condition is not known without /proc.
func condition(int) string { return "unknown" }
