//go:build !linux

package serial

// useHugePages is Linux's alone.
func useHugePages([]byte) {}
