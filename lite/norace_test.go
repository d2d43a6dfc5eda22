//go:build !race

package lite_test

const raceDetector = false
