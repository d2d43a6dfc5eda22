//go:build !race

package serial_test

const underRace = false
