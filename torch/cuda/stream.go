package cuda

import (
	"runtime"
	"time"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/torch"
)

// Stream is a queue of work on a device (torch.cuda.Stream): what is in one queue runs in order, what is in several may
// run at once. Streams compare with ==. They are taken from a pool of 32 a device and are never given back.
type Stream struct{ id, index, kind uint64 }

// StreamOptions are NewStream's optional arguments.
type StreamOptions struct {
	Priority int // below 0: before others
}

// NewStream takes a stream of a device from the pool.
func NewStream(device int, opts ...StreamOptions) Stream {
	o := options.Must("cuda.NewStream", opts, torch.Fail)
	return streamOf(call("NewStream", cgotorch.CUDAStreamNew, check("NewStream", device), uint64(o.Priority)))
}

// CurrentStream returns the stream that the calling goroutine's operations on a device go to
// (torch.cuda.current_stream): the default one outside of WithStream.
func CurrentStream(device int) Stream {
	return streamOf(call("CurrentStream", cgotorch.CUDAStreamCurrent, check("CurrentStream", device)))
}

// DefaultStream returns a device's default stream (torch.cuda.default_stream).
func DefaultStream(device int) Stream {
	return streamOf(call("DefaultStream", cgotorch.CUDAStreamDefault, check("DefaultStream", device)))
}

func streamOf(w []uint64) Stream { return Stream{w[0], w[1], w[2]} }

// Device returns the stream's device.
func (s Stream) Device() torch.Device { return torch.CUDA(int(s.index)) }

// Synchronize waits until the stream's work is done (Stream.synchronize).
func (s Stream) Synchronize() {
	call("Stream.Synchronize", cgotorch.CUDAStreamSync, s.id, s.index, s.kind)
}

// Query reports whether the stream's work is done (Stream.query).
func (s Stream) Query() bool {
	return call("Stream.Query", cgotorch.CUDAStreamQuery, s.id, s.index, s.kind)[0] != 0
}

// WaitStream lets what comes into s from now on wait for all that is in other now (Stream.wait_stream). The caller
// doesn't wait.
func (s Stream) WaitStream(other Stream) {
	e := NewEvent()
	e.Record(other)
	e.Wait(s)
}

// Uses keeps the memory of tensors from being used again before what is in s now has run, when they were made for
// another stream (Tensor.record_stream): to be called after they were used in s, and before they may be released.
func (s Stream) Uses(tensors ...*torch.Tensor) {
	in := []uint64{s.id, s.index, s.kind, uint64(len(tensors))}
	for _, t := range tensors {
		in = append(in, uint64(torch.ABI{}.Handle(t)))
	}
	call("Stream.Uses", cgotorch.CUDAStreamUses, in...)
	runtime.KeepAlive(tensors)
}

// WithStream runs f with s as the stream of its operations, on s's device as the current one (torch.cuda.stream). The
// goroutine is locked to its thread while f runs, and no other goroutine is affected. Backward passes run in the
// streams of their forward passes.
func WithStream(s Stream, f func()) {
	WithDevice(int(s.index), func() {
		before := CurrentStream(int(s.index))
		setStream(s)
		defer setStream(before)
		f()
	})
}

func setStream(s Stream) { call("WithStream", cgotorch.CUDAStreamSet, s.id, s.index, s.kind) }

// Event is a mark in a stream (torch.cuda.Event).
type Event struct{ address uint64 }

// EventOptions are NewEvent's optional arguments.
type EventOptions struct {
	Timing bool // the event records when it was reached (enable_timing)
}

// NewEvent makes an event that is in no stream yet.
func NewEvent(opts ...EventOptions) *Event {
	var timing uint64
	if options.Must("cuda.NewEvent", opts, torch.Fail).Timing {
		timing = 1
	}
	e := &Event{call("NewEvent", cgotorch.CUDAEventNew, timing)[0]}
	runtime.AddCleanup(e, func(address uint64) { _, _ = cgotorch.CUDA(cgotorch.CUDAEventFree, address) }, e.address)
	return e
}

// Record puts the event into a stream (Event.record).
func (e *Event) Record(s Stream) {
	e.call("Event.Record", cgotorch.CUDAEventRecord, s.id, s.index, s.kind)
}

// Wait lets what comes into s from now on wait for the event (Event.wait). The caller doesn't wait.
func (e *Event) Wait(s Stream) { e.call("Event.Wait", cgotorch.CUDAEventWait, s.id, s.index, s.kind) }

// Synchronize waits until the event is reached (Event.synchronize).
func (e *Event) Synchronize() { e.call("Event.Synchronize", cgotorch.CUDAEventSync) }

// Query reports whether the event is reached (Event.query).
func (e *Event) Query() bool { return e.call("Event.Query", cgotorch.CUDAEventQuery)[0] != 0 }

// ElapsedTime returns the time from e to end (Event.elapsed_time). Both have timing, and are reached.
func (e *Event) ElapsedTime(end *Event) time.Duration {
	w := e.call("Event.ElapsedTime", cgotorch.CUDAEventElapsed, end.address)
	runtime.KeepAlive(end)
	return time.Duration(cgotorch.Float64(w[0]) * float64(time.Millisecond))
}

func (e *Event) call(name string, function uint32, in ...uint64) []uint64 {
	defer runtime.KeepAlive(e)
	return call(name, function, append([]uint64{e.address}, in...)...)
}
