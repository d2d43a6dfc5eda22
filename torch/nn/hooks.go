package nn

import (
	"slices"

	"github.com/golite/golite/torch"
)

// Hooks see a module's inputs and outputs as lists of tensors: the parameters of Forward that are tensors or lists of
// tensors, in order, and its results. What Forward takes in a struct of options (a mask, offsets) is Python's keyword
// arguments: hooks don't see it.
//
// Every layer of this package calls its hooks from Forward itself. The Forward of a user's own module is a plain call,
// in which a hook can have no part: it is called by way of Call.

// ForwardPreHook gets a module's inputs before Forward. What it returns replaces them, one for each; nil leaves them
// (the hook of torch.nn.Module.register_forward_pre_hook).
type ForwardPreHook func(m Module, inputs []*torch.Tensor) []*torch.Tensor

// ForwardHook gets a module's inputs and outputs after Forward. What it returns replaces the outputs, one for each; nil
// leaves them (the hook of torch.nn.Module.register_forward_hook).
type ForwardHook func(m Module, inputs, outputs []*torch.Tensor) []*torch.Tensor

// BackwardPreHook gets the gradients of a module's outputs before those of its inputs are computed; nil stands for an
// output that nothing was computed from. What it returns replaces them, one for each; nil leaves them (the hook of
// torch.nn.Module.register_full_backward_pre_hook).
type BackwardPreHook func(m Module, gradOutputs []*torch.Tensor) []*torch.Tensor

// BackwardHook gets the gradients of a module's inputs and outputs once those of the inputs are computed. What it
// returns replaces the inputs', one for each; nil leaves them (the hook of
// torch.nn.Module.register_full_backward_hook).
type BackwardHook func(m Module, gradInputs, gradOutputs []*torch.Tensor) []*torch.Tensor

// HookOptions are optional arguments of the functions that register hooks on modules.
type HookOptions struct {
	// Prepend runs the hook before those that the module has (prepend=True).
	Prepend bool
	// AlwaysCall runs a forward hook also where Forward or another hook panics: with the outputs that there are, nil as a
	// rule (always_call=True). What it panics with itself is dropped then.
	AlwaysCall bool
}

// RegisterForwardPreHook has f called before each Forward of a module, after the hooks that it has
// (torch.nn.Module.register_forward_pre_hook). remove removes the hook; calling it again does nothing. Hooks are
// registered and removed while no other goroutine uses the module.
func RegisterForwardPreHook(m Module, f ForwardPreHook, opts ...HookOptions) (remove func()) {
	return register("nn.RegisterForwardPreHook", m, f != nil, opts, hook{pre: f})
}

// RegisterForwardHook has f called after each Forward of a module, after the hooks that it has
// (torch.nn.Module.register_forward_hook). remove removes the hook, as RegisterForwardPreHook's does.
func RegisterForwardHook(m Module, f ForwardHook, opts ...HookOptions) (remove func()) {
	return register("nn.RegisterForwardHook", m, f != nil, opts, hook{post: f})
}

// RegisterFullBackwardPreHook has f called in Backward, each time that the gradients of a module's outputs are computed
// (torch.nn.Module.register_full_backward_pre_hook). remove removes the hook for passes that begin later.
func RegisterFullBackwardPreHook(m Module, f BackwardPreHook, opts ...HookOptions) (remove func()) {
	return register("nn.RegisterFullBackwardPreHook", m, f != nil, opts, hook{backwardPre: f})
}

// RegisterFullBackwardHook has f called in Backward, each time that the gradients of a module's inputs are computed
// (torch.nn.Module.register_full_backward_hook). Where no input requires a gradient it is called when those of the
// outputs are computed, with nil for each input. The module's inputs and outputs become views, so that nothing may
// write to an output in place. remove removes the hook for passes that begin later.
func RegisterFullBackwardHook(m Module, f BackwardHook, opts ...HookOptions) (remove func()) {
	return register("nn.RegisterFullBackwardHook", m, f != nil, opts, hook{backward: f})
}

// hook is one that was registered, of one of four kinds.
type hook struct {
	id          *byte
	always      bool
	pre         ForwardPreHook
	post        ForwardHook
	backwardPre BackwardPreHook
	backward    BackwardHook
}

// hooks are a module's, in order. They are never changed: Base gets others. So copies of a module (Clone, Replicate)
// have the hooks that it had, and a hook may remove hooks.
type hooks []hook

func register(operation string, m Module, given bool, opts []HookOptions, h hook) (remove func()) {
	if !given {
		torch.Fail(operation, "the function is nil")
	}
	o := one(operation, opts)
	if o.AlwaysCall && h.post == nil {
		torch.Fail(operation, "AlwaysCall is for RegisterForwardHook")
	}
	b := baseOf(operation, m)
	h.id, h.always = new(byte), o.AlwaysCall
	at := len(b.hooks)
	if o.Prepend {
		at = 0
	}
	b.hooks = slices.Insert(slices.Clone(b.hooks), at, h)
	return func() {
		left := slices.DeleteFunc(slices.Clone(b.hooks), func(other hook) bool { return other.id == h.id })
		if len(left) == 0 {
			left = nil
		}
		b.hooks = left
	}
}

func baseOf(operation string, m Module) *Base {
	if isNil(m) {
		torch.Fail(operation, "the module is nil")
	}
	return m.embedsBase()
}

// withHooks runs a Forward of one input and one result with the module's hooks.
func (b *Base) withHooks(m Module, x *torch.Tensor, f func(x *torch.Tensor) *torch.Tensor) *torch.Tensor {
	if b.hooks == nil {
		return f(x)
	}
	return b.hooks.run(m, []*torch.Tensor{x},
		func(in []*torch.Tensor) []*torch.Tensor { return []*torch.Tensor{f(in[0])} })[0]
}

// withHooks2 is withHooks for two inputs.
func (b *Base) withHooks2(m Module, x, y *torch.Tensor, f func(x, y *torch.Tensor) *torch.Tensor) *torch.Tensor {
	if b.hooks == nil {
		return f(x, y)
	}
	return b.hooks.run(m, []*torch.Tensor{x, y},
		func(in []*torch.Tensor) []*torch.Tensor { return []*torch.Tensor{f(in[0], in[1])} })[0]
}

// withHooks3 is withHooks for three inputs.
func (b *Base) withHooks3(m Module, x, y, z *torch.Tensor, f func(x, y, z *torch.Tensor) *torch.Tensor) *torch.Tensor {
	if b.hooks == nil {
		return f(x, y, z)
	}
	return b.hooks.run(m, []*torch.Tensor{x, y, z}, func(in []*torch.Tensor) []*torch.Tensor {
		return []*torch.Tensor{f(in[0], in[1], in[2])}
	})[0]
}

// withIndices is withHooks for two results.
func (b *Base) withIndices(m Module, x *torch.Tensor, f func(x *torch.Tensor) (out, indices *torch.Tensor)) (out,
	indices *torch.Tensor) {
	if b.hooks == nil {
		return f(x)
	}
	results := b.hooks.run(m, []*torch.Tensor{x}, func(in []*torch.Tensor) []*torch.Tensor {
		out, indices := f(in[0])
		return []*torch.Tensor{out, indices}
	})
	return results[0], results[1]
}

// run runs f with the hooks around it, in PyTorch's order.
func (hs hooks) run(m Module, in []*torch.Tensor, f func(in []*torch.Tensor) []*torch.Tensor) (out []*torch.Tensor) {
	ended, called := false, 0 // called: hooks before this one need no call where there is a panic
	defer func() {
		if !ended {
			hs[called:].alwaysCall(m, in, out)
		}
	}()
	var backward *backwardCall
	for _, h := range hs {
		if h.pre != nil {
			in = replaced("forward pre hook", "inputs", in, h.pre(m, in))
		}
		if backward == nil && (h.backwardPre != nil || h.backward != nil) {
			backward = &backwardCall{m: m, hooks: hs}
		}
	}
	if backward != nil {
		in = backward.inputs(in)
	}
	out = f(in)
	for i, h := range hs {
		called = i + 1
		if h.post != nil {
			out = replaced("forward hook", "outputs", out, h.post(m, in, out))
		}
	}
	if backward != nil {
		out = backward.outputs(out)
	}
	ended = true
	return out
}

// alwaysCall calls the forward hooks that are to be called though something panicked.
func (hs hooks) alwaysCall(m Module, in, out []*torch.Tensor) {
	for _, h := range hs {
		if !h.always {
			continue
		}
		func() {
			defer func() { _ = recover() }() // the first panic counts
			h.post(m, in, out)
		}()
	}
}

// replaced is a list, or what a hook returned in its place.
func replaced(kind, what string, list, by []*torch.Tensor) []*torch.Tensor {
	if by == nil {
		return list
	}
	if len(by) != len(list) {
		torch.Fail("nn.Module", "a %s returned an invalid number of %s, got %d, but expected %d", kind, what, len(by),
			len(list))
	}
	return by
}
