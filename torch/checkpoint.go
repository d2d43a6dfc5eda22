package torch

import (
	"reflect"
	"runtime"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/op"
)

// CheckpointOptions are Checkpoint's optional arguments.
type CheckpointOptions struct {
	// NoPreserveRNG leaves the random states of the second run as they are (preserve_rng_state=False). It saves a copy of
	// the states where f draws no numbers.
	NoPreserveRNG bool
	// Generators are those that f draws from besides the default ones, whose streams are kept as well.
	Generators []*Generator
	// NoEarlyStop runs the second run to its end. Without it f ends, by a panic that it must not recover from, as soon as
	// Backward has all that it needs (set_checkpoint_early_stop(False)).
	NoEarlyStop bool
}

// Checkpoint returns a function that computes what f computes and saves nothing of it for Backward but its inputs:
// Backward runs f once more when it comes to it (torch.utils.checkpoint.checkpoint with use_reentrant=False). Memory
// falls to that of one f at a time; the time of another forward pass is added.
//
//	x = torch.Checkpoint(block.Forward)(x)
//	h, c = torch.Checkpoint(cell.Forward)(x, h, c)
//
// F is any type of function. Arguments of the types *Tensor and []*Tensor are the inputs; all else that f uses, tensors
// inside of other values among them, must be unchanged in the second run. The second run has the first one's random
// streams (the default generators of the CPU and of all GPUs in use, so that Dropout draws the same), autocast, default
// device and default type. Each Backward through the graph runs f again, and gradients of gradients are computed.
// Checkpoints nest. A function that saves other tensors the second time than the first makes Backward panic, as do
// inputs that were written in place.
//
// f runs in a scope of its own: what it stores elsewhere than in its results needs Keep. Hooks on modules run in both
// runs, and BatchNorm counts a batch twice, as in PyTorch. A checkpoint belongs inside of the model's Forward, and not
// around what lite.Setup returned: a strategy prepares for one Backward in it. Without gradients (NoGrad) f just runs.
func Checkpoint[F any](f F, opts ...CheckpointOptions) F {
	const operation = "torch.Checkpoint"
	o := one(operation, opts)
	v := reflect.ValueOf(f)
	if !v.IsValid() || v.Kind() != reflect.Func {
		Fail(operation, "want a function, got a %T", f)
	}
	notNil(operation, !v.IsNil())
	switch g := any(f).(type) {
	case func(*Tensor) *Tensor:
		return any(func(x *Tensor) *Tensor {
			return o.run([]*Tensor{x}, func(in []*Tensor) []any { return []any{g(in[0])} })[0].(*Tensor)
		}).(F)
	case func(*Tensor, *Tensor) *Tensor:
		return any(func(x, y *Tensor) *Tensor {
			return o.run([]*Tensor{x, y}, func(in []*Tensor) []any { return []any{g(in[0], in[1])} })[0].(*Tensor)
		}).(F)
	}
	return reflect.MakeFunc(v.Type(), func(args []reflect.Value) []reflect.Value {
		return o.reflected(v,
			args)
	}).Interface().(F)
}

var tensorsType = reflect.TypeFor[[]*Tensor]()

// reflected is run for a function of any type. What it keeps for the second run holds no input.
func (o CheckpointOptions) reflected(f reflect.Value, args []reflect.Value) []reflect.Value {
	var inputs []*Tensor
	kept := make([]reflect.Value, len(args))
	lengths := make([]int, len(args)) // of slices of inputs
	for i, a := range args {
		switch a.Type() {
		case tensorType:
			inputs = append(inputs, a.Interface().(*Tensor))
		case tensorsType:
			list := a.Interface().([]*Tensor)
			inputs = append(inputs, list...)
			lengths[i] = len(list)
		default:
			kept[i] = a
		}
	}
	types := make([]reflect.Type, len(args))
	for i, a := range args {
		types[i] = a.Type()
	}
	results := o.run(inputs, func(in []*Tensor) []any {
		again := make([]reflect.Value, len(kept))
		for i := range again {
			switch n := lengths[i]; {
			case types[i] == tensorType:
				again[i] = reflect.ValueOf(in[0])
				in = in[1:]
			case types[i] == tensorsType:
				again[i] = reflect.ValueOf(in[:n:n])
				in = in[n:]
			default:
				again[i] = kept[i]
			}
		}
		var out []reflect.Value
		if f.Type().IsVariadic() {
			out = f.CallSlice(again)
		} else {
			out = f.Call(again)
		}
		list := make([]any, len(out))
		for i, v := range out {
			list[i] = v.Interface()
		}
		return list
	})
	out := make([]reflect.Value, len(results))
	for i, r := range results {
		out[i] = reflect.New(f.Type().Out(i)).Elem()
		if r != nil {
			out[i].Set(reflect.ValueOf(r))
		}
	}
	return out
}

// run is the first run of f. The function for the second one holds none of the inputs: the graph does.
func (o CheckpointOptions) run(inputs []*Tensor, f func(in []*Tensor) []any) []any {
	if !GradEnabled() || InferenceEnabled() {
		return f(inputs)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	device := defaultDevice()
	again := func(in []*Tensor) {
		if device.Type == 0 {
			f(in)
			return
		}
		WithDevice(device, func() { f(in) })
	}
	var a op.Args
	a.Word(boolWord(!o.NoEarlyStop))
	a.Word(boolWord(!o.NoPreserveRNG))
	writeHandles(&a, inputs)
	a.Word(uint64(len(o.Generators)))
	for _, g := range o.Generators {
		if g == nil {
			Fail("torch.Checkpoint", "a generator is nil")
		}
		a.Word(uint64(g.gen))
	}
	frame, err := cgotorch.EnterCheckpoint(func(frame uint64, handles []cgotorch.Handle) {
		recompute(frame, handles,
			again)
	}, a.Words())
	runtime.KeepAlive(inputs)
	runtime.KeepAlive(o.Generators)
	if err != nil {
		panic(opError("torch.Checkpoint", err, nil, inputs...))
	}
	defer cgotorch.LeaveCheckpoint(frame)
	return ScopeOf(func() []any { return f(inputs) })
}

// recompute is a second run. It ends early by a panic with cgotorch.Stopped.
func recompute(frame uint64, handles []cgotorch.Handle, f func(in []*Tensor)) {
	defer func() {
		if v := recover(); v != nil && v != any(cgotorch.Stopped{Frame: frame}) {
			panic(v)
		}
	}()
	Scope(func() {
		in := make([]*Tensor, len(handles))
		for i, h := range handles {
			in[i] = received(h)
		}
		f(in)
	})
}
