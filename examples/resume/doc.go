// Command resume trains on MNIST and saves every so many steps, and at SIGTERM; started again, it goes on in the middle
// of the epoch as if it had never stopped.
//
//	resume -checkpoint run/last.pt -every 100
package main
