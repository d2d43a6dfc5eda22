// Package sampler decides in which order a data set's samples are read, and which of them a rank reads.
//
// A Sampler gives indices, pass after pass; a BatchSampler gives them in batches. What is random comes from
// libtorch's generators, drawn as PyTorch draws it: with the same seed the order is PyTorch's, and what is
// left in the generator is the same too. The package knows nothing of processes: a Distributed sampler is
// told its rank.
package sampler
