package torch

import (
	"runtime"
	"sync/atomic"

	"github.com/golite/golite/cgotorch"
)

// NoGrad runs f without recording it for autograd (torch.no_grad). The goroutine is locked to its thread while f runs;
// the mode before is restored however f ends, and no other goroutine is affected.
func NoGrad(f func()) {
	notNil("torch.NoGrad", f != nil)
	withGrad(false, f)
}

// NoGradOf is NoGrad for a function with a result.
func NoGradOf[T any](f func() T) (result T) {
	notNil("torch.NoGradOf", f != nil)
	withGrad(false, func() { result = f() })
	return result
}

// EnableGrad runs f with recording on, also inside NoGrad (torch.enable_grad).
func EnableGrad(f func()) {
	notNil("torch.EnableGrad", f != nil)
	withGrad(true, f)
}

// EnableGradOf is EnableGrad for a function with a result.
func EnableGradOf[T any](f func() T) (result T) {
	notNil("torch.EnableGradOf", f != nil)
	withGrad(true, func() { result = f() })
	return result
}

func withGrad(on bool, f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := cgotorch.SetGradMode(on)
	defer cgotorch.SetGradMode(before)
	f()
}

// GradEnabled reports whether autograd records on the calling goroutine (torch.is_grad_enabled).
func GradEnabled() bool { return cgotorch.GradMode() }

// InferenceMode runs f without autograd and without what would make its results usable by autograd later: a
// little faster than NoGrad (torch.inference_mode).
func InferenceMode(f func()) {
	notNil("torch.InferenceMode", f != nil)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cgotorch.EnterInference()
	defer cgotorch.LeaveInference()
	f()
}

// InferenceModeOf is InferenceMode for a function with a result.
func InferenceModeOf[T any](f func() T) (result T) {
	notNil("torch.InferenceModeOf", f != nil)
	InferenceMode(func() { result = f() })
	return result
}

// InferenceEnabled reports whether the calling goroutine is in inference mode.
func InferenceEnabled() bool { return cgotorch.Inference() }

// defaultDevices counts the WithDevices under way: where there is none, making a tensor skips the lookup.
var defaultDevices atomic.Int32

// WithDevice runs f with d as the device of what is made without one (torch.device as a context manager): a model built
// inside of it needs no memory on the CPU, and with Meta none at all. The goroutine is locked to its thread while f
// runs; other goroutines are not affected. From and FromBytes, which have their data on the CPU, stay there.
func WithDevice(d Device, f func()) {
	notNil("torch.WithDevice", f != nil)
	if d == (Device{}) {
		d = CPU
	}
	d.check("torch.WithDevice")
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defaultDevices.Add(1)
	defer defaultDevices.Add(-1)
	s := openScope(false)
	s.device = d
	defer s.close()
	f()
}

// defaultDevice is the calling goroutine's, the zero Device if it has none.
func defaultDevice() Device {
	if defaultDevices.Load() == 0 {
		return Device{}
	}
	for token := cgotorch.Scope(); token != 0; {
		s := scopeAt(token)
		if s == nil {
			break
		}
		if s.device.Type != 0 {
			return s.device
		}
		token = s.parent
	}
	return Device{}
}

// SetNumThreads sets how many threads one operation may use (torch.set_num_threads), for the whole process. The
// default is the number of cores. It panics if n is less than 1.
func SetNumThreads(n int) {
	if n < 1 {
		Fail("torch.SetNumThreads", "want at least 1 thread, got %d", n)
	}
	cgotorch.SetThreads(n)
}

// NumThreads returns how many threads one operation of the calling goroutine may use (torch.get_num_threads).
func NumThreads() int { return cgotorch.Threads() }

// WithNumThreads runs f with its own number of threads for each operation; other goroutines keep theirs. The
// goroutine is locked to its thread while f runs. Ranks and workers that share a machine divide its cores so.
func WithNumThreads(n int, f func()) {
	notNil("torch.WithNumThreads", f != nil)
	if n < 1 {
		Fail("torch.WithNumThreads", "want at least 1 thread, got %d", n)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := cgotorch.SetThreadThreads(n)
	defer cgotorch.SetThreadThreads(before)
	f()
}

// SetDefaultDType sets the floating type of tensors that are made without one and returns what it was
// (torch.set_default_dtype). It holds for the whole process, WithDefaultDType for one goroutine.
func SetDefaultDType(d DType) DType {
	if !d.IsFloating() {
		Fail("torch.SetDefaultDType", "want a floating type, got %s", d)
	}
	needDefaults("torch.SetDefaultDType")
	return dtypeOf(int64(cgotorch.SetDefaultDType(int32(d.code()))))
}

// WithDefaultDType runs f with d as the floating type of what is made without one, on this goroutine alone: others, a
// loader's workers among them, keep theirs. The goroutine is locked to its thread while f runs. It panics where
// libtorch does not use golite's function for the default type (see Process-wide effects).
func WithDefaultDType(d DType, f func()) {
	notNil("torch.WithDefaultDType", f != nil)
	if !d.IsFloating() {
		Fail("torch.WithDefaultDType", "want a floating type, got %s", d)
	}
	needOwnDefaults("torch.WithDefaultDType")
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := cgotorch.SetThreadDType(int32(d.code()) + 1)
	defer cgotorch.SetThreadDType(before)
	f()
}

// DefaultDType returns the floating type of tensors that are made without one (torch.get_default_dtype), on this
// goroutine.
func DefaultDType() DType { return dtypeOf(int64(cgotorch.SetDefaultDType(-1))) }

// UseDeterministicAlgorithms makes operations whose result may differ from run to run choose another way, or panic
// where there is none (torch.use_deterministic_algorithms). It holds for the whole process.
func UseDeterministicAlgorithms(on bool) { cgotorch.SetDeterministic(on, false) }

// ShowCPPTraces puts libtorch's C++ traces into the messages of errors. It is slow and for bug reports.
func ShowCPPTraces(on bool) { cgotorch.CPPTraces(on) }

// Version returns the version of libtorch that the program was built with: "2.11.0".
func Version() string {
	major, minor, patch := cgotorch.Version()
	return shapeVersion(major, minor, patch)
}
