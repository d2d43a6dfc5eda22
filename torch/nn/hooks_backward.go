package nn

import "github.com/golite/golite/torch"

// backwardCall is one call of a module with backward hooks: an identity node before it and one after it, whose backward
// passes run the hooks.
type backwardCall struct {
	m     Module
	hooks hooks

	n        int  // inputs
	recorded bool // one of them has a gradient
	grads    []*torch.Tensor
}

// inputs puts the node before the module.
func (c *backwardCall) inputs(in []*torch.Tensor) []*torch.Tensor {
	c.n = len(in)
	var out []*torch.Tensor
	out, c.recorded = identity(in, true, func(grads []*torch.Tensor) []*torch.Tensor {
		if c.grads == nil {
			return grads // no output had a gradient
		}
		defer c.release()
		for _, h := range c.hooks {
			if h.backward != nil {
				grads = replaced("full backward hook", "gradients of inputs", grads, h.backward(c.m, grads, c.grads))
			}
		}
		return grads
	})
	return out
}

// outputs puts the node after it.
func (c *backwardCall) outputs(out []*torch.Tensor) []*torch.Tensor {
	out, _ = identity(out, false, func(grads []*torch.Tensor) []*torch.Tensor {
		for _, h := range c.hooks {
			if h.backwardPre != nil {
				grads = replaced("full backward pre hook", "gradients of outputs", grads, h.backwardPre(c.m, grads))
			}
		}
		if c.recorded {
			c.keep(grads)
			return grads
		}
		for _, h := range c.hooks {
			if h.backward == nil {
				continue
			}
			for _, g := range replaced("full backward hook", "gradients of inputs", make([]*torch.Tensor, c.n),
				h.backward(c.m, make([]*torch.Tensor, c.n), grads)) {
				if g != nil {
					torch.Fail("nn.Module", "a full backward hook of a module whose inputs require no gradient must return nil for "+
						"each")
				}
			}
		}
		return grads
	})
	return out
}

// keep keeps the gradients of the outputs until those of the inputs are there: this call's scope ends before.
func (c *backwardCall) keep(grads []*torch.Tensor) {
	c.release()
	c.grads = make([]*torch.Tensor, len(grads))
	for i, g := range grads {
		if g != nil {
			c.grads[i] = torch.ABI{}.Wrap(torch.ABI{}.Alias("nn.Module", g), int64(g.StorageBytes()), 0)
		}
	}
}

func (c *backwardCall) release() {
	for _, g := range c.grads {
		g.Release()
	}
	c.grads = nil
}

// identity gives back its tensors by a node whose backward pass is f's. recorded reports whether there is one: where no
// tensor requires a gradient, or none is recorded, there is not.
func identity(list []*torch.Tensor, materialize bool,
	f func(grads []*torch.Tensor) []*torch.Tensor) (out []*torch.Tensor, recorded bool) {
	var there []*torch.Tensor
	var at []int
	for i, t := range list {
		if t != nil {
			there, at = append(there, t), append(at, i)
			recorded = recorded || t.RequiresGrad()
		}
	}
	if !recorded || !torch.GradEnabled() {
		return list, false
	}
	n := len(list) // what the node holds is not to hold the tensors
	node := &torch.Function{
		Name: "nn.BackwardHook",
		Forward: func(c *torch.FunctionCtx, in []*torch.Tensor) []*torch.Tensor {
			c.SetMaterializeGrads(materialize)
			for _, t := range in {
				if !t.RequiresGrad() {
					c.MarkNonDifferentiable(t)
				}
			}
			return in
		},
		Backward: func(_ *torch.FunctionCtx, grads []*torch.Tensor) []*torch.Tensor {
			all := make([]*torch.Tensor, n)
			for k, i := range at {
				all[i] = grads[k]
			}
			all = f(all)
			back := make([]*torch.Tensor, len(at))
			for k, i := range at {
				back[k] = all[i]
			}
			return back
		},
	}
	out = make([]*torch.Tensor, len(list))
	for k, t := range node.Apply(there...) {
		out[at[k]] = t
	}
	return out, true
}
