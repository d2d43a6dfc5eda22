// Command mlp is a first program: it trains a perceptron on MNIST, which is embedded in the binary, on whatever devices
// its flags name, and saves its weights.
//
//	mlp
//	mlp -epochs 1 -batch-size 128 -lr 0.05 -devices 2 -strategy ddp_spawn
//
// examples/mnist is the same with a test set, metrics, resuming and a progress bar.
package main
