//go:build !unix

package main

import (
	"context"
	"errors"
)

// lock is not needed where no libtorch is pinned.
func lock(context.Context, string, func()) (func(), error) {
	return nil, errors.New("the install works on Linux only: point LIBTORCH at a libtorch of your own")
}

func freeSpace(string) (int64, error) { return 0, errors.ErrUnsupported }

func noSpace(error) bool { return false }
