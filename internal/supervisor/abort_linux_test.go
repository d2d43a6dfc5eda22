package supervisor

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// abort ends the process as C's abort does: the signal goes to the calling thread, whose goroutine the runtime prints
// first. One that went to the process might reach a thread of any goroutine.
func abort() {
	runtime.LockOSThread()
	unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGABRT)
}
