package data

import "time"

// SeedOf is for the test of row 33.
var SeedOf = seedOf

// SetStopGrace sets how long a pass waits for its workers, and returns what puts it back.
func SetStopGrace(d time.Duration) (back func()) {
	before := stopGrace
	stopGrace = d
	return func() { stopGrace = before }
}
