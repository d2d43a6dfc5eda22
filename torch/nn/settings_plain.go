package nn

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/golite/golite/internal/text"
	"github.com/golite/golite/torch"
	F "github.com/golite/golite/torch/nn/functional"
)

// The settings of activations, pooling, padding, dropout and shapes.

func (a *ReLU) extraRepr() string  { return inplace(a.Inplace) }
func (a *ReLU6) extraRepr() string { return inplace(a.Inplace) }
func (a *SELU) extraRepr() string  { return inplace(a.Inplace) }
func (a *SiLU) extraRepr() string  { return inplace(a.Inplace) }
func (a *Mish) extraRepr() string  { return inplace(a.Inplace) }

func (a *GELU) extraRepr() string {
	if a.Options.Tanh {
		return "approximate='tanh'"
	}
	return "approximate='none'"
}

func (a *GLU) extraRepr() string { return "dim=" + strconv.Itoa(a.Dim) }

func (a *Hardtanh) extraRepr() string {
	return withInplace("min_val="+text.Float(or(a.Options.Min, -1))+", max_val="+text.Float(or(a.Options.Max, 1)),
		a.Inplace)
}

func (a *Softplus) extraRepr() string {
	return "beta=" + text.Float(or(a.Options.Beta, 1)) + ", threshold=" + text.Float(or(a.Options.Threshold, 20))
}

func (a *Threshold) extraRepr() string {
	return withInplace("threshold="+text.Float(a.Threshold)+", value="+text.Float(a.Value), a.Inplace)
}

func (a *RReLU) extraRepr() string {
	return withInplace("lower="+text.Float(or(a.Options.Lower, 1.0/8))+", upper="+text.Float(or(a.Options.Upper,
		1.0/3)), a.Inplace)
}

func (a *PReLU) extraRepr() string { return fmt.Sprintf("num_parameters=%d", a.Weight.Numel()) }

func (a *Softmax) extraRepr() string    { return "dim=" + strconv.Itoa(a.Dim) }
func (a *Softmin) extraRepr() string    { return "dim=" + strconv.Itoa(a.Dim) }
func (a *LogSoftmax) extraRepr() string { return "dim=" + strconv.Itoa(a.Dim) }

func (a *LeakyReLU) extraRepr() string {
	return withInplace("negative_slope="+text.Float(a.NegativeSlope), a.Inplace)
}

func (a *ELU) extraRepr() string        { return withInplace("alpha="+text.Float(a.Alpha), a.Inplace) }
func (a *CELU) extraRepr() string       { return withInplace("alpha="+text.Float(a.Alpha), a.Inplace) }
func (a *Hardshrink) extraRepr() string { return text.Float(a.Lambda) }
func (a *Softshrink) extraRepr() string { return text.Float(a.Lambda) }

func (d *drop) extraRepr() string { return "p=" + text.Float(d.p) + ", inplace=False" }

func maxPoolSettings(kernel []int, o MaxPoolOptions) string {
	return fmt.Sprintf("kernel_size=%s, stride=%s, padding=%s, dilation=%s, ceil_mode=%s", size(kernel),
		setting(o.Stride, o.Strides, size(kernel)),
		setting(o.Padding, o.Paddings, "0"), setting(o.Dilation, o.Dilations, "1"), text.Bool(o.CeilMode))
}

func (p *MaxPool1d) extraRepr() string { return maxPoolSettings(p.kernel, p.options) }
func (p *MaxPool2d) extraRepr() string { return maxPoolSettings(p.kernel, p.options) }
func (p *MaxPool3d) extraRepr() string { return maxPoolSettings(p.kernel, p.options) }

// tuples writes a pooling's settings where Python keeps each as a tuple of n.
func tuples(n int, kernel []int, stride int, strides []int, padding int, paddings []int) string {
	const operation = "nn.Base.Format"
	k := F.Sizes(operation, "the window", n, kernel)
	if stride == 0 && strides == nil {
		strides = k
	}
	return fmt.Sprintf("kernel_size=%s, stride=%s, padding=%s", tuple(k), tuple(F.EachOf(operation, "Stride", n,
		stride, strides, 1)),
		tuple(F.EachOf(operation, "Padding", n, padding, paddings, 0)))
}

func avgPoolSettings(kernel []int, o AvgPoolOptions) string {
	return fmt.Sprintf("kernel_size=%s, stride=%s, padding=%s", size(kernel), setting(o.Stride, o.Strides,
		size(kernel)), setting(o.Padding, o.Paddings, "0"))
}

func (p *AvgPool1d) extraRepr() string {
	o := p.options
	return tuples(1, p.kernel, o.Stride, o.Strides, o.Padding, o.Paddings)
}
func (p *AvgPool2d) extraRepr() string { return avgPoolSettings(p.kernel, p.options) }
func (p *AvgPool3d) extraRepr() string { return avgPoolSettings(p.kernel, p.options) }

func unpoolSettings(n int, kernel []int, o MaxUnpoolOptions) string {
	return tuples(n, kernel, o.Stride, o.Strides, o.Padding, o.Paddings)
}

func (p *MaxUnpool1d) extraRepr() string { return unpoolSettings(1, p.kernel, p.options) }
func (p *MaxUnpool2d) extraRepr() string { return unpoolSettings(2, p.kernel, p.options) }
func (p *MaxUnpool3d) extraRepr() string { return unpoolSettings(3, p.kernel, p.options) }

func lpPoolSettings(p float64, kernel []int, o LPPoolOptions) string {
	return fmt.Sprintf("norm_type=%s, kernel_size=%s, stride=%s, ceil_mode=%s", text.Float(p), size(kernel),
		setting(o.Stride, o.Strides, "None"), text.Bool(o.CeilMode))
}

func (p *LPPool1d) extraRepr() string { return lpPoolSettings(p.p, p.kernel, p.options) }
func (p *LPPool2d) extraRepr() string { return lpPoolSettings(p.p, p.kernel, p.options) }
func (p *LPPool3d) extraRepr() string { return lpPoolSettings(p.p, p.kernel, p.options) }

// outputSize writes the size of an adaptive pooling's result, where Keep is None.
func outputSize(n []int) string {
	return "output_size=" + strings.ReplaceAll(size(n), strconv.Itoa(Keep), "None")
}

func (p *AdaptiveAvgPool1d) extraRepr() string { return outputSize(p.size) }
func (p *AdaptiveAvgPool2d) extraRepr() string { return outputSize(p.size) }
func (p *AdaptiveAvgPool3d) extraRepr() string { return outputSize(p.size) }
func (p *AdaptiveMaxPool1d) extraRepr() string { return outputSize(p.size) }
func (p *AdaptiveMaxPool2d) extraRepr() string { return outputSize(p.size) }
func (p *AdaptiveMaxPool3d) extraRepr() string { return outputSize(p.size) }

func (p *pads) extraRepr() string { return tuple(p.padding) }

func (p *pads) constant() string {
	return "padding=" + tuple(p.padding) + ", value=" + text.Float(p.options.Value)
}

func (p *ConstantPad1d) extraRepr() string { return p.constant() }
func (p *ConstantPad2d) extraRepr() string { return p.constant() }
func (p *ConstantPad3d) extraRepr() string { return p.constant() }

func (f *Flatten) extraRepr() string {
	return fmt.Sprintf("start_dim=%d, end_dim=%d", f.StartDim, f.EndDim)
}

func (u *Unflatten) extraRepr() string {
	return fmt.Sprintf("dim=%d, unflattened_size=%s", u.Dim, tuple(u.Sizes))
}

func (p *PixelShuffle) extraRepr() string   { return "upscale_factor=" + strconv.Itoa(p.r) }
func (p *PixelUnshuffle) extraRepr() string { return "downscale_factor=" + strconv.Itoa(p.r) }
func (c *ChannelShuffle) extraRepr() string { return "groups=" + strconv.Itoa(c.groups) }

func foldSettings(kernel []int, o FoldOptions) string {
	return fmt.Sprintf("kernel_size=%s, dilation=%s, padding=%s, stride=%s", size(kernel), setting(o.Dilation,
		o.Dilations, "1"),
		setting(o.Padding, o.Paddings, "0"), setting(o.Stride, o.Strides, "1"))
}

func (u *Unfold) extraRepr() string { return foldSettings(u.kernel, u.options) }
func (f *Fold) extraRepr() string {
	return "output_size=" + size(f.size) + ", " + foldSettings(f.kernel, f.options)
}

func (u *Upsample) reprName() string { return u.name }

func (u *Upsample) extraRepr() string {
	o := u.options
	mode := ", mode='" + o.Mode.String() + "'"
	switch {
	case o.Size != nil:
		return "size=" + size(o.Size) + mode
	case len(o.Scale) == 1:
		return "scale_factor=" + text.Float(o.Scale[0]) + mode
	}
	s := ""
	for i, v := range o.Scale {
		if i > 0 {
			s += ", "
		}
		s += text.Float(v)
	}
	return "scale_factor=(" + s + ")" + mode
}

func paramEntries(members []member) []entry {
	list := make([]entry, 0, len(members))
	for _, m := range members {
		if p := m.value.(Parameter); p.Tensor != nil {
			list = append(list, entry{key: m.key, tensor: p.Tensor})
		}
	}
	return list
}

// typeName is torch.typename of a tensor.
func typeName(t *torch.Tensor) string {
	name := map[torch.DType]string{torch.Float32: "Float", torch.Float64: "Double", torch.Float16: "Half",
		torch.BFloat16: "BFloat16",
		torch.Int64:    "Long", torch.Int32: "Int", torch.Int16: "Short", torch.Int8: "Char", torch.UInt8: "Byte",
		torch.Bool:      "Bool",
		torch.Complex64: "ComplexFloat", torch.Complex128: "ComplexDouble"}[t.DType()]
	if t.Device().Type == torch.CUDAType {
		return "torch.cuda." + name + "Tensor"
	}
	return "torch." + name + "Tensor"
}

func gpu(t *torch.Tensor) string {
	if d := t.Device(); d.Type == torch.CUDAType {
		return fmt.Sprintf(" (GPU %d)", d.Index)
	}
	return ""
}
