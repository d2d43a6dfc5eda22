package nn

import (
	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// Module is anything that embeds Base: a layer, a loss, a container, a user's model (torch.nn.Module). Its one method
// is unexported, so embedding Base is the only way to be one, and forgetting it is a compile error.
type Module interface{ embedsBase() *Base }

// Layer is a module with one input and one output, which Sequential can hold.
type Layer interface {
	Module
	// Forward computes the output from x.
	Forward(x *torch.Tensor) *torch.Tensor
}

// Base is what makes a struct a Module: embed it by value, as a Python model's class has its superclass
// (torch.nn.Module). Its zero value is in training mode.
type Base struct {
	eval  bool
	hooks hooks // nil without hooks: then the only check of a call
}

func (b *Base) embedsBase() *Base { return b }

// Training reports whether the module is in training mode, as it is from the start, or in evaluation mode
// (torch.nn.Module.training).
func (b *Base) Training() bool { return !b.eval }

// Parameter is a tensor that is trained: a field of this type is found by Parameters, saved by StateDict, moved by To
// (torch.nn.Parameter). The tensor's methods are promoted, and .Tensor is passed on. The zero value is Python's None: a
// parameter that isn't there.
type Parameter struct{ *torch.Tensor }

// Buffer is a tensor that belongs to a module and is not trained, such as running statistics: it is saved by StateDict,
// unless its tag says nonpersistent, and moved by To (torch.nn.Buffer). The zero value is Python's None.
type Buffer struct{ *torch.Tensor }

// ParameterOptions are NewParameter's optional arguments.
type ParameterOptions struct {
	// NoGrad makes a parameter that autograd doesn't record (requires_grad=False); RequiresGrad changes it later.
	// Only floating and complex tensors can be recorded.
	NoGrad bool
}

// NewParameter makes a parameter that shares t's memory and belongs to no scope (torch.nn.Parameter). Autograd records
// what happens to it, not how t was computed. A nil t gives the zero Parameter.
func NewParameter(t *torch.Tensor, opts ...ParameterOptions) Parameter {
	o := one("nn.NewParameter", opts)
	if t == nil {
		return Parameter{}
	}
	p := unscoped(t)
	if d := p.DType(); !o.NoGrad {
		if !d.IsFloating() && !d.IsComplex() {
			torch.Fail("nn.NewParameter", "a parameter of type %s can't have a gradient: use a floating type, NoGrad, or a "+
				"Buffer", d)
		}
		p.RequiresGrad_(true)
	}
	return Parameter{p}
}

// NewBuffer makes a buffer that shares t's memory and belongs to no scope (torch.nn.Buffer). A nil t gives the zero
// Buffer.
func NewBuffer(t *torch.Tensor) Buffer {
	if t == nil {
		return Buffer{}
	}
	return Buffer{unscoped(t)}
}

// unscoped makes a tensor that shares t's memory, has no history and belongs to no scope.
func unscoped(t *torch.Tensor) (out *torch.Tensor) {
	torch.NoScope(func() { out = aten.Detach(t) })
	return out
}

// one returns the only element of a trailing options parameter, or the zero value.
func one[T any](operation string, opts []T) T { return options.Must(operation, opts, torch.Fail) }

// or returns the value that p points to, def for nil.
func or[T any](p *T, def T) T {
	if p == nil {
		return def
	}
	return *p
}
