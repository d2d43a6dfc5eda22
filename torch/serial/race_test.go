//go:build race

package serial_test

// The race detector keeps memory of its own for what is read: peaks say nothing then.
const underRace = true
