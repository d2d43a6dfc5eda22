// Command transformer trains a small language model: a forward pass with two arguments, gradient accumulation, clipping,
// a learning rate schedule, bf16.
//
//	transformer -steps 200
package main
