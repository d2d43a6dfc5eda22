package supervisor

// condition is a process's state in the kernel.
type condition int

const (
	unknown condition = iota
	computing
	sleeping
	inDriver
	stopped
	debugged
	dead
	gone
)

// String describes it in a few words.
func (c condition) String() string {
	return [...]string{"in an unknown state", "running", "sleeping", "waiting for a disk or driver",
		"stopped by a signal", "stopped by a debugger", "dead, not yet collected", "gone"}[c]
}
