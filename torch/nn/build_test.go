package nn

import (
	"encoding/base64"

	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	F "github.com/golite/golite/torch/nn/functional"
)

// arguments are a Python constructor's; what is read is crossed off, so that none is passed over in silence.
type arguments struct {
	pos   []any
	kw    map[string]any
	dtype torch.DType
}

// take gives argument at, or of that name; nil if there is none.
func (a *arguments) take(at int, name string) any {
	if at >= 0 && at < len(a.pos) {
		v := a.pos[at]
		a.pos[at] = taken{}
		return v
	}
	v := a.kw[name]
	delete(a.kw, name)
	return v
}

type taken struct{}

func (a *arguments) done(t *testing.T, module string) {
	for i, v := range a.pos {
		require.Equal(t, taken{}, v, "%s: argument %d was not used", module, i)
	}
	require.Empty(t, a.kw, "%s: arguments were not used", module)
}

func (a *arguments) integer(at int, name string, def int) int {
	if v := a.take(at, name); v != nil {
		return int(number(v))
	}
	return def
}

func (a *arguments) integerPtr(at int, name string) *int {
	if v := a.take(at, name); v != nil {
		return new(int(number(v)))
	}
	return nil
}

func (a *arguments) float(at int, name string, def float64) float64 {
	if v := a.take(at, name); v != nil {
		return number(v)
	}
	return def
}

func (a *arguments) floatPtr(at int, name string) *float64 {
	if v := a.take(at, name); v != nil {
		return new(number(v))
	}
	return nil
}

func (a *arguments) floats(at int) []float64 {
	if at < len(a.pos) {
		return []float64{a.float(at, "", 0)}
	}
	return nil
}

func (a *arguments) flag(name string, def bool) bool {
	if v := a.take(-1, name); v != nil {
		return v.(bool)
	}
	return def
}

func (a *arguments) text(at int, name, def string) string {
	if v := a.take(at, name); v != nil {
		return v.(string)
	}
	return def
}

// ints reads a number or a list; None inside a list is Keep.
func (a *arguments) ints(at int, name string) []int {
	v := a.take(at, name)
	if v == nil {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		return []int{int(number(v))}
	}
	var out []int
	for _, e := range list {
		if e == nil {
			out = append(out, Keep)
		} else {
			out = append(out, int(number(e)))
		}
	}
	return out
}

func (a *arguments) floatList(name string) []float64 {
	v := a.take(-1, name)
	if v == nil {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		return []float64{number(v)}
	}
	var out []float64
	for _, e := range list {
		out = append(out, number(e))
	}
	return out
}

func (a *arguments) tensor(name string) *torch.Tensor {
	v := a.take(-1, name)
	if v == nil {
		return nil
	}
	e := v.(map[string]any)["tensor"].(map[string]any)
	d, err := torch.ParseDType(e["dtype"].(string))
	if err != nil {
		panic(err)
	}
	data, err := base64.StdEncoding.DecodeString(e["data"].(string))
	if err != nil {
		panic(err)
	}
	var shape []int
	for _, s := range e["shape"].([]any) {
		shape = append(shape, int(number(s)))
	}
	return torch.FromBytes(data, d, shape...)
}

func (a *arguments) reduction() F.Reduction {
	name := a.text(-1, "reduction", "mean")
	r, ok := map[string]F.Reduction{"mean": F.Mean, "sum": F.Sum, "none": F.None, "batchmean": F.BatchMean}[name]
	if !ok {
		panic("unknown reduction " + name)
	}
	return r
}

// build makes the Go twin of a Python constructor's call, and what calls its Forward.
func build(t *testing.T, module string, pos []any, kw map[string]any, dtype string) (Module,
	func(*inputs) []*torch.Tensor) {
	a := &arguments{pos: pos, kw: kw}
	if name := dtype; name != "" && name != "float32" {
		d, err := torch.ParseDType(name)
		require.NoError(t, err)
		a.dtype = d
	}
	if name := a.text(-1, "dtype", ""); name != "" {
		d, err := torch.ParseDType(name)
		require.NoError(t, err)
		a.dtype = d
	}
	indices := a.flag("return_indices", false)
	b, ok := builders[module]
	require.True(t, ok, "no twin for nn.%s", module)
	m := b(a)
	a.done(t, module)
	if indices {
		f := m.(interface {
			ForwardWithIndices(*torch.Tensor) (*torch.Tensor, *torch.Tensor)
		})
		return m, func(in *inputs) []*torch.Tensor {
			out, at := f.ForwardWithIndices(in.list[0])
			return []*torch.Tensor{out, at}
		}
	}
	return m, func(in *inputs) []*torch.Tensor { return forward(m, in) }
}

// forwards are the calls with keyword arguments.
var forwards = map[string]func(Module, *inputs) []*torch.Tensor{
	"bagCaller": func(m Module, in *inputs) []*torch.Tensor {
		o := BagInput{Offsets: in.list[1], PerSampleWeights: in.call["per_sample_weights"].(*torch.Tensor)}
		return []*torch.Tensor{m.(*bagCaller).EmbeddingBag.Forward(in.list[0], o)}
	},
	"MultiheadAttention": func(m Module, in *inputs) []*torch.Tensor {
		o := AttentionInput{}
		for k, v := range in.call {
			switch k {
			case "need_weights":
				o.NoWeights = !v.(bool)
			case "average_attn_weights":
				o.WeightsPerHead = !v.(bool)
			case "attn_mask":
				o.AttnMask = v.(*torch.Tensor)
			case "key_padding_mask":
				o.KeyPaddingMask = v.(*torch.Tensor)
			default:
				panic(k)
			}
		}
		out, w := m.(*MultiheadAttention).Forward(in.list[0], in.list[1], in.list[2], o)
		if w == nil {
			return []*torch.Tensor{out}
		}
		return []*torch.Tensor{out, w}
	},
	"TransformerEncoderLayer": func(m Module, in *inputs) []*torch.Tensor {
		o := EncoderInput{Mask: in.call["src_mask"].(*torch.Tensor), Causal: new(in.call["is_causal"].(bool))}
		return []*torch.Tensor{m.(*TransformerEncoderLayer).Forward(in.list[0], o)}
	},
	"TransformerDecoderLayer": func(m Module, in *inputs) []*torch.Tensor {
		o := DecoderInput{TgtMask: in.call["tgt_mask"].(*torch.Tensor)}
		return []*torch.Tensor{m.(*TransformerDecoderLayer).Forward(in.list[0], in.list[1], o)}
	},
}

func convArgs(a *arguments) (in, out int, kernel []int, o ConvOptions) {
	in, out, kernel = a.integer(0, "in", 0), a.integer(1, "out", 0), a.ints(2, "kernel")
	o = ConvOptions{Strides: a.ints(3, "stride"), Dilations: a.ints(-1, "dilation"), Groups: a.integer(-1, "groups", 0),
		NoBias: !a.flag("bias", true), DType: a.dtype}
	switch p := a.kw["padding"].(type) {
	case string:
		delete(a.kw, "padding")
		o.PaddingSame = p == "same"
	default:
		o.Paddings = a.ints(-1, "padding")
	}
	mode := a.text(-1, "padding_mode", "zeros")
	for _, m := range []F.PadMode{F.PadReflect, F.PadReplicate, F.PadCircular} {
		if m.String() == mode {
			o.PaddingMode = m
		}
	}
	return in, out, kernel, o
}

func transposeArgs(a *arguments) (in, out int, kernel []int, o ConvTransposeOptions) {
	in, out, kernel = a.integer(0, "in", 0), a.integer(1, "out", 0), a.ints(2, "kernel")
	return in, out, kernel, ConvTransposeOptions{Strides: a.ints(-1, "stride"), Paddings: a.ints(-1, "padding"),
		OutputPaddings: a.ints(-1, "output_padding"), Dilations: a.ints(-1, "dilation"), Groups: a.integer(-1, "groups", 0),
		NoBias: !a.flag("bias", true), DType: a.dtype}
}

func bnArgs(a *arguments) (int, BatchNormOptions) {
	n := a.integer(0, "num_features", 0)
	o := BatchNormOptions{Eps: a.floatPtr(-1, "eps"), NoAffine: !a.flag("affine", true),
		NoRunningStats: !a.flag("track_running_stats", true), DType: a.dtype}
	if v, ok := a.kw["momentum"]; ok && v == nil {
		o.Cumulative = true
	}
	o.Momentum = a.floatPtr(-1, "momentum")
	return n, o
}

func inArgs(a *arguments) (int, InstanceNormOptions) {
	return a.integer(0, "num_features", 0), InstanceNormOptions{Affine: a.flag("affine", false),
		RunningStats: a.flag("track_running_stats", false)}
}

func rnnArgs(a *arguments) (int, int, RNNOptions) {
	return a.integer(0, "", 0), a.integer(1, "", 0), RNNOptions{NumLayers: a.integer(-1, "num_layers", 0),
		ReLU:   a.text(-1, "nonlinearity", "tanh") == "relu",
		NoBias: !a.flag("bias", true), BatchFirst: a.flag("batch_first", false), Dropout: a.float(-1, "dropout", 0),
		Bidirectional: a.flag("bidirectional", false), ProjSize: a.integer(-1, "proj_size", 0)}
}

func cellArgs(a *arguments) (int, int, RNNCellOptions) {
	return a.integer(0, "", 0), a.integer(1, "", 0), RNNCellOptions{NoBias: !a.flag("bias", true),
		ReLU: a.text(-1, "nonlinearity", "tanh") == "relu"}
}

func transformerArgs(a *arguments) (int, int, TransformerOptions) {
	return a.integer(0, "d_model", 512), a.integer(1, "nhead", 8),
		TransformerOptions{EncoderLayers: a.integerPtr(-1, "num_encoder_layers"),
			DecoderLayers: a.integerPtr(-1, "num_decoder_layers"), DimFeedforward: a.integer(-1, "dim_feedforward", 0),
			Dropout: a.floatPtr(-1, "dropout"),
			GELU:    a.text(-1, "activation", "relu") == "gelu", BatchFirst: a.flag("batch_first", false),
			NormFirst: a.flag("norm_first", false), NoBias: !a.flag("bias", true)}
}

// builders are the Go twins of Python's constructors.
var builders = map[string]func(*arguments) Module{
	"Linear": func(a *arguments) Module {
		return NewLinear(a.integer(0, "", 0), a.integer(1, "", 0), LinearOptions{NoBias: !a.flag("bias", true),
			DType: a.dtype})
	},
	"Bilinear": func(a *arguments) Module {
		return NewBilinear(a.integer(0, "", 0), a.integer(1, "", 0), a.integer(2, "", 0),
			LinearOptions{NoBias: !a.flag("bias", true)})
	},
	"Identity": func(*arguments) Module { return NewIdentity() },
	"Embedding": func(a *arguments) Module {
		return NewEmbedding(a.integer(0, "", 0), a.integer(1, "", 0),
			EmbeddingOptions{PaddingIdx: a.integerPtr(-1, "padding_idx"), MaxNorm: a.floatPtr(-1, "max_norm"),
				NormType: a.floatPtr(-1, "norm_type"), ScaleGradByFreq: a.flag("scale_grad_by_freq", false),
				Sparse: a.flag("sparse", false)})
	},
	"EmbeddingBag": func(a *arguments) Module {
		mode := map[string]F.BagMode{"mean": F.BagMean, "sum": F.BagSum, "max": F.BagMax}[a.text(-1, "mode", "mean")]
		return &bagCaller{NewEmbeddingBag(a.integer(0, "", 0), a.integer(1, "", 0), EmbeddingBagOptions{Mode: mode,
			IncludeLastOffset: a.flag("include_last_offset", false), PaddingIdx: a.integerPtr(-1, "padding_idx")})}
	},
	"Conv1d": func(a *arguments) Module { in, out, k, o := convArgs(a); return NewConv1d(in, out, k, o) },
	"Conv2d": func(a *arguments) Module { in, out, k, o := convArgs(a); return NewConv2d(in, out, k, o) },
	"Conv3d": func(a *arguments) Module { in, out, k, o := convArgs(a); return NewConv3d(in, out, k, o) },
	"ConvTranspose1d": func(a *arguments) Module {
		in, out, k, o := transposeArgs(a)
		return NewConvTranspose1d(in, out, k, o)
	},
	"ConvTranspose2d": func(a *arguments) Module {
		in, out, k, o := transposeArgs(a)
		return NewConvTranspose2d(in, out, k, o)
	},
	"ConvTranspose3d": func(a *arguments) Module {
		in, out, k, o := transposeArgs(a)
		return NewConvTranspose3d(in, out, k, o)
	},
	"BatchNorm1d":    func(a *arguments) Module { n, o := bnArgs(a); return NewBatchNorm1d(n, o) },
	"BatchNorm2d":    func(a *arguments) Module { n, o := bnArgs(a); return NewBatchNorm2d(n, o) },
	"BatchNorm3d":    func(a *arguments) Module { n, o := bnArgs(a); return NewBatchNorm3d(n, o) },
	"InstanceNorm1d": func(a *arguments) Module { n, o := inArgs(a); return NewInstanceNorm1d(n, o) },
	"InstanceNorm2d": func(a *arguments) Module { n, o := inArgs(a); return NewInstanceNorm2d(n, o) },
	"InstanceNorm3d": func(a *arguments) Module { n, o := inArgs(a); return NewInstanceNorm3d(n, o) },
	"LayerNorm": func(a *arguments) Module {
		return NewLayerNorm(a.ints(0, ""), LayerNormOptions{Eps: a.floatPtr(-1, "eps"),
			NoAffine: !a.flag("elementwise_affine", true), NoBias: !a.flag("bias", true)})
	},
	"GroupNorm": func(a *arguments) Module {
		return NewGroupNorm(a.integer(0, "", 0), a.integer(1, "", 0), GroupNormOptions{Eps: a.floatPtr(-1, "eps"),
			NoAffine: !a.flag("affine", true)})
	},
	"RMSNorm": func(a *arguments) Module {
		return NewRMSNorm(a.ints(0, ""), RMSNormOptions{Eps: a.floatPtr(-1, "eps"), NoAffine: !a.flag("elementwise_affine",
			true)})
	},
	"LocalResponseNorm": func(a *arguments) Module {
		return NewLocalResponseNorm(a.integer(0, "", 0), LocalResponseNormOptions{Alpha: a.floatPtr(-1, "alpha"),
			Beta: a.floatPtr(-1, "beta"), K: a.floatPtr(-1, "k")})
	},
	"CrossMapLRN2d": func(a *arguments) Module { return NewCrossMapLRN2d(a.integer(0, "", 0)) },
	"RNN":           func(a *arguments) Module { in, h, o := rnnArgs(a); return NewRNN(in, h, o) },
	"LSTM":          func(a *arguments) Module { in, h, o := rnnArgs(a); return NewLSTM(in, h, o) },
	"GRU":           func(a *arguments) Module { in, h, o := rnnArgs(a); return NewGRU(in, h, o) },
	"RNNCell":       func(a *arguments) Module { in, h, o := cellArgs(a); return NewRNNCell(in, h, o) },
	"LSTMCell":      func(a *arguments) Module { in, h, o := cellArgs(a); return NewLSTMCell(in, h, o) },
	"GRUCell":       func(a *arguments) Module { in, h, o := cellArgs(a); return NewGRUCell(in, h, o) },
	"MultiheadAttention": func(a *arguments) Module {
		return NewMultiheadAttention(a.integer(0, "", 0), a.integer(1, "", 0),
			MultiheadAttentionOptions{Dropout: a.float(-1, "dropout", 0), NoBias: !a.flag("bias", true),
				AddBiasKV: a.flag("add_bias_kv", false), AddZeroAttn: a.flag("add_zero_attn", false),
				KDim: a.integer(-1, "kdim", 0),
				VDim: a.integer(-1, "vdim", 0), BatchFirst: a.flag("batch_first", false)})
	},
	"TransformerEncoderLayer": func(a *arguments) Module {
		d, h, o := transformerArgs(a)
		return NewTransformerEncoderLayer(d, h, o)
	},
	"TransformerDecoderLayer": func(a *arguments) Module {
		d, h, o := transformerArgs(a)
		return NewTransformerDecoderLayer(d, h, o)
	},
	"Transformer": func(a *arguments) Module { d, h, o := transformerArgs(a); return NewTransformer(d, h, o) },
}

// bagCaller takes the offsets as a second input, as Python's forward does.
type bagCaller struct{ *EmbeddingBag }

func (b *bagCaller) Forward(x *torch.Tensor, offsets ...*torch.Tensor) *torch.Tensor {
	if len(offsets) == 0 {
		return b.EmbeddingBag.Forward(x)
	}
	return b.EmbeddingBag.Forward(x, BagInput{Offsets: offsets[0]})
}
