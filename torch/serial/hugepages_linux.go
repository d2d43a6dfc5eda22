package serial

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// hugeFrom is from where on memory is worth huge pages: the kernel then makes it ready 2 MiB at a time, not 4 KiB,
// which is most of what loading takes.
const hugeFrom = 4 << 20

// useHugePages requests huge pages under fresh memory. It is a hint.
func useHugePages(p []byte) {
	if len(p) < hugeFrom {
		return
	}
	page := uintptr(os.Getpagesize())
	start := uintptr(unsafe.Pointer(unsafe.SliceData(p)))
	skip := (page - start%page) % page
	n := (uintptr(len(p)) - skip) / page * page
	_ = unix.Madvise(p[skip:skip+n], unix.MADV_HUGEPAGE)
}
