// Command validation computes a linear classifier's loss and accuracy on MNIST's test set over several ranks: each
// sample is read once, and the metrics are of the whole set.
//
//	validation -checkpoint linear.pt
//	validation -checkpoint linear.pt -devices 1
package main
