package torch

import (
	"runtime"
	"sync"

	"github.com/golite/golite/cgotorch"
)

// Fork lets other goroutines do a part of the calling one's work: what operations depend on where it was made (NoGrad,
// InferenceMode, WithDevice, the default type, hooks on saved tensors, the scope) holds for them too. Replicas of a model run so.
//
//	fork := torch.NewFork()
//	pool.Do(ctx, func() { fork.Do(func() { y = replica.Forward(x) }) })
//	fork.Join() // y belongs to the scope of the caller
type Fork struct {
	home      uint64 // the scope's token; 0: what is made belongs to the collector
	grad      bool
	inference bool
	device    Device
	dtype     DType
	hooks     cgotorch.SavedHooks

	lock sync.Mutex
	made []cgotorch.Handle
}

// NewFork looks at the calling goroutine.
func NewFork() *Fork {
	k := &Fork{grad: GradEnabled(), inference: InferenceEnabled(), device: defaultDevice(), dtype: DefaultDType(),
		hooks: cgotorch.ShareSavedHooks()}
	if s := scopeOf(cgotorch.Scope()); s != nil {
		k.home = s.token
	}
	return k
}

// Do runs f on the calling goroutine as the Fork's would. Several goroutines may be in Do at once. What f makes lives at
// least until Join.
func (k *Fork) Do(f func()) {
	notNil("torch.Fork.Do", f != nil)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s := openScope(k.home == 0)
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
func (k *Fork) take(s *scope) {
	k.lock.Lock()
	k.made = append(k.made, s.log...)
	k.lock.Unlock()
	s.log = s.log[:0]
	s.close()
}

// Join gives what was made in Do to the scope of the goroutine that made the Fork, which calls it once every Do has returned.
func (k *Fork) Join() {
	k.lock.Lock()
	defer k.lock.Unlock()
	if s := scopeAt(k.home); s != nil {
		s.log = append(s.log, k.made...)
	} else {
		cgotorch.Drop(k.made)
	}
	k.made = nil
	cgotorch.FreeSavedHooks(k.hooks)
	k.hooks = 0
}
