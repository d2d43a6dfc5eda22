//go:build unix

package dist

import "golang.org/x/sys/unix"

// duplicate gives a second descriptor of an open file, closed in programs that this one starts.
func duplicate(fd int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) }

// Families of addresses, as sockets know them.
const (
	familyIPv4 = unix.AF_INET
	familyIPv6 = unix.AF_INET6
)
