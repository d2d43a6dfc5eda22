package torch

import (
	"runtime"
	"sync"

	"github.com/golite/golite/cgotorch"
)

// ThreadContext runs functions on other goroutines with the state of the goroutine that made it: grad mode, inference
// mode, WithDevice's device, the default type, hooks on saved tensors, the scope. Replicas of a model run so.
//
//	fork := torch.NewThreadContext()
//	pool.Do(ctx, func() { fork.Do(func() { y = replica.Forward(x) }) })
//	fork.Join() // y belongs to the scope of the caller
type ThreadContext struct {
	scope     uint64 // the scope's token; 0: what is made belongs to the collector
	grad      bool
	inference bool
	device    Device
	dtype     DType
	hooks     cgotorch.SavedHooks

	lock sync.Mutex
	made []cgotorch.Handle
}

// NewThreadContext captures the calling goroutine's state.
func NewThreadContext() *ThreadContext {
	k := &ThreadContext{grad: GradEnabled(), inference: InferenceEnabled(), device: defaultDevice(), dtype: DefaultDType(),
		hooks: cgotorch.ShareSavedHooks()}
	if s := scopeOf(cgotorch.Scope()); s != nil {
		k.scope = s.token
	}
	return k
}

// Do runs f on the calling goroutine with the state captured by NewThreadContext. Several goroutines may be in Do at
// once. Tensors that f makes are kept until Join at least.
func (k *ThreadContext) Do(f func()) {
	notNil("torch.ThreadContext.Do", f != nil)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s := openScope(k.scope == 0)
	defer k.take(s)
	before := cgotorch.UseSavedHooks(k.hooks)
	defer func() {
		cgotorch.FreeSavedHooks(cgotorch.UseSavedHooks(before))
		cgotorch.FreeSavedHooks(before)
	}()
	run := f
	if k.device.Type != 0 {
		inner := run
		run = func() { WithDevice(k.device, inner) }
	}
	if k.dtype != DefaultDType() {
		inner := run
		run = func() { WithDefaultDType(k.dtype, inner) }
	}
	recorded := func() { withGrad(k.grad, run) }
	if k.inference {
		InferenceMode(recorded)
		return
	}
	recorded()
}

// take ends a Do's scope and keeps what was made in it for Join.
func (k *ThreadContext) take(s *scope) {
	k.lock.Lock()
	k.made = append(k.made, s.log...)
	k.lock.Unlock()
	s.log = s.log[:0]
	s.close()
}

// Join gives what was made in Do to the scope of the goroutine that made the ThreadContext, which calls it once every
// Do has returned.
func (k *ThreadContext) Join() {
	k.lock.Lock()
	defer k.lock.Unlock()
	if s := scopeAt(k.scope); s != nil {
		s.log = append(s.log, k.made...)
	} else {
		cgotorch.Drop(k.made)
	}
	k.made = nil
	cgotorch.FreeSavedHooks(k.hooks)
	k.hooks = 0
}
