package cgotorch

// #include <stdlib.h>
// #include "dist.h"
import "C"

import (
	"time"
	"unsafe"
)

// Failure is why a group ended, or why a collective failed: one of the kinds, and what is known of it.
type Failure struct {
	Kind   int
	Rank   int    // the one that failed, or that saw it; -1: unknown
	Lost   []int  // the ranks that did not take part in the call, where they are known
	Host   string // of a connection that has ended: its other end
	Port   int    // as Gloo prints it
	Call   string // the collective that it was in
	Site   string // where that was called
	Detail string // what was found, in words
}

func (f *Failure) words(w *ArgWriter) *ArgWriter {
	return w.PutInt(f.Kind).PutInt(f.Rank).PutInts(f.Lost).PutInt(f.Port).PutText(f.Host).PutText(f.Call).PutText(
		f.Site).PutText(f.Detail)
}

// cutFailure splits a failure off words.
func cutFailure(w []uint64) (*Failure, []uint64) {
	f := &Failure{Kind: int(w[0]), Rank: int(int64(w[1]))}
	n := w[2]
	for _, r := range w[3 : 3+n] {
		f.Lost = append(f.Lost, int(r))
	}
	f.Port, w = int(w[3+n]), w[4+n:]
	for _, s := range []*string{&f.Host, &f.Call, &f.Site, &f.Detail} {
		*s, w = cut(w)
	}
	return f, w
}

// Hub is the rendezvous of the ranks of one process.
type Hub uint64

// NewHub makes one for a number of ranks.
func NewHub(size int) Hub { return Hub(C.gl_hub_new(C.int32_t(size))) }

// Free gives the reference back; groups keep theirs.
func (h Hub) Free() { C.gl_hub_free(C.uint64_t(h)) }

// Group is a process group as one rank holds it.
type Group uint64

// InProcess makes a rank's group of ranks in this process: those of hub, or, with a parent, those of its ranks that use
// name.
func InProcess(hub Hub, parent Group, name string, rank, size int) (Group, *Error) {
	in, n := args(uint64(hub), uint64(parent)).PutText(name).PutInt(rank).PutInt(size).c()
	var out [Room]uint64
	v, err := number(result(int64(C.gl_group_inprocess(in, n, (*C.uint64_t)(&out[0]), Room)), out[:]))
	return Group(v), err
}

// Gloo makes a rank's group of processes, reached through interfaces or, if there are none, the address host ("": what
// the machine's name leads to). With debug the ranks compare their calls. prefix stands before Gloo's keys in the
// store; "" is for ranks of PyTorch. It blocks until all are connected.
func Gloo(s Store, rank, size int, timeout time.Duration, debug bool, host, prefix string, interfaces []string) (Group,
	*Error) {
	w := args(uint64(s)).PutInt(rank).PutInt(size).PutInt(int(timeout.Milliseconds())).PutBool(debug).PutText(
		host).PutText(prefix).PutInt(len(interfaces))
	for _, i := range interfaces {
		w.PutText(i)
	}
	in, n := w.c()
	var out [Room]uint64
	v, err := number(result(int64(C.gl_group_gloo(in, n, (*C.uint64_t)(&out[0]), Room)), out[:]))
	return Group(v), err
}

// Attach gives the group a backend for another type of device, of a kind that SetMaker has registered.
func (g Group) Attach(maker string, device int32, s Store, timeout time.Duration) *Error {
	m := C.CString(maker)
	defer C.free(unsafe.Pointer(m))
	var out [Room]uint64
	_, err := result(int64(C.gl_group_attach(C.uint64_t(g), m, C.int32_t(device), C.uint64_t(s),
		C.int64_t(timeout.Milliseconds()),
		(*C.uint64_t)(&out[0]), Room)), out[:])
	return err
}

// SetMaker registers a kind of backend: make is the address of a C function (c10d::Backend* (c10d::Store*, int rank,
// int size, int64_t timeout_ms)) of another library.
func SetMaker(name string, make unsafe.Pointer) {
	n := C.CString(name)
	defer C.free(unsafe.Pointer(n))
	C.gl_group_maker(n, make)
}

// Collective is a collective and what it is given.
type Collective struct {
	Kind, Op, Root, Tag int
	Async               bool
	Timeout             time.Duration // 0: none
	Site                string
	In, Out             []Handle
	InLengths           []int
	OutLengths          []int
}

// Work is a collective under way.
type Work uint64

// Outcome is the result of a collective.
type Outcome struct {
	Work   Work     // if it isn't over: because it is asynchronous, or because time is up
	Late   bool     // time is up
	Failed *Failure // why it failed because of another rank, or of an abort
	Source int      // of a receive: the sender
}

// Run starts a collective and, unless it is asynchronous, waits for it. An error is about the arguments.
func (g Group) Run(c *Collective) (Outcome, *Error) {
	in, n := args(uint64(g), uint64(c.Kind), uint64(flag(c.Async)), uint64(c.Op), uint64(c.Root), uint64(c.Tag),
		uint64(c.Timeout.Milliseconds())).
		PutText(c.Site).PutHandles(c.In).PutHandles(c.Out).PutInts(c.InLengths).PutInts(c.OutLengths).c()
	var out [Room]uint64
	return outcome(result(int64(C.gl_collective(in, n, (*C.uint64_t)(&out[0]), Room)), out[:]))
}

func outcome(w []uint64, err *Error) (Outcome, *Error) {
	if err != nil {
		return Outcome{}, err
	}
	switch w[0] {
	case 0:
		return Outcome{Work: Work(w[1])}, nil
	case 1:
		return Outcome{Source: int(w[1])}, nil
	case 2:
		f, _ := cutFailure(w[1:])
		return Outcome{Failed: f}, nil
	default:
		return Outcome{Work: Work(w[1]), Late: true}, nil
	}
}

// Wait waits for the end; 0 waits as long as it takes.
func (k Work) Wait(timeout time.Duration) (Outcome, *Error) {
	var out [Room]uint64
	return outcome(result(int64(C.gl_work_wait(C.uint64_t(k), C.int64_t(timeout.Milliseconds()), (*C.uint64_t)(&out[0]),
		Room)), out[:]))
}

// Done reports whether it is over.
func (k Work) Done() (bool, *Error) {
	var out [Room]uint64
	v, err := number(result(int64(C.gl_work_done(C.uint64_t(k), (*C.uint64_t)(&out[0]), Room)), out[:]))
	return v != 0, err
}

// Free gives the reference back.
func (k Work) Free() { C.gl_work_free(C.uint64_t(k)) }

// Abort fails what any rank of the group waits for in this process, and cuts the connections to others.
func (g Group) Abort(why *Failure) *Error {
	in, n := why.words(args(uint64(g))).c()
	var out [Room]uint64
	_, err := result(int64(C.gl_group_abort(in, n, (*C.uint64_t)(&out[0]), Room)), out[:])
	return err
}

// Event is a collective that is under way or over.
type Event struct {
	Number     uint64
	Kind       int
	Root       int           // or peer; -1: none, or any
	Digest     uint32        // equal on all ranks whose calls can be carried out together
	Start, End time.Duration // by a clock that only serves to compare
	Failed     bool
	Call       string // "all_reduce(sum) of Float[3] (number 5)"
	Site       string // where it was called, "" if that is not known
}

// Text returns the call with its site.
func (e Event) Text() string {
	if e.Site == "" {
		return e.Call
	}
	return e.Call + " at " + e.Site
}

func events(w []uint64) []Event {
	list := make([]Event, w[0])
	w = w[1:]
	for i := range list {
		e := &list[i]
		e.Number, e.Kind, e.Root, e.Digest = w[0], int(w[1]), int(int64(w[2])), uint32(w[3])
		e.Start, e.End, e.Failed = time.Duration(w[4]), time.Duration(w[5]), w[6] != 0
		e.Call, w = cut(w[7:])
		e.Site, w = cut(w)
	}
	return list
}

// GroupStatus is the state of a group.
type GroupStatus struct {
	Aborted bool
	Failure *Failure // why it was aborted
	Count   uint64   // how many collectives this rank has begun
	Waiting []Event  // what it waits for
}

// Pending returns the group's status.
func (g Group) Pending() (s GroupStatus, err *Error) {
	var out [Room]uint64
	w, err := result(int64(C.gl_group_pending(C.uint64_t(g), (*C.uint64_t)(&out[0]), Room)), out[:])
	if err != nil {
		return s, err
	}
	s.Aborted = w[0] != 0
	s.Failure, w = cutFailure(w[1:])
	s.Count, s.Waiting = w[0], events(w[1:])
	return s, nil
}

// Trace returns the last collectives that ended, and sets how many are kept from now on; below 0 leaves that as it is.
func (g Group) Trace(keep int) ([]Event, *Error) {
	var out [Room]uint64
	w, err := result(int64(C.gl_group_trace(C.uint64_t(g), C.int32_t(keep), (*C.uint64_t)(&out[0]), Room)), out[:])
	if err != nil {
		return nil, err
	}
	return events(w), nil
}

// Free closes the group.
func (g Group) Free() { C.gl_group_free(C.uint64_t(g)) }

// Now reads the clock of events.
func Now() time.Duration { return time.Duration(C.gl_now()) }
