package torch

import (
	"runtime"

	"github.com/golite/golite/cgotorch"
)

// RegisterHook runs f whenever Backward has computed the gradient of t, after the hooks that were registered before
// (Tensor.register_hook). What f returns replaces the gradient, for later hooks too; nil leaves it. f runs in a scope
// of its own, on the thread that autograd uses; its panic comes out of Backward. remove removes the hook, also from
// within a hook, and also where t was released and its graph remains; calling it again does nothing
// (RemovableHandle.remove).
func (t *Tensor) RegisterHook(f func(grad *Tensor) *Tensor) (remove func()) {
	notNil("Tensor.RegisterHook", f != nil)
	return t.register("register_hook", false, f)
}

// RegisterPostAccumulateGradHook runs f with t itself, a leaf, after a gradient was added to t.Grad(), after the hooks
// that were registered before (Tensor.register_post_accumulate_grad_hook). remove removes the hook, as RegisterHook's
// does.
func (t *Tensor) RegisterPostAccumulateGradHook(f func(leaf *Tensor)) (remove func()) {
	notNil("Tensor.RegisterPostAccumulateGradHook", f != nil)
	return t.register("register_post_accumulate_grad_hook", true, func(leaf *Tensor) *Tensor {
		f(leaf)
		return nil
	})
}

func (t *Tensor) register(operation string, afterAccumulate bool, f func(*Tensor) *Tensor) (remove func()) {
	hook, err := cgotorch.AddHook(t.h(), afterAccumulate, hookOf(f))
	if err != nil {
		panic(opError(operation, err, nil, t))
	}
	runtime.KeepAlive(t)
	return func() { cgotorch.RemoveHook(hook) }
}

func hookOf(f func(*Tensor) *Tensor) cgotorch.Hook {
	return func(grad cgotorch.Handle) (replacement cgotorch.Handle) {
		Scope(func() {
			replacement = handOver(f(received(grad)))
		})
		return replacement
	}
}

// received makes a tensor of the running scope from a handle that the caller owns.
func received(h cgotorch.Handle) *Tensor {
	if h == 0 {
		return nil
	}
	return newTensor(h, 0, cgotorch.Scope())
}

// handOver returns a handle to t that the shim owns; 0 for nil.
func handOver(t *Tensor) cgotorch.Handle {
	if t == nil {
		return 0
	}
	return abi.Alias("hook", t)
}
