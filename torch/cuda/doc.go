// Package cuda is libtorch's interface to NVIDIA's GPUs (torch.cuda): which there are, their memory, streams and
// events, CUDA graphs, and the switches that trade exactness for speed. Tensors go to a GPU with
// Tensor.To(torch.CUDA(0)); lite does that by itself.
//
// One and the same program runs with and without a GPU. Where libtorch is one with CUDA (libtorch_cuda.so is beside
// libtorch_cpu.so), the program opens libcgotorch_cuda.so when it starts: IsAvailable reports whether that went well
// and there is a device, and Why what is missing. Without a device DeviceCount is 0, the figures of memory are 0, and
// what needs a device panics with a *torch.Error that says why there is none.
//
// The environment variable GOLITE_CUDA_LIBRARY names libcgotorch_cuda.so where it is neither beside libtorch nor beside
// the program (or in ../lib); "none" leaves CUDA out. CUDA_VISIBLE_DEVICES chooses and numbers the devices, as
// everywhere.
//
// The current device and stream are the calling thread's in CUDA, and goroutines change threads: here they are set for
// the length of a function, with WithDevice and WithStream. Only Linux has CUDA.
package cuda
