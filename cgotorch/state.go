package cgotorch

// #include "cgotorch.h"
import "C"

// Gen is a random number generator of libtorch: an address of C's, released with FreeGenerator.
type Gen uint64

// NewGenerator makes a generator on a device (libtorch's number of its type, and index).
func NewGenerator(device, index int32, seed uint64) (Gen, *Error) {
	var out [Room]uint64
	w, err := result(int64(C.gl_gen_new(C.int32_t(device), C.int32_t(index), C.uint64_t(seed), (*C.uint64_t)(&out[0]),
		Room)), out[:])
	if err != nil {
		return 0, err
	}
	return Gen(w[0]), nil
}

// DefaultGenerator gives a reference to a device's default generator: for the CPU the calling thread's own, if it has
// one.
func DefaultGenerator(device, index int32) (Gen, *Error) {
	var out [Room]uint64
	w, err := result(int64(C.gl_gen_default(C.int32_t(device), C.int32_t(index), (*C.uint64_t)(&out[0]), Room)), out[:])
	if err != nil {
		return 0, err
	}
	return Gen(w[0]), nil
}

// FreeGenerator gives a reference back.
func FreeGenerator(g Gen) { C.gl_gen_free(C.uint64_t(g)) }

// SeedGenerator restarts a generator's stream.
func SeedGenerator(g Gen, seed uint64) *Error {
	var out [Room]uint64
	_, err := result(int64(C.gl_gen_seed(C.uint64_t(g), C.uint64_t(seed), (*C.uint64_t)(&out[0]), Room)), out[:])
	return err
}

// InitialSeed returns the seed that a generator was last given.
func InitialSeed(g Gen) (uint64, *Error) {
	var out [Room]uint64
	w, err := result(int64(C.gl_gen_initial_seed(C.uint64_t(g), (*C.uint64_t)(&out[0]), Room)), out[:])
	if err != nil {
		return 0, err
	}
	return w[0], nil
}

// GeneratorState gives a generator's state, a tensor of bytes, in Call's form.
func GeneratorState(g Gen, out []uint64) ([]uint64, *Error) {
	return result(int64(C.gl_gen_state(C.uint64_t(g), (*C.uint64_t)(&out[0]), C.uint32_t(len(out)))), out)
}

// SetGeneratorState restores it.
func SetGeneratorState(g Gen, state Handle) *Error {
	var out [Room]uint64
	_, err := result(int64(C.gl_gen_set_state(C.uint64_t(g), C.gl_handle(state), (*C.uint64_t)(&out[0]), Room)), out[:])
	return err
}

// UseGenerator makes g the calling thread's default CPU generator (0: the process's) and returns a reference
// to the one before, 0 if there was none. The goroutine must be locked to its thread.
func UseGenerator(g Gen) Gen { return Gen(C.gl_gen_use(C.uint64_t(g))) }

// AutocastState is one device type's autocast setting on the calling thread.
type AutocastState struct {
	Enabled bool
	DType   int32
	Cache   bool
}

// Autocast returns the state of a device type; ok is false where the device has none.
func Autocast(device int32) (s AutocastState, ok bool) {
	var before [3]C.int32_t
	ok = C.gl_autocast(C.int32_t(device), -1, 0, 0, &before[0]) == 0
	return AutocastState{before[0] != 0, int32(before[1]), before[2] != 0}, ok
}

// SetAutocast sets it and returns what it was. The goroutine must be locked to its thread.
func SetAutocast(device int32, s AutocastState) (before AutocastState, ok bool) {
	var b [3]C.int32_t
	ok = C.gl_autocast(C.int32_t(device), flag(s.Enabled), C.int32_t(s.DType), flag(s.Cache), &b[0]) == 0
	return AutocastState{b[0] != 0, int32(b[1]), b[2] != 0}, ok
}

// EnterAutocast and LeaveAutocast count autocast regions: the casts of weights are cached until the outermost ends.
func EnterAutocast() { C.gl_autocast_nesting(1) }

// LeaveAutocast undoes one EnterAutocast.
func LeaveAutocast() { C.gl_autocast_nesting(0) }

// SetThreads sets the process's number of intra-op threads; each thread takes it over at its next op.
func SetThreads(n int) { C.gl_set_threads(C.int32_t(n)) }

// SetThreadThreads sets the number for the calling thread alone (0: back to the process's) and returns what it was.
func SetThreadThreads(n int) int { return int(C.gl_set_thread_threads(C.int32_t(n))) }

// Threads returns the calling thread's number of intra-op threads.
func Threads() int { return int(C.gl_get_threads()) }

// SetDefaultDType sets the process's default floating dtype (libtorch's number) and returns what it was; below 0 it
// returns the calling thread's.
func SetDefaultDType(dtype int32) int32 { return int32(C.gl_default_dtype(C.int32_t(dtype))) }

// SetThreadDType sets the calling thread's default floating dtype, as libtorch's number plus 1, and returns what it
// was; 0 is the process's. The goroutine must be locked to its thread.
func SetThreadDType(dtype int32) (before int32) { return int32(C.gl_thread_dtype(C.int32_t(dtype))) }

// MemoryFigures are those of the process's CPU tensors, in bytes.
type MemoryFigures struct {
	Live, Peak, Total int64 // in use, the most that was, the sum of all allocations
	Big               int64 // in use, of BigTensor bytes and more each
	Handles           int64 // how many handles are in use, by a count that may be late by some of each thread's
}

// BigTensor is the size from which the shim's allocator has Go collect by itself.
const BigTensor = 128 << 10

// Memory returns the figures. resetPeak sets the peak to what is in use now.
func Memory(resetPeak bool) MemoryFigures {
	var out [5]C.int64_t
	C.gl_memory(&out[0], flag(resetPeak))
	return MemoryFigures{int64(out[0]), int64(out[1]), int64(out[2]), int64(out[3]), int64(out[4])}
}

// Collectable estimates the bytes of big tensors, on a kind of device by libtorch's number, that a collection would
// free: those that nothing but handles holds, some of which may be in use in Go.
func Collectable(device int32) int64 { return int64(C.gl_collectable(C.int32_t(device))) }

// Collect runs a collection that the allocator requests, and reports whether it did. Package torch sets it before there
// are tensors. It is called on a thread of the allocator's.
var Collect = func() bool { return false }

//export goliteCollect
func goliteCollect() C.int32_t { return flag(Collect()) }

// SetDeterministic is torch.use_deterministic_algorithms.
func SetDeterministic(on, warnOnly bool) { C.gl_deterministic(flag(on), flag(warnOnly)) }

// CPPTraces puts libtorch's C++ traces into error messages: slow, and useful for bug reports.
func CPPTraces(on bool) { C.gl_cpp_traces(flag(on)) }

// Version returns the version of libtorch that the shim was compiled against.
func Version() (major, minor, patch int) {
	var out [3]C.uint64_t
	C.gl_version(&out[0])
	return int(out[0]), int(out[1]), int(out[2])
}
