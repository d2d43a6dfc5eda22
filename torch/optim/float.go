package optim

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// pow is C's pow, which Python computes with: Go's differs from it in the last bit now and then. libtorch's logspace
// calls it.
func pow(base, exponent float64) (p float64) {
	if exponent == 1 {
		return base
	}
	torch.Scope(func() {
		e := torch.Float(exponent)
		p = aten.Logspace(e, e, 1, base, torch.Float64, 0, torch.Device{}, nil).Item()
	})
	return p
}

// cos is C's cos, which libtorch's polar calls.
func cos(x float64) (c float64) {
	torch.NoGrad(func() {
		torch.Scope(func() {
			angle := torch.Options{DType: torch.Float64}.Scalar(x)
			one := torch.Options{DType: torch.Float64}.Scalar(1)
			c = aten.Real(aten.Polar(one, angle)).Item()
		})
	})
	return c
}

// counter makes the tensor that counts steps: on the CPU, where reading it is cheap, but for fused kernels.
func counter(g *ParamGroup, p *torch.Tensor) *torch.Tensor {
	o := torch.Options{DType: torch.Float32}
	if g.Fused {
		o.Device = p.Device()
	}
	return o.Zeros()
}

// fusedFlag is the value of a group's "fused" in a state dict: true, or None as in Python where it is not set.
func fusedFlag(g *ParamGroup) any {
	if g.Fused {
		return true
	}
	return nil
}

// scale multiplies tensors of one type by a number, in place. libtorch's foreach kernel rounds the number to 16 bits
// for tensors of 16 bits, which PyTorch's loop doesn't; given as a tensor of 64 bits it stays what it is.
func scale(list []*torch.Tensor, by float64) {
	if d := list[0].DType(); d == torch.Float16 || d == torch.BFloat16 {
		aten.ForeachMulTensor_(list, torch.Options{DType: torch.Float64}.Scalar(by))
		return
	}
	aten.ForeachMulScalar_(list, torch.Float(by))
}
