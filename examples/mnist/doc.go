// Command mnist trains a classifier of handwritten digits on the real MNIST, which is embedded in the binary, on
// whatever devices its flags name:
//
//	mnist
//	mnist -model cnn -epochs 2 -precision bf16-mixed
//	mnist -devices 2 -strategy ddp
//
// mnist.py beside it is the same program in Python, on Lightning Fabric.
package main
