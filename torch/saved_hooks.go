package torch

import (
	"runtime"

	"github.com/golite/golite/cgotorch"
)

// SavedTensorsHooks runs f with hooks on what autograd saves for Backward on the calling goroutine
// (torch.autograd.graph.saved_tensors_hooks). pack gets each tensor when it is saved and returns what is kept in its
// place; unpack gets that back, each time that Backward needs the tensor, and returns the tensor. The value that pack
// returns lives as long as the graph.
//
//	torch.SavedTensorsHooks(
//		func(t *torch.Tensor) *torch.Tensor { return t.To(torch.BFloat16) },
//		func(t *torch.Tensor) *torch.Tensor { return t.To(torch.Float32) },
//		func() { loss = model.Forward(x).Sum() })
//
// pack runs without autograd and in a scope of its own, which the tensors that it returns leave, as by ScopeOf; it must
// not write to what it gets. Uses nest, and the innermost counts. The goroutine is locked to its thread while f runs,
// and no other goroutine is affected but those that a ThreadContext includes. A panic of pack comes out of the
// operation that saves, one of unpack out of Backward.
func SavedTensorsHooks[T any](pack func(t *Tensor) T, unpack func(packed T) *Tensor, f func()) {
	const operation = "torch.SavedTensorsHooks"
	notNil(operation, pack != nil && unpack != nil && f != nil)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cgotorch.EnterSavedHooks(func(saved cgotorch.Handle) func() cgotorch.Handle {
		var packed T
		NoScope(func() { packed = ScopeOf(func() T { return pack(received(saved)) }) })
		return func() (h cgotorch.Handle) {
			Scope(func() {
				t := unpack(packed)
				if t == nil {
					Fail(operation, "unpack returned nil, in the place of a tensor")
				}
				h = handOver(t)
			})
			return h
		}
	})
	if err != nil {
		panic(opError(operation, err, nil))
	}
	defer cgotorch.LeaveSavedHooks()
	f()
}

// SaveOnCPUOptions are SaveOnCPU's optional arguments.
type SaveOnCPUOptions struct {
	// PinMemory keeps what is saved in page-locked memory, which is copied without the CPU (pin_memory=True).
	PinMemory bool
}

// SaveOnCPU runs f with all that autograd saves for Backward moved to the CPU, and back when Backward needs it: less
// memory on a GPU for more time (torch.autograd.graph.save_on_cpu). It nests with SavedTensorsHooks and Checkpoint; the
// innermost counts.
func SaveOnCPU(f func(), opts ...SaveOnCPUOptions) {
	notNil("torch.SaveOnCPU", f != nil)
	o := one("torch.SaveOnCPU", opts)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cgotorch.EnterSaveOnCPU(o.PinMemory); err != nil {
		panic(opError("torch.SaveOnCPU", err, nil))
	}
	defer cgotorch.LeaveHooks()
	f()
}
