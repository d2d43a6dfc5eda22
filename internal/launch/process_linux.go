package launch

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes makes a rank the leader of its own process group, and has the kernel continue it, if it was stopped, when
// the supervisor dies: it then sees its pipe closed, and ends.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGCONT}
}

// awaitExit waits until the process has ended, and leaves it to be waited for, so that its number is not given away.
func awaitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// conditions are the kernel's letters.
var conditions = map[byte]condition{'T': stopped, 't': debugged, 'D': inDriver, 'R': computing, 'S': sleeping, 'I': sleeping, 'Z': dead, 'X': dead}

// conditionOf asks the kernel.
func conditionOf(pid int) condition {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return gone
	}
	after := bytes.TrimSpace(raw[bytes.LastIndexByte(raw, ')')+1:]) // the name before may hold anything
	if len(after) == 0 {
		return unknown
	}
	return conditions[after[0]]
}
