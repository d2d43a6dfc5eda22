//go:build unix && !linux

package atomicfile

import "os"

// startWriteback is Linux's alone.
func startWriteback(*os.File, int64, int64) {}
