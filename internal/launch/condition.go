package launch

// condition is what the kernel knows of a process that shows no sign of life.
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

// String says it in a few words.
func (c condition) String() string {
	return [...]string{"in an unknown state", "running", "sleeping", "waiting for a disk or driver", "stopped by a signal",
		"stopped by a debugger", "dead, not yet collected", "gone"}[c]
}
