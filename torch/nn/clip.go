package nn

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// ClipGradOptions are ClipGradNorm_'s optional arguments.
type ClipGradOptions struct {
	NormType         *float64 // default 2; math.Inf(1) is the greatest absolute value
	ErrorIfNonfinite bool     // panic if the norm is infinite or NaN; it waits for the device
}

// ClipGradNorm_ scales the gradients of all parameters, in place, so that their norm together is at most maxNorm, and
// returns the norm before (torch.nn.utils.clip_grad_norm_). It takes a few calls of libtorch, whatever the number of
// parameters; nothing waits for the device.
func ClipGradNorm_(params []Parameter, maxNorm float64, opts ...ClipGradOptions) *torch.Tensor {
	o := one("nn.ClipGradNorm_", opts)
	return torch.ScopeOf(func() *torch.Tensor {
		return torch.NoGradOf(func() *torch.Tensor {
			groups := denseGradients("nn.ClipGradNorm_", params)
			total := totalNorm(groups, or(o.NormType, 2))
			if o.ErrorIfNonfinite && !aten.Isfinite(total).Number().Bool() {
				torch.Fail("nn.ClipGradNorm_", "the norm of the gradients is %s", total.Number())
			}
			clipByNorm(groups, maxNorm, total)
			return total
		})
	})
}

// ClipGradsWithNorm_ is ClipGradNorm_ with a norm that the program has computed, a tensor without dimensions
// (torch.nn.utils.clip_grads_with_norm_): of gradients of which ranks hold parts, say.
func ClipGradsWithNorm_(params []Parameter, maxNorm float64, total *torch.Tensor) {
	if total == nil || total.Dim() != 0 {
		torch.Fail("nn.ClipGradsWithNorm_", "want the norm as a tensor without dimensions")
	}
	torch.Scope(func() {
		torch.NoGrad(func() { clipByNorm(denseGradients("nn.ClipGradsWithNorm_", params), maxNorm, total) })
	})
}

func clipByNorm(groups []*gradGroup, maxNorm float64, total *torch.Tensor) {
	coefficient := aten.MulScalar(aten.Reciprocal(aten.AddScalar(total, torch.Float(1e-6), torch.Int(1))),
		torch.Float(maxNorm))
	most := torch.Float(1)
	coefficient = aten.Clamp(coefficient, nil, &most)
	for _, g := range groups {
		aten.ForeachMulTensor_(g.tensors, aten.ToDevice(coefficient, g.device, coefficient.DType(), false, false, 0))
	}
}

// ClipGradValue_ clamps every gradient to [-value, value], in place (torch.nn.utils.clip_grad_value_).
func ClipGradValue_(params []Parameter, value float64) {
	torch.Scope(func() {
		torch.NoGrad(func() {
			for _, g := range denseGradients("nn.ClipGradValue_", params) {
				aten.ForeachClampMinScalar_(g.tensors, torch.Float(-value))
				aten.ForeachClampMaxScalar_(g.tensors, torch.Float(value))
			}
		})
	})
}

// gradGroup is the gradients of one type on one device.
type gradGroup struct {
	device  torch.Device
	dtype   torch.DType
	tensors []*torch.Tensor
}

// denseGradients groups the gradients that there are. It panics for a sparse one, as neither the norm nor the clamping
// of sparse tensors is among libtorch's operators.
func denseGradients(operation string, params []Parameter) []*gradGroup {
	var groups []*gradGroup
next:
	for _, g := range torch.Grads(tensorsOf(params)) {
		if g == nil {
			continue
		}
		if g.Layout() != torch.Strided {
			torch.Fail(operation, "a gradient of shape %v is %s, of which libtorch has no norm and no clamping: "+
				"make it dense (Sparse: false of nn.Embedding), or leave the parameter out", g.Shape(), g.Layout())
		}
		device, dtype := g.Device(), g.DType()
		for _, group := range groups {
			if group.device == device && group.dtype == dtype {
				group.tensors = append(group.tensors, g)
				continue next
			}
		}
		groups = append(groups, &gradGroup{device, dtype, []*torch.Tensor{g}})
	}
	return groups
}

// totalNorm is the norm of the gradients' norms, on the first one's device.
func totalNorm(groups []*gradGroup, p float64) *torch.Tensor {
	var norms []*torch.Tensor
	for _, g := range groups {
		for _, n := range aten.ForeachNormScalar(g.tensors, torch.Float(p), 0) {
			norms = append(norms, aten.ToDevice(n, groups[0].device, n.DType(), false, false, 0))
		}
	}
	if norms == nil {
		return torch.Zeros()
	}
	return aten.LinalgVectorNorm(aten.Stack(norms, 0), torch.Float(p), nil, false, 0)
}

// ParametersToVector joins all parameters, flattened, in one tensor (torch.nn.utils.parameters_to_vector). Autograd
// leads back to them.
func ParametersToVector(params []Parameter) *torch.Tensor {
	flat := make([]*torch.Tensor, len(params))
	for i, p := range params {
		flat[i] = aten.Reshape(p.Tensor, []int{-1})
	}
	return aten.Cat(flat, 0)
}

// VectorToParameters makes the parameters share a tensor's memory, in order (torch.nn.utils.vector_to_parameters). It
// panics if the tensor has another number of elements than they.
func VectorToParameters(v *torch.Tensor, params []Parameter) {
	total := 0
	for _, p := range params {
		total += p.Numel()
	}
	if v.Dim() != 1 || v.Numel() != total {
		torch.Fail("nn.VectorToParameters", "want a tensor [%d], got %v", total, v.Shape())
	}
	at := 0
	for _, p := range params {
		n := p.Numel()
		torch.NoScope(func() {
			torch.NoGrad(func() { p.SetData(aten.View(aten.Narrow(aten.Detach(v), 0, at, n), p.Shape())) })
		})
		at += n
	}
}
