// Package torch is libtorch's tensors in Go: creation and indexing, arithmetic, autograd, devices,
// random numbers, and the scopes that free memory.
//
// # Tensors
//
// A *Tensor is used as in PyTorch. Methods chain, names are PyTorch's in Go's case, operations in place
// end in an underscore, and a scalar operand has a method of its own:
//
//	y := x.MatMul(w).Add(b).MulScalar(0.5)
//	y.Add_(x)
//
// Every operator that libtorch has is a typed function of package torch/aten.
//
// # Errors
//
// An operation that can't be done panics with an *Error, which names the operation, the shapes and the
// place. Try turns the panic into an error; lite.Run does it for a whole training run.
//
// # Memory
//
// Go's garbage collector doesn't see tensor memory, so scopes free it: Scope runs a function and then
// releases all that was made in it, in one call. The body of a data loader's loop is a scope. Keep takes a
// tensor out of all scopes, ScopeOf hands its result to the scope around it. A tensor used after its
// release panics, and says where it was made; it never reads freed memory.
//
// The collector frees tensors too, when it finds that the program has dropped them: those made outside of
// any scope, and in a scope all of 128 KB and more, and the small ones beyond the first 8 MB (a tensor
// counts with its bytes and 1 KB for its objects). A long scope, such as one around the generation of a
// text, therefore holds no more than that of what was dropped.
//
// Collections run when they are needed. On the CPU, big tensors never make the memory in use rise above
// what was needed so far, beyond 16 MB, before a collection has freed what was dropped: an allocation
// waits for it. So the peak of a training step is about PyTorch's. Small tensors cause a collection when
// their cost has grown by a share; goroutines that make them faster than they are freed wait for that, a
// second at a time at most. Tensors on a GPU are collected where libtorch's reserve would have to grow.
//
// # Goroutines
//
// A tensor may be passed between goroutines. What libtorch keeps per thread (grad mode, autocast, the
// current stream) is set by functions that take a closure: NoGrad, InferenceMode, amp.Autocast. They
// hold for the closure and for the goroutine that runs it, and never leak into another.
//
// # Process-wide effects
//
// A program that links golite is changed in twelve ways. GOLITE_OVERRIDES in the environment leaves out those that have
// a name here: a list of names, each with a minus sign, as in GOLITE_OVERRIDES=-mkl,-new; none leaves all out, and
// names after it bring single ones back. The build tag golite_no_overrides leaves all of those out of the program.
//
//   - allocator: libtorch's CPU allocator is golite's, which counts bytes, as the collector is paced by them, and keeps
//     freed blocks. The switch turns off the keeping, the tag the counting as well. A loop over tensors of 128 KiB and
//     more would else return each to the kernel and fault it in anew. Off under AddressSanitizer and valgrind, which
//     would not see a use of freed memory.
//   - mallopt: glibc's threshold for mappings is fixed at 128 KiB (M_MMAP_THRESHOLD), as it otherwise grows and keeps
//     the pages of freed blocks. MALLOC_MMAP_THRESHOLD_ in the environment goes before it.
//   - new: C++'s operator new and delete keep freed objects of up to 384 bytes in lists of each thread: up to a tenth
//     of a small operation's time. A program's own operator new goes before it. Off under AddressSanitizer and
//     valgrind.
//   - mkl: MKL's kernels for AVX-512 on AMD's Zen 5 and later, where a training step takes 0.6 of the time and the last
//     bits of matrix products are not PyTorch's. SetMKLAVX512 is the switch in code; GOLITE_OVERRIDES=mkl turns them on
//     for Zen 4.
//   - defaults: libtorch's default generator and default type are the calling goroutine's, so that ranks and workers in
//     one process have their own. Without it WithGenerator, WithDefaultDType and ranks as goroutines are refused. A
//     check at the program's start finds out whether libtorch uses golite's functions; where it does not, lite.Run
//     returns an error.
//   - gomaxprocs: RunRank, and with it lite.Run, raises GOMAXPROCS for good where ranks and workers are as many as
//     processors, which also ends Go's own adjustment to a container's limit. Two ranks on two cores take 0.58 ms a
//     step with it, 0.73 without. GOMAXPROCS in the environment goes before it.
//   - recorder: TORCH_FR_BUFFER_SIZE=0 is set with the first process group over Gloo or NCCL, while threads run, as
//     libtorch's recorder of collectives crashes when two groups begin at once. A value of the user's own stands.
//     NCCL's groups also set TORCH_NCCL_ASYNC_ERROR_HANDLING, ENABLE_MONITORING, RETHROW_CUDA_ERRORS and
//     DUMP_ON_TIMEOUT so; for these four the user's own value is the only switch.
//   - log: libtorch's log shows errors alone once there is a store, as each connection that ends is a warning with a
//     C++ trace. TORCH_CPP_LOG_LEVEL in the environment goes before it.
//   - gc: making tensors runs Go's collector (runtime.GC) where many bytes were left to it. Scopes make it rare;
//     without it tensors outside of scopes are freed when Go collects by itself. The collections that the allocator
//     asks for run on a thread of C, which starts with the first one: no goroutine waits for them.
//   - cuda: the program's start opens libtorch_cuda.so and libcgotorch_cuda.so where both are there, as libtorch asks
//     once for what devices there are. GOLITE_CUDA_LIBRARY=none is the same switch.
//   - A process group over Gloo that was aborted is never freed: its destructor would wait for calls that hang. There
//     is no switch; a process that has lost a peer ends, as a rule.
//   - libtorch's autograd engine is golite's, which looks up hooks on saved tensors as Python's does. An engine that
//     another library has set stays; SavedTensorsHooks, SaveOnCPU and Checkpoint are refused then. There is no switch.
package torch
