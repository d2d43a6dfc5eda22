package torch

import (
	"runtime"

	"github.com/golite/golite/cgotorch"
)

// RegisterHook runs f whenever Backward has computed the gradient of t (Tensor.register_hook). What f returns
// replaces the gradient; nil leaves it. f runs in a scope of its own, on the thread that autograd uses; its panic
// comes out of Backward. The function returned removes the hook; after that, or once t is released, it does nothing.
func (t *Tensor) RegisterHook(f func(grad *Tensor) *Tensor) (remove func()) {
	notNil("Tensor.RegisterHook", f != nil)
	place, err := cgotorch.AddHook(t.h(), false, hookOf(f))
	if err != nil {
		panic(opError("register_hook", err, nil, t))
	}
	removed := false
	return func() {
		if removed {
			return
		}
		removed = true
		if err := cgotorch.RemoveHook(t.h(), place); err != nil && err.Stale == 0 {
			panic(opError("remove_hook", err, nil, t))
		}
		runtime.KeepAlive(t)
		cgotorch.DrainClosures()
	}
}

// RegisterPostAccumulateGradHook runs f with t itself after a gradient was added to t.Grad(), a leaf's
// (Tensor.register_post_accumulate_grad_hook). A leaf has at most one; a second replaces it.
func (t *Tensor) RegisterPostAccumulateGradHook(f func(leaf *Tensor)) {
	notNil("Tensor.RegisterPostAccumulateGradHook", f != nil)
	_, err := cgotorch.AddHook(t.h(), true, hookOf(func(leaf *Tensor) *Tensor {
		f(leaf)
		return nil
	}))
	if err != nil {
		panic(opError("register_post_accumulate_grad_hook", err, nil, t))
	}
	runtime.KeepAlive(t)
}

func hookOf(f func(*Tensor) *Tensor) cgotorch.Hook {
	return func(grad cgotorch.Handle) (replacement cgotorch.Handle) {
		Scope(func() {
			replacement = handOver(f(received(grad)))
		})
		return replacement
	}
}

// received makes a tensor of the running scope from a handle that the shim gave away.
func received(h cgotorch.Handle) *Tensor {
	if h == 0 {
		return nil
	}
	return newTensor(h, 0, cgotorch.Scope())
}

// handOver gives the shim a handle of its own to t; 0 for nil.
func handOver(t *Tensor) cgotorch.Handle {
	if t == nil {
		return 0
	}
	return abi.Alias("hook", t)
}
