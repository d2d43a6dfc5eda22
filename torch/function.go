package torch

import (
	"runtime"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/op"
)

// Function is an operation with a backward of the user's own (torch.autograd.Function). What is not a tensor is
// captured by the two closures; tensors that Backward needs go through FunctionCtx.Save, never through a variable.
type Function struct {
	// Name is for messages and for GradFn.
	Name string
	// Forward computes the outputs. It runs without autograd, in a scope of its own.
	Forward func(c *FunctionCtx, inputs []*Tensor) []*Tensor
	// Backward computes the gradients of the inputs from those of the outputs, nil for an input that needs none. It runs
	// in a scope of its own, on the thread that autograd uses, and is recorded with CreateGraph.
	Backward func(c *FunctionCtx, grads []*Tensor) []*Tensor
}

// FunctionCtx carries what Forward saves to Backward (the ctx of torch.autograd.Function).
type FunctionCtx struct {
	saved, dirty, fixed []*Tensor
	needs               []bool
	undefined           bool   // Backward gets nil for an undefined gradient
	node                uint64 // set in Backward
}

// Save keeps tensors for Backward: inputs, outputs, or what Forward made on the way (ctx.save_for_backward).
func (c *FunctionCtx) Save(tensors ...*Tensor) { c.saved = append(c.saved, tensors...) }

// MarkDirty names inputs that Forward wrote in place and returns (ctx.mark_dirty).
func (c *FunctionCtx) MarkDirty(inputs ...*Tensor) { c.dirty = append(c.dirty, inputs...) }

// MarkNonDifferentiable names outputs that have no gradient, such as indices (ctx.mark_non_differentiable).
func (c *FunctionCtx) MarkNonDifferentiable(outputs ...*Tensor) {
	c.fixed = append(c.fixed, outputs...)
}

// SetMaterializeGrads chooses, in Forward, what Backward gets for an output that nothing was computed from: zeros
// (true, as it is from the start), or nil (ctx.set_materialize_grads).
func (c *FunctionCtx) SetMaterializeGrads(on bool) { c.undefined = !on }

// NeedsInputGrad reports, in Forward and Backward, whether input i requires a gradient (ctx.needs_input_grad).
func (c *FunctionCtx) NeedsInputGrad(i int) bool { return c.needs[i] }

// Saved returns what Save was given, in Backward (ctx.saved_tensors). It panics if one was written in place since,
// or if the graph was freed by an earlier Backward.
func (c *FunctionCtx) Saved() []*Tensor {
	if c.node == 0 {
		return c.saved
	}
	var r op.Results
	w, err := cgotorch.Saved(c.node, r.Buffer())
	if err != nil {
		panic(opError("saved_tensors", err, nil))
	}
	r.Set(w)
	return abi.ResultList(&r)
}

// Apply runs the function on tensors, none of them nil, and returns its outputs, which autograd leads back through
// Backward (Function.apply).
func (f *Function) Apply(inputs ...*Tensor) []*Tensor {
	if f == nil || f.Forward == nil || f.Backward == nil {
		Fail("torch.Function.Apply", "a Function needs Forward and Backward")
	}
	for i, t := range inputs {
		if t == nil {
			Fail(f.Name, "input %d is nil", i)
		}
	}
	return ScopeOf(func() []*Tensor {
		c := &FunctionCtx{needs: make([]bool, len(inputs))}
		for i, t := range inputs {
			c.needs[i] = t.RequiresGrad()
		}
		outputs := NoGradOf(func() []*Tensor { return f.Forward(c, inputs) })
		return f.record(c, inputs, outputs)
	})
}

// record gives the outputs their place in the graph.
func (f *Function) record(c *FunctionCtx, inputs, outputs []*Tensor) []*Tensor {
	var a op.Args
	for _, list := range [][]*Tensor{inputs, outputs, c.saved, c.dirty, c.fixed} {
		writeHandles(&a, list)
	}
	a.Word(boolWord(!c.undefined))
	needs := c.needs
	backward := func(node uint64, grads, results []cgotorch.Handle) {
		Scope(func() {
			given := make([]*Tensor, len(grads))
			for i, h := range grads {
				given[i] = received(h)
			}
			got := f.Backward(&FunctionCtx{node: node, needs: needs}, given)
			if len(got) != len(results) {
				Fail(f.Name, "Backward returned %d gradients for %d inputs", len(got), len(results))
			}
			for i, t := range got {
				results[i] = handOver(t)
			}
		})
	}
	var r op.Results
	w, err := cgotorch.Apply(f.Name, backward, a.Words(), r.Buffer())
	runtime.KeepAlive(inputs)
	runtime.KeepAlive(outputs)
	runtime.KeepAlive(c)
	if err != nil {
		panic(opError(f.Name, err, nil, inputs...))
	}
	r.Set(w)
	return abi.ResultList(&r)
}
