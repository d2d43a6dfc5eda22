package shard

import (
	"math"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	"github.com/golite/golite/torch/nn"
)

// GradNorm returns the norm of the gradients of all parameters together, over all ranks, as a tensor without dimensions
// (torch.nn.utils.get_total_norm). It changes nothing; nn.ClipGradsWithNorm_ clips by it. Gradients of parameters that were
// not cut count as this rank has them. All ranks call it with the same parameters.
func (e *Engine) GradNorm(params []nn.Parameter, normType float64) *torch.Tensor {
	return torch.ScopeOf(func() *torch.Tensor {
		return torch.NoGradOf(func() *torch.Tensor { return e.norm(params, normType) })
	})
}

func (e *Engine) norm(params []nn.Parameter, normType float64) *torch.Tensor {
	tensors := make([]*torch.Tensor, len(params))
	for i, p := range params {
		tensors[i] = p.Tensor
	}
	var cut, other []*torch.Tensor // the norms of each
	for i, g := range torch.Grads(tensors) {
		switch {
		case g == nil:
		case e.owner[tensors[i]] == nil:
			other = append(other, partNorm(g, normType))
		default:
			cut = append(cut, partNorm(g, normType))
		}
	}
	device := torch.CPU
	if len(e.modules) > 0 && len(e.modules[0].params) > 0 {
		device = e.modules[0].params[0].raw.Device()
	}
	norms := other
	for i, n := range norms {
		norms[i] = n.To(device)
	}
	if len(cut) > 0 {
		for i, n := range cut {
			cut[i] = n.To(device, torch.Float32)
		}
		all := torch.Stack(cut, 0)
		if e.g.Size() > 1 {
			all = e.allNorms(all, normType)
		}
		norms = append(aten.UnbindInt(all, 0), norms...)
	}
	if len(norms) == 0 {
		return torch.Zeros()
	}
	return aten.LinalgVectorNorm(aten.Stack(norms, 0), torch.Float(normType), nil, false, 0)
}

// allNorms makes norms of rows those of whole gradients.
func (e *Engine) allNorms(norms *torch.Tensor, normType float64) *torch.Tensor {
	switch {
	case math.IsInf(normType, 1):
		return e.g.AllReduce(norms, dist.Max)
	case math.IsInf(normType, -1):
		return e.g.AllReduce(norms, dist.Min)
	case normType == 0: // counts
		return e.g.AllReduce(norms, dist.Sum)
	}
	return e.g.AllReduce(norms.Pow(normType), dist.Sum).Pow(1 / normType)
}

// partNorm is the norm of one gradient; of no rows it is what changes no other.
func partNorm(g *torch.Tensor, normType float64) *torch.Tensor {
	if g.Numel() == 0 {
		v := 0.0
		if normType < 0 {
			v = math.Inf(1)
		}
		return torch.Options{Device: g.Device()}.Full(v)
	}
	return aten.LinalgVectorNorm(g, torch.Float(normType), nil, false, 0)
}
