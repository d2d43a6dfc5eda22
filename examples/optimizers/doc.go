// Command optimizers trains a small network with two optimizers that golite does not have, Lion and Muon. Each is one
// file with an optim.Rule and its constructor; the folder is a module of its own, as a user's program is.
// docs/optimizers.md explains them step by step.
//
//	go run . -steps 200 -checkpoint run/last.pt
package main
