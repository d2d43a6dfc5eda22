package metrics

import (
	"math"

	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/torch"
	F "github.com/golite/golite/torch/nn/functional"
)

// PSNROptions are the settings of NewPSNR.
type PSNROptions struct {
	// Base is that of the logarithm, 10 by default.
	Base float64
}

// NewPSNR is the peak signal-to-noise ratio of images whose values span dataRange (torchmetrics.image.PeakSignalNoiseRatio).
func NewPSNR(dataRange float64, opts ...PSNROptions) *Regression {
	const op = "metrics.NewPSNR"
	o := options.Must(op, opts, torch.Fail)
	if o.Base == 0 {
		o.Base = 10
	}
	if !(dataRange > 0) || !(o.Base > 0) || o.Base == 1 {
		torch.Fail(op, "dataRange %g and Base %g; want a range above 0, 1 or 255 say, and a base above 0 other than 1", dataRange, o.Base)
	}
	m := &Regression{base: base{op: op}}
	m.fields = []field{{name: "sum_squared_error"}, {name: "total"}}
	m.value = func(s []*torch.Tensor) *torch.Tensor {
		on := torch.Options{Device: s[0].Device(), DType: torch.Float32}
		v := on.Scalar(dataRange).Log().MulScalar(2).Sub(s[0].Div(s[1]).Log())
		return v.Mul(on.Scalar(o.Base).Log().RdivScalar(10))
	}
	m.batch = func(op string, preds, target *torch.Tensor) []*torch.Tensor {
		float := func(t *torch.Tensor) *torch.Tensor {
			if t.DType().IsFloating() {
				return t
			}
			return t.To(torch.Float32)
		}
		return []*torch.Tensor{float(preds).Sub(float(target)).Pow(2).Sum(), count(target, target.Numel())}
	}
	return m
}

// SSIMOptions are the settings of NewSSIM.
type SSIMOptions struct {
	// Sigma is the standard deviation of the Gaussian window, 1.5 by default. Its size follows from it.
	Sigma float64
	// Uniform takes a uniform window of KernelSize in place of the Gaussian one.
	Uniform bool
	// KernelSize is the size of a uniform window, an odd number, 11 by default.
	KernelSize int
	// DataRange is what the images' values span; by default the range of each batch.
	DataRange float64
	// K1 and K2 are constants against division by zero, 0.01 and 0.03 by default.
	K1, K2 float64
}

func (o SSIMOptions) filled(op string) SSIMOptions {
	set := func(v *float64, d float64) {
		if *v == 0 {
			*v = d
		}
	}
	set(&o.Sigma, 1.5)
	set(&o.K1, 0.01)
	set(&o.K2, 0.03)
	if o.KernelSize == 0 {
		o.KernelSize = 11
	}
	if o.KernelSize < 1 || o.KernelSize%2 == 0 || !(o.Sigma > 0) || !(o.DataRange >= 0) {
		torch.Fail(op, "KernelSize %d, Sigma %g and DataRange %g; want an odd size, and a deviation and a range above 0", o.KernelSize, o.Sigma, o.DataRange)
	}
	return o
}

// NewSSIM is the mean structural similarity of images [N, C, H, W] (torchmetrics.image.StructuralSimilarityIndexMeasure).
func NewSSIM(opts ...SSIMOptions) *Regression {
	const op = "metrics.NewSSIM"
	o := options.Must(op, opts, torch.Fail).filled(op)
	m := &Regression{base: base{op: op}}
	m.fields = []field{{name: "similarity"}, {name: "total"}}
	m.value = func(s []*torch.Tensor) *torch.Tensor { return s[0].Div(s[1]) }
	m.batch = func(op string, preds, target *torch.Tensor) []*torch.Tensor {
		if preds.Dim() != 4 || !preds.DType().IsFloating() {
			torch.Fail(op, "preds are %s%v; want floats [N, C, H, W]", preds.DType(), preds.Shape())
		}
		size := o.KernelSize
		if !o.Uniform {
			size = 2*int(3.5*o.Sigma+0.5) + 1
		}
		if pad := (size - 1) / 2; preds.Size(2) <= pad || preds.Size(3) <= pad {
			torch.Fail(op, "images %v are too small for a window of %d; want %d or more on each side, or another Sigma or KernelSize",
				preds.Shape(), size, pad+1)
		}
		return []*torch.Tensor{ssim(preds, target.To(preds.DType()), o, size).Sum(), count(preds, preds.Size(0))}
	}
	return m
}

// ssim returns each image's similarity.
func ssim(p, t *torch.Tensor, o SSIMOptions, size int) *torch.Tensor {
	on := torch.Options{Device: p.Device(), DType: p.DType()}
	plus := func(x *torch.Tensor, k float64) *torch.Tensor { return x.AddScalar(math.Pow(k*o.DataRange, 2)) }
	if o.DataRange == 0 {
		span := p.Max().Sub(p.Min()).Maximum(t.Max().Sub(t.Min()))
		plus = func(x *torch.Tensor, k float64) *torch.Tensor { return x.Add(span.MulScalar(k).Pow(2)) }
	}
	channels := p.Size(1)
	var kernel *torch.Tensor
	if o.Uniform {
		kernel = on.Ones(channels, 1, size, size).DivScalar(float64(size * size))
	} else {
		d := on.Arange(float64(1-size)/2, float64(1+size)/2)
		g := d.DivScalar(o.Sigma).Pow(2).Neg().DivScalar(2).Exp()
		g = g.Div(g.Sum()).Unsqueeze(0)
		kernel = g.T().MatMul(g).Expand(channels, 1, size, size)
	}
	pad := (size - 1) / 2
	p = F.Pad(p, []int{pad, pad, pad, pad}, F.PadOptions{Mode: F.PadReflect})
	t = F.Pad(t, []int{pad, pad, pad, pad}, F.PadOptions{Mode: F.PadReflect})
	all := torch.Cat([]*torch.Tensor{p, t, p.Mul(p), t.Mul(t), p.Mul(t)}, 0)
	out := F.Conv2d(all, kernel, nil, F.ConvOptions{Groups: channels}).Split(p.Size(0), 0)
	pp, tt, pt := out[0].Pow(2), out[1].Pow(2), out[0].Mul(out[1])
	above := plus(out[4].Sub(pt).MulScalar(2), o.K2)
	below := plus(out[2].Sub(pp).ClampMin(0).Add(out[3].Sub(tt).ClampMin(0)), o.K2)
	image := plus(pt.MulScalar(2), o.K1).Mul(above).Div(plus(pp.Add(tt), o.K1).Mul(below))
	return image.Reshape(image.Size(0), -1).Mean(-1)
}
