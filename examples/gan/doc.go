// Command gan trains a generator and a discriminator of handwritten digits: two models, two optimizers, one scaler.
//
//	gan
//	gan -devices 1 -epochs 2
package main
