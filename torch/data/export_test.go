package data

import "time"

// SeedOf is for TestWorkerSeeds.
var SeedOf = seedOf

// SetStopGrace sets how long a pass waits for its workers, and returns what puts it back.
func SetStopGrace(d time.Duration) (back func()) {
	before := stopGrace
	stopGrace = d
	return func() { stopGrace = before }
}

// Fitting is how many batches like this one each worker reads ahead.
func Fitting[B any](batch B) int { return fitting(batch) }
