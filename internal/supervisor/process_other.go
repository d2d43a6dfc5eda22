//go:build !linux

package supervisor

import "syscall"

// attributes makes a rank the leader of its own process group.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// awaitExit does nothing: the caller waits for the process next.
func awaitExit(int) {}

// conditionOf returns unknown: there is no /proc.
func conditionOf(int) condition { return unknown }
