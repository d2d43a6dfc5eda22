package torch

import (
	"runtime"
	"sync/atomic"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/callsite"
)

// Tensor is an array of numbers on a device, with its place in autograd's graph (torch.Tensor). A nil *Tensor is
// Python's None. Tensors are made by functions and operations, never as literals.
//
// It is safe for use by several goroutines as far as PyTorch's tensors are: reading is, writing in place
// while another reads gives wrong numbers. Releasing one while another uses it is a panic there, never
// memory corruption.
type Tensor struct {
	handle atomic.Uint64
	origin callsite.Origin
}

// newTensor makes the Go side of a handle that a call returned: bytes is the size of its storage, scope
// the scope that the calling thread was in.
func newTensor(h cgotorch.Handle, bytes int64, scope uint64) *Tensor {
	t := &Tensor{}
	t.handle.Store(uint64(h))
	callsite.Here(&t.origin)
	adopt(t, h, bytes, scope)
	return t
}

// adopt decides who frees a handle: the scope, or the collector, or whichever comes first.
func adopt(t *Tensor, h cgotorch.Handle, bytes int64, token uint64) {
	if tracker.on.Load() {
		track(t, h)
	}
	if s := scopeOf(token); s != nil && s.join(h, bytes) {
		return
	}
	runtime.AddCleanup(t, release, h)
	paceGC(bytes)
}

func release(h cgotorch.Handle) { cgotorch.Drop([]cgotorch.Handle{h}) }

// h is the tensor's handle, for a call. A nil tensor has none.
func (t *Tensor) h() cgotorch.Handle {
	if t == nil {
		return 0
	}
	return cgotorch.Handle(t.handle.Load())
}

// Release frees the tensor's memory now, unless other tensors share it. Using t afterwards panics.
// Releasing twice, or nil, does nothing.
func (t *Tensor) Release() {
	if t == nil {
		return
	}
	release(t.h())
	runtime.KeepAlive(t)
}

// Released reports whether the tensor was released, by Release or by the end of its scope.
func (t *Tensor) Released() bool { return !cgotorch.Alive(t.h()) }

// Keep takes the tensor out of all scopes and returns it: from now on it is kept until Release, or until the collector
// finds it unused. What outlives a loop body though it is made in it needs Keep.
func (t *Tensor) Keep() *Tensor {
	if t == nil {
		return nil
	}
	t.moveTo(0)
	return t
}

// moveTo gives the tensor a new handle that belongs to another scope (0: to none) and ends the old one.
func (t *Tensor) moveTo(token uint64) {
	old := t.h()
	h, bytes, err := cgotorch.Alias(old)
	if err != nil {
		panic(opError("keep", err, nil, t))
	}
	t.handle.Store(uint64(h))
	release(old)
	adopt(t, h, bytes, token)
}

// LiveTensors returns how many tensors the process holds, for tests that look for leaks.
func LiveTensors() int { return int(cgotorch.Live()) }
