//go:build race

package lite_test

// raceDetector tells that the tests run under the race detector, which sees one process at a time: what ranks that are
// processes compute is then left to the tests without it.
const raceDetector = true
