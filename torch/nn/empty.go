package nn

import "github.com/golite/golite/torch"

// ToEmpty gives a model's parameters and buffers memory on a device without copying anything: their values are whatever
// it held (torch.nn.Module.to_empty). It is for models that were built on the meta device, before their state is
// loaded. The Parameters stay the ones that optimizers know.
func ToEmpty(m Module, device torch.Device) {
	root := tree("nn.ToEmpty", m)
	seen := map[*torch.Tensor]bool{}
	root.each(func(n *node) bool {
		for _, list := range [][]entry{n.params, n.buffers} {
			for _, e := range list {
				if !seen[e.tensor] {
					seen[e.tensor] = true
					torch.NoScope(func() {
						fresh := torch.NoGradOf(func() *torch.Tensor { return torch.EmptyLike(e.tensor, torch.Options{Device: device}) })
						fresh.RequiresGrad_(e.tensor.RequiresGrad())
						torch.ABI{}.Replace(e.tensor, fresh)
					})
				}
			}
		}
		return true
	})
}

// OnMeta reports whether some parameter or buffer of a model is on the meta device, and has no memory.
func OnMeta(m Module) bool {
	meta := false
	tree("nn.OnMeta", m).each(func(n *node) bool {
		for _, list := range [][]entry{n.params, n.buffers} {
			for _, e := range list {
				meta = meta || e.tensor.Device() == torch.Meta
			}
		}
		return true
	})
	return meta
}
