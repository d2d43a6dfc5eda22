package nn

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// Train puts a model and all modules beneath it into training mode (torch.nn.Module.train), as they are when made.
func Train(m Module) { setMode("nn.Train", m, false) }

// Eval puts a model and all modules beneath it into evaluation mode (torch.nn.Module.eval): Dropout does nothing, batch
// normalisation uses its running statistics, and no Forward writes in its module.
func Eval(m Module) { setMode("nn.Eval", m, true) }

func setMode(operation string, m Module, eval bool) {
	tree(operation, m).each(func(n *node) bool {
		for _, b := range n.bases {
			b.eval = eval
		}
		return true
	})
}

// Apply calls f with every module of a model, children before the module that holds them, as for setting initial values
// (torch.nn.Module.apply). A shared module comes once for each place it is in.
func Apply(m Module, f func(Module)) {
	if f == nil {
		torch.Fail("nn.Apply", "the function is nil")
	}
	var visit func(n *node)
	visit = func(n *node) {
		for _, c := range n.children {
			visit(c)
		}
		if n.module != nil {
			f(n.module)
		}
	}
	visit(tree("nn.Apply", m))
}

// RequiresGrad says whether autograd records what happens to a model's parameters, as it does from the start
// (torch.nn.Module.requires_grad_). RequiresGrad(m, false) freezes a model.
func RequiresGrad(m Module, on bool) {
	for _, p := range Parameters(m) {
		p.RequiresGrad_(on)
	}
}

// ZeroGradOptions are ZeroGrad's optional arguments.
type ZeroGradOptions struct {
	// KeepMemory writes zeros into the gradients instead of removing them (set_to_none=False).
	KeepMemory bool
}

// ZeroGrad removes the gradients of a model's parameters (torch.nn.Module.zero_grad).
func ZeroGrad(m Module, opts ...ZeroGradOptions) {
	o := one("nn.ZeroGrad", opts)
	params := tensorsOf(Parameters(m))
	if !o.KeepMemory {
		torch.ClearGrads(params)
		return
	}
	torch.NoGrad(func() {
		for _, g := range torch.Grads(params) {
			if g != nil {
				aten.Zero_(g)
			}
		}
	})
}

// To moves a model's parameters and buffers to a device, or converts the floating and complex ones of them to a type
// (torch.nn.Module.to): nn.To(net, torch.CUDA(0)), nn.To(net, torch.BFloat16), nn.To(net, device, dtype). The
// Parameters stay the same tensors, with other memory, so that optimizers made before go on training them. Gradients go
// along.
func To(m Module, targets ...torch.Target) {
	root := tree("nn.To", m)
	seen := map[*torch.Tensor]bool{}
	root.each(func(n *node) bool {
		for _, list := range [][]entry{n.params, n.buffers} {
			for _, e := range list {
				if !seen[e.tensor] {
					seen[e.tensor] = true
					move(e.tensor, targets)
				}
			}
		}
		return true
	})
}

// move gives t other memory; what is made on the way belongs to no scope.
func move(t *torch.Tensor, targets []torch.Target) {
	torch.NoScope(func() {
		torch.NoGrad(func() {
			grad := t.Grad()
			if moved := aten.Detach(t).To(movable(t, targets)...); !moved.SameStorage(t) {
				t.SetData(moved)
			}
			if grad != nil {
				if moved := aten.Detach(grad).To(movable(grad, targets)...); !moved.SameStorage(grad) {
					t.SetGrad(moved)
				}
			}
		})
	})
}

// movable leaves types out where they don't apply: integers stay integers.
func movable(t *torch.Tensor, targets []torch.Target) []torch.Target {
	d := t.DType()
	if d.IsFloating() || d.IsComplex() {
		return targets
	}
	var out []torch.Target
	for _, x := range targets {
		if _, ok := x.(torch.DType); !ok {
			out = append(out, x)
		}
	}
	return out
}
