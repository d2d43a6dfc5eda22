package cgotorch

// #include "cgotorch.h"
import "C"

// AddHook runs f whenever a gradient of h has been computed (or, with afterAccumulate, after it was added to the
// leaf's), after the hooks that were added before. RemoveHook takes the number that it returns.
func AddHook(h Handle, afterAccumulate bool, f Hook) (hook uint64, err *Error) {
	id := closures.put(f)
	var out [Room]uint64
	if _, err := result(int64(C.gl_hook(C.gl_handle(h), C.uint64_t(id), flag(afterAccumulate), (*C.uint64_t)(&out[0]),
		Room)), out[:]); err != nil {
		DrainClosures()
		closures.remove(id)
		return 0, err
	}
	return id, nil
}

// RemoveHook removes a hook, whether its tensor was released or not. Removing one that is gone does nothing.
func RemoveHook(hook uint64) {
	C.gl_remove_hook(C.uint64_t(hook))
	DrainClosures()
}

// QueueCallback runs f once when the backward pass that the calling thread runs has ended. It fails outside of one.
func QueueCallback(f func()) *Error {
	id := closures.put(Hook(func(Handle) Handle {
		f()
		return 0
	}))
	var out [Room]uint64
	_, err := result(int64(C.gl_queue_callback(C.uint64_t(id), (*C.uint64_t)(&out[0]), Room)), out[:])
	if err != nil {
		closures.remove(id)
	}
	return err
}

// Pack is called with a tensor that autograd is about to save, whose handle it owns, and returns what gives it back: a
// function that returns a handle which is the shim's from then on, or 0.
type Pack func(saved Handle) (unpack func() Handle)

// EnterSavedHooks enters hooks for what the calling thread saves; LeaveSavedHooks leaves them. The goroutine must be
// locked to its thread.
func EnterSavedHooks(f Pack) *Error {
	packing.Add(1) // before the first operator may call f
	id := closures.put(f)
	var out [Room]uint64
	_, err := result(int64(C.gl_saved_hooks(C.uint64_t(id), 0, (*C.uint64_t)(&out[0]), Room)), out[:])
	if err != nil {
		packing.Add(-1)
		closures.remove(id)
	}
	return err
}

// EnterSaveOnCPU is EnterSavedHooks for tensors that are to wait on the CPU, in page-locked memory if pin is set;
// LeaveHooks leaves it.
func EnterSaveOnCPU(pin bool) *Error {
	var out [Room]uint64
	_, err := result(int64(C.gl_saved_hooks(0, flag(pin), (*C.uint64_t)(&out[0]), Room)), out[:])
	return err
}

// LeaveSavedHooks undoes the calling thread's last EnterSavedHooks.
func LeaveSavedHooks() {
	LeaveHooks()
	packing.Add(-1)
}

// LeaveHooks undoes the calling thread's last EnterSaveOnCPU.
func LeaveHooks() {
	C.gl_leave_saved_hooks()
	DrainClosures()
}

// SavedHooks are a thread's hooks on saved tensors, for others to use; 0 is none.
type SavedHooks uint64

// ShareSavedHooks returns those of the calling thread. FreeSavedHooks frees them.
func ShareSavedHooks() SavedHooks { return SavedHooks(C.gl_share_saved_hooks()) }

// UseSavedHooks makes s the hooks of the calling thread, and returns what it had, to be used again and freed.
func UseSavedHooks(s SavedHooks) SavedHooks { return SavedHooks(C.gl_use_saved_hooks(C.uint64_t(s))) }

// FreeSavedHooks frees what ShareSavedHooks or UseSavedHooks returned.
func FreeSavedHooks(s SavedHooks) {
	if s != 0 {
		C.gl_free_saved_hooks(C.uint64_t(s))
	}
}

// Recompute runs a checkpointed function again. It owns the inputs' handles (0: a missing one). frame is what Stopped
// holds.
type Recompute func(frame uint64, inputs []Handle)

// Stopped is what a call panics with during the second run of a checkpointed function, where backward has all that it
// needs of it.
type Stopped struct{ Frame uint64 }

// EnterCheckpoint begins the first run of a checkpointed function on the calling thread. in holds: 1 to stop the second
// run early, 1 to keep the random streams, the inputs (count, handles), and further generators (count, addresses).
// LeaveCheckpoint ends the run.
func EnterCheckpoint(f Recompute, in []uint64) (frame uint64, err *Error) {
	id := closures.put(f)
	var out [Room]uint64
	w, err := result(int64(C.gl_checkpoint_enter(C.uint64_t(id), (*C.uint64_t)(&in[0]), C.uint32_t(len(in)),
		(*C.uint64_t)(&out[0]), Room)), out[:])
	if err != nil {
		DrainClosures()
		closures.remove(id)
		return 0, err
	}
	return w[0], nil
}

// LeaveCheckpoint ends the first run.
func LeaveCheckpoint(frame uint64) {
	C.gl_checkpoint_leave(C.uint64_t(frame))
	DrainClosures()
}
