package supervisor

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes makes a rank the leader of its own process group. Pdeathsig: the kernel continues a stopped rank when the
// supervisor ends; it then reads the end of its pipe, and ends.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGCONT}
}

// awaitExit waits until the process has ended. It leaves the process to be waited for, so that its PID is not reused.
func awaitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// conditions are the letters of /proc/PID/stat.
var conditions = map[byte]condition{
	'T': stopped, 't': debugged, 'D': inDriver, 'R': computing, 'S': sleeping, 'I': sleeping, 'Z': dead, 'X': dead,
}

// conditionOf reads the process's state from /proc.
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
