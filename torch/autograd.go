package torch

import (
	"runtime"
	"slices"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/op"
	"github.com/golite/golite/internal/options"
)

// BackwardOptions are Backward's optional arguments.
type BackwardOptions struct {
	// Gradient is the gradient of the tensor itself, of its shape; needed unless it has one element.
	Gradient *Tensor
	// RetainGraph keeps the graph for another Backward through it.
	RetainGraph bool
	// CreateGraph records the computation of the gradients too, for gradients of gradients.
	CreateGraph bool
	// Inputs are the only leaves to accumulate gradients into; none: all.
	Inputs []*Tensor
}

// Backward computes the gradients of t with respect to the leaves of its graph and adds them to their Grad
// (Tensor.backward). It panics if nothing of t's graph requires a gradient.
func (t *Tensor) Backward(opts ...BackwardOptions) {
	o := one("Backward", opts)
	var grads []*Tensor
	if o.Gradient != nil {
		grads = []*Tensor{o.Gradient}
	}
	BackwardAll([]*Tensor{t}, grads, o)
}

// BackwardAll is Backward from several tensors at once (torch.autograd.backward). grads holds the gradient of each,
// nil for those of one element; it may be nil as a whole. o.Gradient is not used.
func BackwardAll(outputs, grads []*Tensor, o BackwardOptions) {
	matchGradients("backward", outputs, grads)
	var a op.Args
	a.Word(retain(o.RetainGraph))
	a.Word(boolWord(o.CreateGraph))
	writeHandles(&a, outputs)
	writeHandles(&a, grads)
	writeHandles(&a, o.Inputs)
	err := cgotorch.Backward(a.Words())
	runtime.KeepAlive(outputs)
	runtime.KeepAlive(grads)
	runtime.KeepAlive(o.Inputs)
	if err != nil {
		panic(opError("backward", err, nil, outputs...))
	}
	cgotorch.DrainClosures()
}

// GradOptions are Grad's optional arguments.
type GradOptions struct {
	// Gradients are those of the outputs, nil for outputs of one element.
	Gradients []*Tensor
	// RetainGraph keeps the graph for another pass; CreateGraph, which implies it, records this one.
	RetainGraph, CreateGraph bool
	// AllowUnused gives nil for an input that the outputs don't depend on, instead of a panic.
	AllowUnused bool
}

// Grad computes and returns the gradients of outputs with respect to inputs, and accumulates nothing
// (torch.autograd.grad).
func Grad(outputs, inputs []*Tensor, opts ...GradOptions) []*Tensor {
	o := one("Grad", opts)
	matchGradients("torch.Grad", outputs, o.Gradients)
	var a op.Args
	a.Word(retain(o.RetainGraph))
	a.Word(boolWord(o.CreateGraph))
	a.Word(boolWord(o.AllowUnused))
	writeHandles(&a, outputs)
	writeHandles(&a, inputs)
	writeHandles(&a, o.Gradients)
	var r op.Results
	w, err := cgotorch.Gradients(a.Words(), r.Buffer())
	runtime.KeepAlive(outputs)
	runtime.KeepAlive(inputs)
	runtime.KeepAlive(o.Gradients)
	if err != nil {
		panic(opError("torch.Grad", err, nil, append(append([]*Tensor{}, outputs...), inputs...)...))
	}
	cgotorch.DrainClosures()
	r.Set(w)
	return abi.ResultList(&r)
}

// matchGradients checks outputs and their gradients: libtorch would sum a larger one without an error.
func matchGradients(operation string, outputs, grads []*Tensor) {
	for i, t := range outputs {
		if t == nil {
			Fail(operation, "output %d, a loss, is nil", i)
		}
	}
	if len(grads) == 0 {
		return
	}
	if len(grads) != len(outputs) {
		Fail(operation, "%d gradients for %d outputs", len(grads), len(outputs))
	}
	for i, g := range grads {
		if g == nil {
			continue
		}
		if have, want := g.Shape(), outputs[i].Shape(); !slices.Equal(have, want) {
			Fail(operation, "the gradient of output %d has the shape %s, and the output %s", i, shapeString(have),
				shapeString(want))
		}
	}
}

// retain is the shim's word: 1 to keep the graph, 2 to keep it if it is being recorded.
func retain(keep bool) uint64 {
	if keep {
		return 1
	}
	return 2
}

func boolWord(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func writeHandles(a *op.Args, list []*Tensor) {
	a.Word(uint64(len(list)))
	for _, t := range list {
		a.Word(uint64(t.h()))
	}
}

// one returns the only element of a trailing options parameter, or the zero value.
func one[T any](operation string, opts []T) T { return options.Must(operation, opts, Fail) }

// Grad returns the gradient that Backward has accumulated, nil if there is none (Tensor.grad). The result shares
// memory with it.
func (t *Tensor) Grad() *Tensor { return Grads([]*Tensor{t})[0] }

// Grads returns the accumulated gradients of all of list, nil where there is none, in one call into libtorch.
func Grads(list []*Tensor) []*Tensor {
	var a op.Args
	writeHandles(&a, list)
	var r op.Results
	w, err := cgotorch.Grads(a.Words(), r.Buffer())
	runtime.KeepAlive(list)
	if err != nil {
		panic(opError("grad", err, nil, list...))
	}
	r.Set(w)
	return abi.ResultList(&r)
}

// SetGrad replaces the accumulated gradient; nil removes it (an assignment to Tensor.grad). It panics, and changes
// nothing, if the gradient has another shape, dtype, device or layout than the tensor, but for a sparse (COO) gradient
// of a dense tensor.
func (t *Tensor) SetGrad(g *Tensor) {
	if err := cgotorch.SetGrad(t.h(), g.h()); err != nil {
		panic(opError("grad", err, nil, t, g))
	}
	runtime.KeepAlive(t)
	runtime.KeepAlive(g)
}

// ClearGrads removes the accumulated gradients of all of list, in one call into libtorch.
func ClearGrads(list []*Tensor) {
	handles := make([]cgotorch.Handle, len(list))
	for i, t := range list {
		handles[i] = t.h()
	}
	err := cgotorch.ClearGrads(handles)
	runtime.KeepAlive(list)
	if err != nil {
		panic(opError("zero_grad", err, nil, list...))
	}
}

// RequiresGrad_ sets whether autograd records operations on the tensor, a leaf, and returns it (Tensor.requires_grad_).
func (t *Tensor) RequiresGrad_(on bool) *Tensor {
	if err := cgotorch.RequiresGrad(t.h(), on); err != nil {
		panic(opError("requires_grad_", err, nil, t))
	}
	runtime.KeepAlive(t)
	return t
}

// RetainGrad makes Backward keep the gradient of a tensor that is no leaf, and returns the tensor (Tensor.retain_grad).
func (t *Tensor) RetainGrad() *Tensor {
	if err := cgotorch.RetainGrad(t.h()); err != nil {
		panic(opError("retain_grad", err, nil, t))
	}
	runtime.KeepAlive(t)
	return t
}

// GradFn returns the name of the node that made the tensor, such as "AddBackward0", "" for a leaf (Tensor.grad_fn).
func (t *Tensor) GradFn() string {
	name, err := cgotorch.GradFn(t.h())
	if err != nil {
		panic(opError("grad_fn", err, nil, t))
	}
	runtime.KeepAlive(t)
	return name
}

// SetData makes t share other's memory, shape and type, unrecorded by autograd (an assignment to Tensor.data).
func (t *Tensor) SetData(other *Tensor) {
	if err := cgotorch.SetData(t.h(), other.h()); err != nil {
		panic(opError("set_data", err, nil, t, other))
	}
	runtime.KeepAlive(t)
	runtime.KeepAlive(other)
}
