package cgotorch

// #include "dist.h"
import "C"

import "unsafe"

// BucketHook reduces a bucket of gradients over ranks and returns the handle of what takes its place (0: the bucket's
// own buffer, written in place). It owns the handles it is given: buffer, and the gradients and parameters in it.
type BucketHook func(index int, last bool, buffer Handle, gradients, parameters []Handle) Handle

// Reducer is c10d's Reducer.
type Reducer uint64

// Trainable is a model's parameters, and which of them required gradients when it was made. It keeps them alive.
type Trainable uint64

// NewTrainable records which parameters require gradients.
func NewTrainable(params []Handle) (Trainable, *Error) {
	in, n := args().PutHandles(params).c()
	var out [Room]uint64
	v, err := number(result(int64(C.gl_trainable_new(in, n, (*C.uint64_t)(&out[0]), Room)), out[:]))
	return Trainable(v), err
}

// Differs reports whether other parameters require gradients now, or t was freed.
func (t Trainable) Differs() bool { return C.gl_trainable_differs(C.uint64_t(t)) != 0 }

// Free lets the parameters go.
func (t Trainable) Free() { C.gl_trainable_free(C.uint64_t(t)) }

// Flags of NewReducer.
const (
	FindUnused = 1 << iota
	BucketView
	StaticGraph
	OwnCap
)

// NewReducer hooks a Reducer into parameters, in their order. cap is the size of a bucket in bytes; without OwnCap the
// first is smaller, as PyTorch's is.
func NewReducer(g Group, flags, cap int, model string, params []Handle, names []string) (Reducer, *Error) {
	w := args(uint64(g)).PutInt(flags).PutInt(cap).PutText(model).PutHandles(params)
	for _, s := range names {
		w.PutText(s)
	}
	in, n := w.c()
	var out [Room]uint64
	v, err := number(result(int64(C.gl_reducer_new(in, n, (*C.uint64_t)(&out[0]), Room)), out[:]))
	return Reducer(v), err
}

// Compress sends gradients as float16, or as bfloat16.
func (r Reducer) Compress(bfloat16 bool) *Error {
	return r.hook(1+flag(bfloat16), 0)
}

// Hook leaves the buckets to f. forget releases f once the Reducer is gone.
func (r Reducer) Hook(f BucketHook) (forget func(), err *Error) {
	id := closures.put(f)
	if err := r.hook(3, id); err != nil {
		closures.remove(id)
		return nil, err
	}
	return func() { closures.remove(id) }, nil
}

func (r Reducer) hook(kind C.int32_t, closure uint64) *Error {
	var out [Room]uint64
	_, err := result(int64(C.gl_reducer_hook(C.uint64_t(r), kind, C.uint64_t(closure), (*C.uint64_t)(&out[0]), Room)),
		out[:])
	return err
}

// Forward comes before a forward, inside of Join or not; rebuilt reports whether the buckets were laid out anew.
// missing are the parameters, by their numbers, that the last backward pass gave no gradient to, so that there can't be
// another one.
func (r Reducer) Forward(joined bool) (rebuilt bool, missing []int, err *Error) {
	var out [Room]uint64
	return layout(result(int64(C.gl_reducer_forward(C.uint64_t(r), flag(joined), (*C.uint64_t)(&out[0]), Room)), out[:]))
}

func layout(w []uint64, err *Error) (rebuilt bool, missing []int, _ *Error) {
	if err != nil {
		return false, nil, err
	}
	if w[0] == 2 {
		for _, i := range w[2:] {
			missing = append(missing, int(i))
		}
	}
	return w[0] == 1, missing, nil
}

// Rebuild lays the buckets out anew where that is due; missing is as Forward's.
func (r Reducer) Rebuild() (missing []int, err *Error) {
	var out [Room]uint64
	_, missing, err = layout(result(int64(C.gl_reducer_join(C.uint64_t(r), joinRebuild, 0, (*C.uint64_t)(&out[0]), Room)),
		out[:]))
	return missing, err
}

// Backward comes after it, with the outputs that have a graph: with prepare the next backward pass reduces, and each
// one through them after that does. It reports whether the outputs must go through Sink.
func (r Reducer) Backward(site string, prepare bool, outputs []Handle) (sink bool, err *Error) {
	in, n := args(uint64(r)).PutText(site).PutInt(int(flag(prepare))).PutHandles(outputs).c()
	var out [Room]uint64
	v, err := number(result(int64(C.gl_reducer_backward(in, n, (*C.uint64_t)(&out[0]), Room)), out[:]))
	return v != 0, err
}

// Reductions returns the number of backward passes that have averaged gradients.
func (r Reducer) Reductions() (int, *Error) {
	var out [Room]uint64
	v, err := number(result(int64(C.gl_reducer_reductions(C.uint64_t(r), (*C.uint64_t)(&out[0]), Room)), out[:]))
	return int(v), err
}

// Sink gives the outputs that are to be used in their place, in Call's form. With a site there was no Backward: a
// backward pass through the outputs prepares the Reducer as it begins. It also reaches the parameters given.
func (r Reducer) Sink(site string, outputs, parameters []Handle, out []uint64) ([]uint64, *Error) {
	in, n := args(uint64(r)).PutText(site).PutHandles(outputs).PutHandles(parameters).c()
	return result(int64(C.gl_reducer_sink(in, n, (*C.uint64_t)(&out[0]), C.uint32_t(len(out)))), out)
}

// What a rank without batches does for the others.
const (
	JoinBuckets = 1 + iota
	JoinUnused
	JoinOrder
	joinRebuild
	JoinCount
)

// Join does one of those; work, JoinCount's, sums up the ranks that still have batches: the gradients are then divided
// by their number.
func (r Reducer) Join(action int, work Work) *Error {
	var out [Room]uint64
	_, err := result(int64(C.gl_reducer_join(C.uint64_t(r), C.int32_t(action), C.uint64_t(work), (*C.uint64_t)(&out[0]),
		Room)), out[:])
	return err
}

// Stats returns the Logger's figures.
func (r Reducer) Stats() (ints map[string]int64, texts map[string]string, err *Error) {
	var out [Room]uint64
	w, err := result(int64(C.gl_reducer_stats(C.uint64_t(r), (*C.uint64_t)(&out[0]), Room)), out[:])
	if err != nil {
		return nil, nil, err
	}
	ints, texts = map[string]int64{}, map[string]string{}
	n := w[0]
	w = w[1:]
	for range n {
		var name string
		name, w = cut(w)
		ints[name], w = int64(w[0]), w[1:]
	}
	n, w = w[0], w[1:]
	for range n {
		var name, value string
		name, w = cut(w)
		value, w = cut(w)
		texts[name] = value
	}
	return ints, texts, nil
}

// Free takes the Reducer out of the parameters.
func (r Reducer) Free() { C.gl_reducer_free(C.uint64_t(r)) }

// BroadcastCoalesced gives all ranks the root's values of tensors, many in one message.
func (g Group) BroadcastCoalesced(root, bytes int, site string, tensors []Handle) *Error {
	in, n := args(uint64(g)).PutInt(root).PutInt(bytes).PutText(site).PutHandles(tensors).c()
	var out [Room]uint64
	_, err := result(int64(C.gl_broadcast_coalesced(in, n, (*C.uint64_t)(&out[0]), Room)), out[:])
	return err
}

//export goliteBucket
func goliteBucket(closure, index, last, buffer C.uint64_t, gradients, parameters *C.uint64_t, n C.int64_t,
	out *C.uint64_t) (id C.uint64_t) {
	ended := false
	defer catch(&id, &ended)
	if f, ok := closures.get(uint64(closure)).(BucketHook); ok {
		list := func(p *C.uint64_t) []Handle { return unsafe.Slice((*Handle)(unsafe.Pointer(p)), int(n)) }
		*out = C.uint64_t(f(int(index), last != 0, Handle(buffer), list(gradients), list(parameters)))
	}
	ended = true
	return 0
}
