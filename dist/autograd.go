package dist

import "github.com/golite/golite/torch"

// AllGatherGrad is AllGather with gradients: the gradient of t is the sum, over all ranks, of the gradients of t's
// copies (torch.distributed.nn.functional.all_gather). All ranks must run backward.
func (g *Group) AllGatherGrad(t *torch.Tensor) []*torch.Tensor {
	f := &torch.Function{
		Name: "dist.AllGatherGrad",
		Forward: func(_ *torch.FunctionCtx, in []*torch.Tensor) []*torch.Tensor {
			return g.AllGather(in[0])
		},
		Backward: func(_ *torch.FunctionCtx, grads []*torch.Tensor) []*torch.Tensor {
			out := torch.EmptyLike(grads[g.rank]).Contiguous()
			return []*torch.Tensor{g.ReduceScatter(out, grads, Sum)}
		},
	}
	return f.Apply(t)
}

// AllReduceGrad is AllReduce with gradients: it returns a new tensor, and the gradient of t is the combination of the
// ranks' gradients (torch.distributed.nn.functional.all_reduce). op is Sum or Mean.
func (g *Group) AllReduceGrad(t *torch.Tensor, op Op) *torch.Tensor {
	if op != Sum && op != Mean {
		torch.Fail("dist.AllReduceGrad", "want Sum or Mean, got %v", op)
	}
	reduce := func(_ *torch.FunctionCtx, in []*torch.Tensor) []*torch.Tensor {
		return []*torch.Tensor{g.AllReduce(in[0].Clone().Contiguous(), op)}
	}
	f := &torch.Function{Name: "dist.AllReduceGrad", Forward: reduce, Backward: reduce}
	return f.Apply(t)[0]
}
