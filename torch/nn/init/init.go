package nninit

import (
	"math"

	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// Options are the optional arguments of the functions that draw.
type Options struct {
	Generator *torch.Generator // default: the device's default one
}

// Uniform_ draws from [a, b) (torch.nn.init.uniform_; PyTorch's default is from 0 to 1). It panics if a is above b.
func Uniform_(t *torch.Tensor, a, b float64, opts ...Options) *torch.Tensor {
	return fill(t, func() { aten.Uniform_(t, a, b, generator("nninit.Uniform_", opts)) })
}

// Normal_ draws from the normal distribution (torch.nn.init.normal_; PyTorch's default is mean 0 and deviation 1). It
// panics if std is negative.
func Normal_(t *torch.Tensor, mean, std float64, opts ...Options) *torch.Tensor {
	return fill(t, func() { aten.Normal_(t, mean, std, generator("nninit.Normal_", opts)) })
}

// Constant_ writes v everywhere (torch.nn.init.constant_).
func Constant_(t *torch.Tensor, v float64) *torch.Tensor {
	return fill(t, func() { aten.FillScalar_(t, torch.Number(v)) })
}

// Ones_ writes ones (torch.nn.init.ones_).
func Ones_(t *torch.Tensor) *torch.Tensor { return Constant_(t, 1) }

// Zeros_ writes zeros (torch.nn.init.zeros_).
func Zeros_(t *torch.Tensor) *torch.Tensor { return fill(t, func() { aten.Zero_(t) }) }

// Eye_ makes a matrix the identity (torch.nn.init.eye_). It panics unless t has 2 dimensions.
func Eye_(t *torch.Tensor) *torch.Tensor {
	shape := t.Shape()
	if len(shape) != 2 {
		torch.Fail("nninit.Eye_", "want a tensor of 2 dimensions, got %v", shape)
	}
	return fill(t, func() { aten.EyeMOut(shape[0], shape[1], t) })
}

// Dirac_ makes the weight of a convolution pass its input through: [out, in, K...] of 3, 4 or 5 dimensions, in groups
// groups of channels, by default 1 (torch.nn.init.dirac_). It panics with other dimensions, or if the groups divide out
// with a remainder.
func Dirac_(t *torch.Tensor, groups ...int) *torch.Tensor {
	const operation = "nninit.Dirac_"
	g := 1
	if len(groups) > 0 {
		g = one(operation, groups)
	}
	shape := t.Shape()
	if len(shape) < 3 || len(shape) > 5 {
		torch.Fail(operation, "want a tensor of 3, 4 or 5 dimensions, got %v", shape)
	}
	if g < 1 || shape[0]%g != 0 {
		torch.Fail(operation, "%d outputs can't be divided into %d groups", shape[0], g)
	}
	each := shape[0] / g
	return fill(t, func() {
		aten.Zero_(t)
		for group := range g {
			for d := range min(each, shape[1]) {
				at := aten.SelectInt(aten.SelectInt(t, 0, group*each+d), 0, d)
				for _, s := range shape[2:] {
					at = aten.SelectInt(at, 0, s/2)
				}
				aten.FillScalar_(at, torch.Int(1))
			}
		}
	})
}

// XavierOptions are the optional arguments of XavierUniform_ and XavierNormal_.
type XavierOptions struct {
	Gain      *float64         // default 1
	Generator *torch.Generator // default: the device's default generator
}

// XavierUniform_ draws uniformly so that the variance stays, as Glorot has it (torch.nn.init.xavier_uniform_). It
// panics if t has fewer than 2 dimensions.
func XavierUniform_(t *torch.Tensor, opts ...XavierOptions) *torch.Tensor {
	o := one("nninit.XavierUniform_", opts)
	a := math.Sqrt(3) * o.std(t)
	return Uniform_(t, -a, a, Options{o.Generator})
}

// XavierNormal_ draws normally so that the variance stays, as Glorot has it (torch.nn.init.xavier_normal_). It panics
// if t has fewer than 2 dimensions.
func XavierNormal_(t *torch.Tensor, opts ...XavierOptions) *torch.Tensor {
	o := one("nninit.XavierNormal_", opts)
	return Normal_(t, 0, o.std(t), Options{o.Generator})
}

func (o XavierOptions) std(t *torch.Tensor) float64 {
	in, out := Fans(t)
	gain := 1.0
	if o.Gain != nil {
		gain = *o.Gain
	}
	return gain * math.Sqrt(2/float64(in+out))
}

// KaimingOptions are the optional arguments of KaimingUniform_ and KaimingNormal_.
type KaimingOptions struct {
	A            float64          // the negative slope of the leaky ReLU that follows
	FanOut       bool             // keep the variance of gradients, not of values (mode="fan_out")
	Nonlinearity Nonlinearity     // default LeakyReLU
	Generator    *torch.Generator // default: the device's default generator
}

// KaimingUniform_ draws uniformly so that the variance stays after a rectifier, as He has it
// (torch.nn.init.kaiming_uniform_). It panics if t has fewer than 2 dimensions.
func KaimingUniform_(t *torch.Tensor, opts ...KaimingOptions) *torch.Tensor {
	o := one("nninit.KaimingUniform_", opts)
	if t.Numel() == 0 {
		return t
	}
	bound := math.Sqrt(3) * o.std(t)
	return Uniform_(t, -bound, bound, Options{o.Generator})
}

// KaimingNormal_ draws normally so that the variance stays after a rectifier, as He has it
// (torch.nn.init.kaiming_normal_). It panics if t has fewer than 2 dimensions.
func KaimingNormal_(t *torch.Tensor, opts ...KaimingOptions) *torch.Tensor {
	o := one("nninit.KaimingNormal_", opts)
	if t.Numel() == 0 {
		return t
	}
	return Normal_(t, 0, o.std(t), Options{o.Generator})
}

func (o KaimingOptions) std(t *torch.Tensor) float64 {
	fan, out := Fans(t)
	if o.FanOut {
		fan = out
	}
	return CalculateGain(o.Nonlinearity, o.A) / math.Sqrt(float64(fan))
}

// Orthogonal_ makes a matrix, the dimensions after the first counted as one, that is orthogonal but for the gain, by
// default 1 (torch.nn.init.orthogonal_). It panics if t has fewer than 2 dimensions.
func Orthogonal_(t *torch.Tensor, opts ...XavierOptions) *torch.Tensor {
	const operation = "nninit.Orthogonal_"
	o := one(operation, opts)
	if t.Dim() < 2 {
		torch.Fail(operation, "want a tensor of at least 2 dimensions, got %v", t.Shape())
	}
	if t.Numel() == 0 {
		return t
	}
	rows := t.Size(0)
	cols := t.Numel() / rows
	gain := 1.0
	if o.Gain != nil {
		gain = *o.Gain
	}
	return fill(t, func() {
		flat := aten.Normal_(torch.Options{DType: t.DType(), Device: t.Device()}.Empty(rows, cols), 0, 1, o.Generator)
		if rows < cols {
			flat = aten.T(flat)
		}
		q, r := aten.LinalgQr(flat, "reduced")
		q = aten.MulTensor_(q, aten.Sign(aten.Diag(r, 0)))
		if rows < cols {
			q = aten.T(q)
		}
		aten.Copy_(aten.View(t, q.Shape()), q, false)
		aten.MulScalar_(t, torch.Number(gain))
	})
}

// Sparse_ draws a matrix normally with deviation std, of which the given share of each column, from 0 to 1, is zero
// (torch.nn.init.sparse_; PyTorch's default for std is 0.01). It panics unless t has 2 dimensions.
func Sparse_(t *torch.Tensor, sparsity, std float64, opts ...Options) *torch.Tensor {
	shape := t.Shape()
	if len(shape) != 2 {
		torch.Fail("nninit.Sparse_", "want a tensor of 2 dimensions, got %v", shape)
	}
	zeros := int(math.Ceil(sparsity * float64(shape[0])))
	return fill(t, func() {
		aten.Normal_(t, 0, std, generator("nninit.Sparse_", opts))
		for col := range shape[1] {
			rows := aten.Narrow(torch.RandPerm(shape[0]), 0, 0, zeros)
			if d := t.Device(); d != torch.CPU {
				rows = aten.ToDevice(rows, d, torch.Int64, false, false, 0)
			}
			aten.IndexFillIntScalar_(aten.SelectInt(t, 1, col), 0, rows, torch.Int(0))
		}
	})
}

// fill runs f without autograd, in a scope of its own, and returns t.
func fill(t *torch.Tensor, f func()) *torch.Tensor {
	torch.Scope(func() { torch.NoGrad(f) })
	return t
}

func generator(operation string, opts []Options) *torch.Generator {
	return one(operation, opts).Generator
}

// one returns the only element of a trailing options parameter, or the zero value.
func one[T any](operation string, opts []T) T { return options.Must(operation, opts, torch.Fail) }
