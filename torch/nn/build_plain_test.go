package nn

import (
	"maps"

	F "github.com/golite/golite/torch/nn/functional"
)

func init() { maps.Copy(builders, plainBuilders) }

func maxPoolArgs(a *arguments) ([]int, MaxPoolOptions) {
	return a.ints(0, ""), MaxPoolOptions{Strides: a.ints(-1, "stride"), Paddings: a.ints(-1, "padding"),
		Dilations: a.ints(-1, "dilation"), CeilMode: a.flag("ceil_mode", false)}
}

func avgPoolArgs(a *arguments) ([]int, AvgPoolOptions) {
	return a.ints(0, ""), AvgPoolOptions{Strides: a.ints(-1, "stride"), Paddings: a.ints(-1, "padding"),
		CeilMode:   a.flag("ceil_mode", false),
		ExcludePad: !a.flag("count_include_pad", true), DivisorOverride: a.integer(-1, "divisor_override", 0)}
}

func lpArgs(a *arguments) (float64, []int, LPPoolOptions) {
	return a.float(0, "", 0), a.ints(1, ""), LPPoolOptions{Strides: a.ints(-1, "stride"),
		CeilMode: a.flag("ceil_mode", false)}
}

func fractionalArgs(a *arguments) ([]int, FractionalMaxPoolOptions) {
	return a.ints(0, ""), FractionalMaxPoolOptions{OutputSize: a.ints(-1, "output_size"),
		OutputRatio: a.floatList("output_ratio")}
}

func foldArgs(a *arguments) FoldOptions {
	return FoldOptions{Dilations: a.ints(-1, "dilation"), Paddings: a.ints(-1, "padding"), Strides: a.ints(-1, "stride")}
}

func upsampleArgs(a *arguments) UpsampleOptions {
	o := UpsampleOptions{Size: a.ints(-1, "size"), Scale: a.floatList("scale_factor"),
		AlignCorners:   a.flag("align_corners", false),
		RecomputeScale: a.flag("recompute_scale_factor", false)}
	name := a.text(-1, "mode", "nearest")
	for o.Mode.String() != name {
		if o.Mode++; o.Mode > F.NearestExact {
			panic("unknown mode " + name)
		}
	}
	return o
}

// plainBuilders are the twins of the modules without parameters, and PReLU.
var plainBuilders = map[string]func(*arguments) Module{
	"CELU": func(a *arguments) Module {
		c := NewCELU(a.float(-1, "alpha", 1))
		c.Inplace = a.flag("inplace", false)
		return c
	},
	"ELU": func(a *arguments) Module { return NewELU(a.float(-1, "alpha", 1)) },
	"GELU": func(a *arguments) Module {
		return NewGELU(GELUOptions{Tanh: a.text(-1, "approximate", "none") == "tanh"})
	},
	"Hardshrink": func(a *arguments) Module { return NewHardshrink(a.floats(0)...) },
	"Hardtanh": func(a *arguments) Module {
		return NewHardtanh(HardtanhOptions{Min: a.floatPtr(-1, "min_val"), Max: a.floatPtr(-1, "max_val")})
	},
	"Hardsigmoid": func(*arguments) Module { return NewHardsigmoid() },
	"Hardswish":   func(*arguments) Module { return NewHardswish() },
	"LeakyReLU":   func(a *arguments) Module { return NewLeakyReLU(a.floats(0)...) },
	"LogSigmoid":  func(*arguments) Module { return NewLogSigmoid() },
	"Mish":        func(*arguments) Module { return NewMish() },
	"PReLU": func(a *arguments) Module {
		return NewPReLU(PReLUOptions{NumParameters: a.integer(0, "", 0), Init: a.floatPtr(-1, "init")})
	},
	"ReLU":  func(*arguments) Module { return NewReLU() },
	"ReLU6": func(*arguments) Module { return NewReLU6() },
	"RReLU": func(a *arguments) Module {
		return NewRReLU(RReLUOptions{Lower: a.floatPtr(0, ""), Upper: a.floatPtr(1, "")})
	},
	"SELU":    func(*arguments) Module { return NewSELU() },
	"SiLU":    func(*arguments) Module { return NewSiLU() },
	"Sigmoid": func(*arguments) Module { return NewSigmoid() },
	"Softplus": func(a *arguments) Module {
		return NewSoftplus(SoftplusOptions{Beta: a.floatPtr(-1, "beta"), Threshold: a.floatPtr(-1, "threshold")})
	},
	"Softshrink": func(a *arguments) Module { return NewSoftshrink(a.floats(0)...) },
	"Softsign":   func(*arguments) Module { return NewSoftsign() },
	"Tanh":       func(*arguments) Module { return NewTanh() },
	"Tanhshrink": func(*arguments) Module { return NewTanhshrink() },
	"Threshold":  func(a *arguments) Module { return NewThreshold(a.float(0, "", 0), a.float(1, "", 0)) },
	"GLU":        func(a *arguments) Module { return NewGLU(a.integer(0, "", -1)) },
	"Softmax":    func(a *arguments) Module { return NewSoftmax(a.integer(0, "", 0)) },
	"Softmin":    func(a *arguments) Module { return NewSoftmin(a.integer(0, "", 0)) },
	"LogSoftmax": func(a *arguments) Module { return NewLogSoftmax(a.integer(0, "", 0)) },
	"Softmax2d":  func(*arguments) Module { return NewSoftmax2d() },

	"MaxPool1d":   func(a *arguments) Module { k, o := maxPoolArgs(a); return NewMaxPool1d(k, o) },
	"MaxPool2d":   func(a *arguments) Module { k, o := maxPoolArgs(a); return NewMaxPool2d(k, o) },
	"MaxPool3d":   func(a *arguments) Module { k, o := maxPoolArgs(a); return NewMaxPool3d(k, o) },
	"MaxUnpool1d": func(a *arguments) Module { return &unpoolCaller{one: NewMaxUnpool1d(a.ints(0, ""))} },
	"MaxUnpool2d": func(a *arguments) Module { return &unpoolCaller{two: NewMaxUnpool2d(a.ints(0, ""))} },
	"MaxUnpool3d": func(a *arguments) Module { return &unpoolCaller{three: NewMaxUnpool3d(a.ints(0, ""))} },
	"AvgPool1d":   func(a *arguments) Module { k, o := avgPoolArgs(a); return NewAvgPool1d(k, o) },
	"AvgPool2d":   func(a *arguments) Module { k, o := avgPoolArgs(a); return NewAvgPool2d(k, o) },
	"AvgPool3d":   func(a *arguments) Module { k, o := avgPoolArgs(a); return NewAvgPool3d(k, o) },
	"LPPool1d":    func(a *arguments) Module { p, k, o := lpArgs(a); return NewLPPool1d(p, k, o) },
	"LPPool2d":    func(a *arguments) Module { p, k, o := lpArgs(a); return NewLPPool2d(p, k, o) },
	"LPPool3d":    func(a *arguments) Module { p, k, o := lpArgs(a); return NewLPPool3d(p, k, o) },

	"AdaptiveMaxPool1d":   func(a *arguments) Module { return NewAdaptiveMaxPool1d(a.ints(0, "")) },
	"AdaptiveMaxPool2d":   func(a *arguments) Module { return NewAdaptiveMaxPool2d(a.ints(0, "")) },
	"AdaptiveMaxPool3d":   func(a *arguments) Module { return NewAdaptiveMaxPool3d(a.ints(0, "")) },
	"AdaptiveAvgPool1d":   func(a *arguments) Module { return NewAdaptiveAvgPool1d(a.ints(0, "")) },
	"AdaptiveAvgPool2d":   func(a *arguments) Module { return NewAdaptiveAvgPool2d(a.ints(0, "")) },
	"AdaptiveAvgPool3d":   func(a *arguments) Module { return NewAdaptiveAvgPool3d(a.ints(0, "")) },
	"FractionalMaxPool2d": func(a *arguments) Module { k, o := fractionalArgs(a); return NewFractionalMaxPool2d(k, o) },
	"FractionalMaxPool3d": func(a *arguments) Module { k, o := fractionalArgs(a); return NewFractionalMaxPool3d(k, o) },

	"ConstantPad1d":    func(a *arguments) Module { return NewConstantPad1d(padding(a, 1), a.float(1, "", 0)) },
	"ConstantPad2d":    func(a *arguments) Module { return NewConstantPad2d(padding(a, 2), a.float(1, "", 0)) },
	"ConstantPad3d":    func(a *arguments) Module { return NewConstantPad3d(padding(a, 3), a.float(1, "", 0)) },
	"ZeroPad1d":        func(a *arguments) Module { return NewZeroPad1d(padding(a, 1)) },
	"ZeroPad2d":        func(a *arguments) Module { return NewZeroPad2d(padding(a, 2)) },
	"ZeroPad3d":        func(a *arguments) Module { return NewZeroPad3d(padding(a, 3)) },
	"ReflectionPad1d":  func(a *arguments) Module { return NewReflectionPad1d(padding(a, 1)) },
	"ReflectionPad2d":  func(a *arguments) Module { return NewReflectionPad2d(padding(a, 2)) },
	"ReflectionPad3d":  func(a *arguments) Module { return NewReflectionPad3d(padding(a, 3)) },
	"ReplicationPad1d": func(a *arguments) Module { return NewReplicationPad1d(padding(a, 1)) },
	"ReplicationPad2d": func(a *arguments) Module { return NewReplicationPad2d(padding(a, 2)) },
	"ReplicationPad3d": func(a *arguments) Module { return NewReplicationPad3d(padding(a, 3)) },
	"CircularPad1d":    func(a *arguments) Module { return NewCircularPad1d(padding(a, 1)) },
	"CircularPad2d":    func(a *arguments) Module { return NewCircularPad2d(padding(a, 2)) },
	"CircularPad3d":    func(a *arguments) Module { return NewCircularPad3d(padding(a, 3)) },

	"Dropout":             func(a *arguments) Module { return NewDropout(a.floats(0)...) },
	"Dropout1d":           func(a *arguments) Module { return NewDropout1d(a.floats(0)...) },
	"Dropout2d":           func(a *arguments) Module { return NewDropout2d(a.floats(0)...) },
	"Dropout3d":           func(a *arguments) Module { return NewDropout3d(a.floats(0)...) },
	"AlphaDropout":        func(a *arguments) Module { return NewAlphaDropout(a.floats(0)...) },
	"FeatureAlphaDropout": func(a *arguments) Module { return NewFeatureAlphaDropout(a.floats(0)...) },

	"Flatten": func(a *arguments) Module {
		if len(a.pos) == 0 {
			return NewFlatten()
		}
		return NewFlatten(a.integer(0, "", 0), a.integer(1, "", 0))
	},
	"Unflatten":      func(a *arguments) Module { return NewUnflatten(a.integer(0, "", 0), a.ints(1, "")...) },
	"PixelShuffle":   func(a *arguments) Module { return NewPixelShuffle(a.integer(0, "", 0)) },
	"PixelUnshuffle": func(a *arguments) Module { return NewPixelUnshuffle(a.integer(0, "", 0)) },
	"ChannelShuffle": func(a *arguments) Module { return NewChannelShuffle(a.integer(0, "", 0)) },
	"Unfold":         func(a *arguments) Module { return NewUnfold(a.ints(0, ""), foldArgs(a)) },
	"Fold":           func(a *arguments) Module { return NewFold(a.ints(0, ""), a.ints(1, ""), foldArgs(a)) },
	"CosineSimilarity": func(a *arguments) Module {
		return NewCosineSimilarity(F.CosineSimilarityOptions{Dim: a.integerPtr(-1, "dim"), Eps: a.floatPtr(-1, "eps")})
	},
	"PairwiseDistance": func(a *arguments) Module {
		return NewPairwiseDistance(F.PairwiseDistanceOptions{P: a.floatPtr(0, ""), KeepDim: a.flag("keepdim", false)})
	},
	"Upsample":             func(a *arguments) Module { return NewUpsample(upsampleArgs(a)) },
	"UpsamplingNearest2d":  func(a *arguments) Module { return NewUpsamplingNearest2d(upsampleArgs(a)) },
	"UpsamplingBilinear2d": func(a *arguments) Module { return NewUpsamplingBilinear2d(upsampleArgs(a)) },
}

// padding gives Python's one number as Python does: for all sides.
func padding(a *arguments, dims int) []int {
	p := a.ints(0, "")
	if len(p) == 1 {
		for len(p) < 2*dims {
			p = append(p, p[0])
		}
	}
	return p
}
