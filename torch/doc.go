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
// tensor out of all scopes, ScopeOf hands its result to the scope around it. A tensor made outside of any
// scope, or of 1 MB and more, is also freed when the collector finds that nobody uses it. A tensor used
// after its release panics, and says where it was made; it never reads freed memory.
//
// # Goroutines
//
// A tensor may be passed between goroutines. What libtorch keeps per thread (grad mode, autocast, the
// current stream) is set by functions that take a closure: NoGrad, InferenceMode, amp.Autocast. They
// hold for the closure and for the goroutine that runs it, and never leak into another.
package torch
