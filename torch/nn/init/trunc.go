package nninit

import (
	"math"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// TruncNormalOptions are TruncNormal_'s optional arguments.
type TruncNormalOptions struct {
	Mean      float64          // default 0
	Std       *float64         // default 1
	A, B      *float64         // the bounds of what is drawn; default -2 and 2
	Generator *torch.Generator // default: the device's default generator
}

// TruncNormal_ draws from the normal distribution cut off at the bounds (torch.nn.init.trunc_normal_).
func TruncNormal_(t *torch.Tensor, opts ...TruncNormalOptions) *torch.Tensor {
	o := one("nninit.TruncNormal_", opts)
	std, a, b := or(o.Std, 1), or(o.A, -2), or(o.B, 2)
	low, high := normalCDF((a-o.Mean)/std), normalCDF((b-o.Mean)/std)
	return fill(t, func() {
		aten.Uniform_(t, 2*low-1, 2*high-1, o.Generator)
		aten.Erfinv_(t)
		aten.MulScalar_(t, torch.Float(std*math.Sqrt(2)))
		aten.AddScalar_(t, torch.Number(o.Mean), torch.Int(1))
		least, most := torch.Number(a), torch.Number(b)
		aten.Clamp_(t, &least, &most)
	})
}

func normalCDF(x float64) float64 { return (1 + math.Erf(x/math.Sqrt(2))) / 2 }

func or(p *float64, def float64) float64 {
	if p == nil {
		return def
	}
	return *p
}
