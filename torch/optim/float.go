package optim

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// pow is C's pow, which Python computes bias corrections with: Go's differs from it in the last bit now and then.
// libtorch's logspace calls it.
func pow(base, exponent float64) (p float64) {
	torch.Scope(func() {
		e := torch.Float(exponent)
		p = aten.Logspace(e, e, 1, base, torch.Float64, 0, torch.Device{}, nil).Item()
	})
	return p
}

// fusedFlag is the value of a group's "fused" in a state dict: true, or None as in Python where it was not asked for.
func fusedFlag(g *ParamGroup) any {
	if g.Fused {
		return true
	}
	return nil
}
