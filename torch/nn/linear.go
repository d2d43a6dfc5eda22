package nn

import (
	"math"

	"github.com/golite/golite/torch"
	F "github.com/golite/golite/torch/nn/functional"
	nninit "github.com/golite/golite/torch/nn/init"
)

// LinearOptions are the optional arguments of NewLinear and NewBilinear.
type LinearOptions struct {
	NoBias bool         // no bias (bias=False)
	DType  torch.DType  // of the parameters; default: the default floating type
	Device torch.Device // of the parameters; default: the CPU
}

// Linear is x·Weightᵀ + Bias (torch.nn.Linear). Keys: weight [out, in], bias [out].
type Linear struct {
	Base
	Weight                  Parameter
	Bias                    Parameter
	InFeatures, OutFeatures int // the last dimension of input and output
}

// NewLinear makes a linear layer from in to out features; weight and bias are drawn uniformly from ±1/√in
// (torch.nn.Linear).
func NewLinear(in, out int, opts ...LinearOptions) *Linear {
	const operation = "nn.NewLinear"
	o := one(operation, opts)
	notNegative(operation, "the number of inputs", in)
	notNegative(operation, "the number of outputs", out)
	f := factory{o.DType, o.Device}
	l := &Linear{InFeatures: in, OutFeatures: out, Weight: f.empty(out, in)}
	if !o.NoBias {
		l.Bias = f.empty(out)
	}
	l.ResetParameters()
	return l
}

// ResetParameters draws the initial values anew (Linear.reset_parameters).
func (l *Linear) ResetParameters() { resetLike(l.Weight, l.Bias) }

// Forward takes x [*, in] and returns [*, out].
func (l *Linear) Forward(x *torch.Tensor) *torch.Tensor {
	return l.withHooks(l, x, func(x *torch.Tensor) *torch.Tensor { return F.Linear(x, l.Weight.Tensor, l.Bias.Tensor) })
}

// Bilinear is x1ᵀ·Weight·x2 + Bias (torch.nn.Bilinear). Keys: weight [out, in1, in2], bias [out].
type Bilinear struct {
	Base
	Weight Parameter
	Bias   Parameter
}

// NewBilinear makes a bilinear layer from in1 and in2 to out features; weight and bias are drawn uniformly from ±1/√in1
// (torch.nn.Bilinear).
func NewBilinear(in1, in2, out int, opts ...LinearOptions) *Bilinear {
	const operation = "nn.NewBilinear"
	o := one(operation, opts)
	positive(operation, "the number of first inputs", in1)
	positive(operation, "the number of second inputs", in2)
	notNegative(operation, "the number of outputs", out)
	f := factory{o.DType, o.Device}
	l := &Bilinear{Weight: f.empty(out, in1, in2)}
	if !o.NoBias {
		l.Bias = f.empty(out)
	}
	l.ResetParameters()
	return l
}

// ResetParameters draws the initial values anew (Bilinear.reset_parameters).
func (l *Bilinear) ResetParameters() {
	bound := 1 / math.Sqrt(float64(l.Weight.Size(1)))
	for _, p := range []Parameter{l.Weight, l.Bias} {
		if p.Tensor != nil {
			nninit.Uniform_(p.Tensor, -bound, bound)
		}
	}
}

// Forward takes x1 [*, in1] and x2 [*, in2] and returns [*, out].
func (l *Bilinear) Forward(x1, x2 *torch.Tensor) *torch.Tensor {
	return l.withHooks2(l, x1, x2, func(x1, x2 *torch.Tensor) *torch.Tensor {
		return F.Bilinear(x1, x2, l.Weight.Tensor, l.Bias.Tensor)
	})
}

// Identity returns its input (torch.nn.Identity).
type Identity struct{ Base }

// NewIdentity makes a layer that does nothing (torch.nn.Identity).
func NewIdentity() *Identity { return &Identity{} }

// Forward returns x.
func (i *Identity) Forward(x *torch.Tensor) *torch.Tensor {
	return i.withHooks(i, x, func(x *torch.Tensor) *torch.Tensor { return x })
}

// factory makes parameters and buffers of a layer's type, on its device, in no scope.
type factory struct {
	dtype  torch.DType
	device torch.Device
}

func (f factory) options() torch.Options { return torch.Options{DType: f.dtype, Device: f.device} }

// empty makes a parameter whose values are still to be drawn.
func (f factory) empty(shape ...int) Parameter {
	return f.make(func(o torch.Options) *torch.Tensor { return o.Empty(shape...) })
}

func (f factory) ones(shape ...int) Parameter {
	return f.make(func(o torch.Options) *torch.Tensor { return o.Ones(shape...) })
}

func (f factory) zeros(shape ...int) Parameter {
	return f.make(func(o torch.Options) *torch.Tensor { return o.Zeros(shape...) })
}

func (f factory) make(fill func(torch.Options) *torch.Tensor) (p Parameter) {
	torch.NoScope(func() { p.Tensor = fill(f.options()) })
	p.RequiresGrad_(true)
	return p
}

// buffer makes a buffer.
func (f factory) buffer(fill func(torch.Options) *torch.Tensor) (b Buffer) {
	torch.NoScope(func() { b.Tensor = fill(f.options()) })
	return b
}

// resetLike draws weight and bias as Linear and the convolutions do.
func resetLike(weight, bias Parameter) {
	nninit.KaimingUniform_(weight.Tensor, nninit.KaimingOptions{A: math.Sqrt(5)})
	if bias.Tensor == nil {
		return
	}
	if in, _ := nninit.Fans(weight.Tensor); in > 0 {
		bound := 1 / math.Sqrt(float64(in))
		nninit.Uniform_(bias.Tensor, -bound, bound)
	}
}

func positive(operation, what string, n int) {
	if n < 1 {
		torch.Fail(operation, "%s must be at least 1, got %d", what, n)
	}
}

func notNegative(operation, what string, n int) {
	if n < 0 {
		torch.Fail(operation, "%s must not be negative, got %d", what, n)
	}
}
