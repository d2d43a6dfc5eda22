package nn

import (
	"fmt"
	"strings"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	F "github.com/golite/golite/torch/nn/functional"
)

// LayerNormOptions are NewLayerNorm's optional arguments.
type LayerNormOptions struct {
	Eps      *float64     // added to the variance; default 1e-5
	NoAffine bool         // no weight and bias (elementwise_affine=False)
	NoBias   bool         // a weight, but no bias
	DType    torch.DType  // of the parameters; default: the default floating type
	Device   torch.Device // of the parameters; default: the CPU
}

// LayerNorm normalises over the last dimensions (torch.nn.LayerNorm). Keys: weight, bias, of the normalised shape.
type LayerNorm struct {
	Base
	Weight Parameter
	Bias   Parameter
	shape  []int
	eps    float64
}

// NewLayerNorm makes a layer that normalises over the last dimension, of that size, or over the last ones, of those
// sizes: NewLayerNorm(64), NewLayerNorm([]int{3, 4}) (torch.nn.LayerNorm). It panics if there is no size.
func NewLayerNorm[S int | []int](shape S, opts ...LayerNormOptions) *LayerNorm {
	o := one("nn.NewLayerNorm", opts)
	l := &LayerNorm{shape: normalizedShape("nn.NewLayerNorm", shape), eps: or(o.Eps, 1e-5)}
	f := factory{o.DType, o.Device}
	if !o.NoAffine {
		l.Weight = f.ones(l.shape...)
		if !o.NoBias {
			l.Bias = f.zeros(l.shape...)
		}
	}
	return l
}

// ResetParameters makes the weight 1 and the bias 0 (LayerNorm.reset_parameters).
func (l *LayerNorm) ResetParameters() { resetAffine(l.Weight, l.Bias) }

// Forward takes x [*, shape...] and returns the same shape.
func (l *LayerNorm) Forward(x *torch.Tensor) *torch.Tensor {
	return l.withHooks(l, x, func(x *torch.Tensor) *torch.Tensor {
		return F.LayerNorm(x, l.shape, F.NormOptions{Weight: l.Weight.Tensor, Bias: l.Bias.Tensor, Eps: &l.eps})
	})
}

// RMSNormOptions are NewRMSNorm's optional arguments.
type RMSNormOptions struct {
	Eps      *float64     // added to the mean square; default: the smallest step of the input's type at 1
	NoAffine bool         // no weight (elementwise_affine=False)
	DType    torch.DType  // of the parameters; default: the default floating type
	Device   torch.Device // of the parameters; default: the CPU
}

// RMSNorm divides by the root of the mean square over the last dimensions (torch.nn.RMSNorm). Key: weight, of the
// normalised shape.
type RMSNorm struct {
	Base
	Weight Parameter
	shape  []int
	eps    *float64
}

// NewRMSNorm makes a layer that normalises over the last dimension, of that size, or over the last ones, of those sizes
// (torch.nn.RMSNorm). It panics if there is no size.
func NewRMSNorm[S int | []int](shape S, opts ...RMSNormOptions) *RMSNorm {
	o := one("nn.NewRMSNorm", opts)
	l := &RMSNorm{shape: normalizedShape("nn.NewRMSNorm", shape), eps: o.Eps}
	if !o.NoAffine {
		l.Weight = factory{o.DType, o.Device}.ones(l.shape...)
	}
	return l
}

// ResetParameters makes the weight 1 (RMSNorm.reset_parameters).
func (l *RMSNorm) ResetParameters() { resetAffine(l.Weight, Parameter{}) }

// Forward takes x [*, shape...] and returns the same shape.
func (l *RMSNorm) Forward(x *torch.Tensor) *torch.Tensor {
	return l.withHooks(l, x, func(x *torch.Tensor) *torch.Tensor {
		return F.RMSNorm(x, l.shape, F.RMSNormOptions{Weight: l.Weight.Tensor, Eps: l.eps})
	})
}

// GroupNormOptions are NewGroupNorm's optional arguments.
type GroupNormOptions struct {
	Eps      *float64     // added to the variance; default 1e-5
	NoAffine bool         // no weight and bias (affine=False)
	DType    torch.DType  // of the parameters; default: the default floating type
	Device   torch.Device // of the parameters; default: the CPU
}

// GroupNorm normalises groups of channels in each sample (torch.nn.GroupNorm). Keys: weight, bias [channels].
type GroupNorm struct {
	Base
	Weight   Parameter
	Bias     Parameter
	groups   int
	channels int
	eps      float64
}

// NewGroupNorm makes a layer that divides channels into groups, with weight 1 and bias 0 (torch.nn.GroupNorm). It
// panics if that leaves a remainder.
func NewGroupNorm(groups, channels int, opts ...GroupNormOptions) *GroupNorm {
	const operation = "nn.NewGroupNorm"
	o := one(operation, opts)
	positive(operation, "the number of groups", groups)
	if channels%groups != 0 {
		torch.Fail(operation, "%d channels can't be divided into %d groups", channels, groups)
	}
	g := &GroupNorm{groups: groups, channels: channels, eps: or(o.Eps, 1e-5)}
	f := factory{o.DType, o.Device}
	if !o.NoAffine {
		g.Weight, g.Bias = f.ones(channels), f.zeros(channels)
	}
	return g
}

// ResetParameters makes the weight 1 and the bias 0 (GroupNorm.reset_parameters).
func (g *GroupNorm) ResetParameters() { resetAffine(g.Weight, g.Bias) }

// Forward takes x [N, channels, ...] and returns the same shape.
func (g *GroupNorm) Forward(x *torch.Tensor) *torch.Tensor {
	return g.withHooks(g, x, func(x *torch.Tensor) *torch.Tensor {
		return F.GroupNorm(x, g.groups, F.NormOptions{Weight: g.Weight.Tensor, Bias: g.Bias.Tensor, Eps: &g.eps})
	})
}

func normalizedShape[S int | []int](operation string, shape S) []int {
	var out []int
	switch s := any(shape).(type) {
	case int:
		out = []int{s}
	case []int:
		out = append(out, s...)
	}
	if len(out) == 0 {
		torch.Fail(operation, "the shape to normalise over is empty")
	}
	for _, n := range out {
		positive(operation, "a normalised dimension", n)
	}
	return out
}

func resetAffine(weight, bias Parameter) {
	torch.NoGrad(func() {
		if weight.Tensor != nil {
			aten.FillScalar_(weight.Tensor, torch.Int(1))
		}
		if bias.Tensor != nil {
			aten.Zero_(bias.Tensor)
		}
	})
}

// listed spells numbers out: "2", "2 or 3".
func listed(n []int) string {
	parts := make([]string, len(n))
	for i, v := range n {
		parts[i] = fmt.Sprint(v)
	}
	return strings.Join(parts, " or ")
}
