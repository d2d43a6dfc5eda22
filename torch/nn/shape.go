package nn

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	F "github.com/golite/golite/torch/nn/functional"
)

// Flatten makes one dimension of several (torch.nn.Flatten).
type Flatten struct {
	Base
	StartDim, EndDim int // the first and the last dimension that become one
}

// NewFlatten flattens all dimensions but the first, or those from dims[0] to dims[1], both included (torch.nn.Flatten).
// It panics if there are more than two.
func NewFlatten(dims ...int) *Flatten {
	f := &Flatten{StartDim: 1, EndDim: -1}
	if len(dims) > 2 {
		torch.Fail("nn.NewFlatten", "want at most a first and a last dimension, got %v", dims)
	}
	if len(dims) > 0 {
		f.StartDim = dims[0]
	}
	if len(dims) > 1 {
		f.EndDim = dims[1]
	}
	return f
}

// Forward takes x of any shape.
func (f *Flatten) Forward(x *torch.Tensor) *torch.Tensor {
	return f.withHooks(f, x, func(x *torch.Tensor) *torch.Tensor {
		return aten.FlattenUsingInts(x, f.StartDim, f.EndDim)
	})
}

// Unflatten makes several dimensions of one (torch.nn.Unflatten).
type Unflatten struct {
	Base
	Dim   int   // the dimension that is taken apart
	Sizes []int // what it becomes; one may be -1, for what remains
}

// NewUnflatten makes dimension dim have the given sizes, one of which may be -1 (torch.nn.Unflatten). It panics if
// there are none.
func NewUnflatten(dim int, sizes ...int) *Unflatten {
	if len(sizes) == 0 {
		torch.Fail("nn.NewUnflatten", "want the sizes that dimension %d is to have", dim)
	}
	return &Unflatten{Dim: dim, Sizes: sizes}
}

// Forward takes x, whose dimension Dim is the product of the sizes.
func (u *Unflatten) Forward(x *torch.Tensor) *torch.Tensor {
	return u.withHooks(u, x, func(x *torch.Tensor) *torch.Tensor { return aten.UnflattenInt(x, u.Dim, u.Sizes) })
}

// PixelShuffle rearranges [*, C·r², H, W] to [*, C, H·r, W·r] (torch.nn.PixelShuffle).
type PixelShuffle struct {
	Base
	r int
}

// NewPixelShuffle makes images r times as large (torch.nn.PixelShuffle).
func NewPixelShuffle(r int) *PixelShuffle {
	positive("nn.NewPixelShuffle", "the factor", r)
	return &PixelShuffle{r: r}
}

// Forward takes x [*, C·r², H, W].
func (p *PixelShuffle) Forward(x *torch.Tensor) *torch.Tensor {
	return p.withHooks(p, x, func(x *torch.Tensor) *torch.Tensor { return F.PixelShuffle(x, p.r) })
}

// PixelUnshuffle rearranges [*, C, H·r, W·r] to [*, C·r², H, W] (torch.nn.PixelUnshuffle).
type PixelUnshuffle struct {
	Base
	r int
}

// NewPixelUnshuffle makes images r times smaller (torch.nn.PixelUnshuffle).
func NewPixelUnshuffle(r int) *PixelUnshuffle {
	positive("nn.NewPixelUnshuffle", "the factor", r)
	return &PixelUnshuffle{r: r}
}

// Forward takes x [*, C, H·r, W·r].
func (p *PixelUnshuffle) Forward(x *torch.Tensor) *torch.Tensor {
	return p.withHooks(p, x, func(x *torch.Tensor) *torch.Tensor { return F.PixelUnshuffle(x, p.r) })
}

// ChannelShuffle divides channels into groups and interleaves them (torch.nn.ChannelShuffle).
type ChannelShuffle struct {
	Base
	groups int
}

// NewChannelShuffle shuffles groups of channels (torch.nn.ChannelShuffle).
func NewChannelShuffle(groups int) *ChannelShuffle {
	positive("nn.NewChannelShuffle", "the number of groups", groups)
	return &ChannelShuffle{groups: groups}
}

// Forward takes x [N, C, ...].
func (c *ChannelShuffle) Forward(x *torch.Tensor) *torch.Tensor {
	return c.withHooks(c, x, func(x *torch.Tensor) *torch.Tensor { return F.ChannelShuffle(x, c.groups) })
}

// FoldOptions are the optional arguments of NewFold and NewUnfold.
type FoldOptions = F.FoldOptions

// Unfold cuts windows out of images (torch.nn.Unfold).
type Unfold struct {
	Base
	kernel  []int
	options FoldOptions
}

// NewUnfold cuts windows of the given size, one step apart unless Stride is set (torch.nn.Unfold). It panics if
// the size is below 1.
func NewUnfold[K Size](kernel K, opts ...FoldOptions) *Unfold {
	return &Unfold{kernel: window("nn.NewUnfold", 2, kernel), options: one("nn.NewUnfold", opts)}
}

// Forward takes x [N, C, H, W] and returns [N, C·KH·KW, L].
func (u *Unfold) Forward(x *torch.Tensor) *torch.Tensor {
	return u.withHooks(u, x, func(x *torch.Tensor) *torch.Tensor { return F.Unfold(x, u.kernel, u.options) })
}

// Fold adds windows up to images (torch.nn.Fold).
type Fold struct {
	Base
	size, kernel []int
	options      FoldOptions
}

// NewFold makes images of the given size from windows of the given size (torch.nn.Fold). It panics if the windows' size
// is below 1.
func NewFold[S, K Size](size S, kernel K, opts ...FoldOptions) *Fold {
	return &Fold{size: given("nn.NewFold", "the output's size", 2, size), kernel: window("nn.NewFold", 2, kernel),
		options: one("nn.NewFold", opts)}
}

// Forward takes x [N, C·KH·KW, L] and returns [N, C, H, W].
func (f *Fold) Forward(x *torch.Tensor) *torch.Tensor {
	return f.withHooks(f, x, func(x *torch.Tensor) *torch.Tensor { return F.Fold(x, f.size, f.kernel, f.options) })
}

// CosineSimilarity is x1·x2 / (|x1|·|x2|) along a dimension (torch.nn.CosineSimilarity).
type CosineSimilarity struct {
	Base
	options F.CosineSimilarityOptions
}

// NewCosineSimilarity makes the measure, along dimension 1 by default (torch.nn.CosineSimilarity).
func NewCosineSimilarity(opts ...F.CosineSimilarityOptions) *CosineSimilarity {
	return &CosineSimilarity{options: one("nn.NewCosineSimilarity", opts)}
}

// Forward takes two tensors that are broadcast to one shape.
func (c *CosineSimilarity) Forward(x1, x2 *torch.Tensor) *torch.Tensor {
	return c.withHooks2(c, x1, x2, func(x1, x2 *torch.Tensor) *torch.Tensor {
		return F.CosineSimilarity(x1, x2, c.options)
	})
}

// PairwiseDistance is the norm of x1-x2 along the last dimension (torch.nn.PairwiseDistance).
type PairwiseDistance struct {
	Base
	options F.PairwiseDistanceOptions
}

// NewPairwiseDistance makes the measure, with the 2-norm by default (torch.nn.PairwiseDistance).
func NewPairwiseDistance(opts ...F.PairwiseDistanceOptions) *PairwiseDistance {
	return &PairwiseDistance{options: one("nn.NewPairwiseDistance", opts)}
}

// Forward takes two tensors [N, D] or [D].
func (p *PairwiseDistance) Forward(x1, x2 *torch.Tensor) *torch.Tensor {
	return p.withHooks2(p, x1, x2, func(x1, x2 *torch.Tensor) *torch.Tensor {
		return F.PairwiseDistance(x1, x2, p.options)
	})
}

// UpsampleOptions are F.Interpolate's: Size or Scale is needed.
type UpsampleOptions = F.InterpolateOptions

// Upsample makes images larger or smaller (torch.nn.Upsample).
type Upsample struct {
	Base
	options UpsampleOptions
	name    string // that of the class in Python
}

// NewUpsample makes the layer (torch.nn.Upsample). It panics unless one of Size and Scale is given.
//
//	nn.NewUpsample(nn.UpsampleOptions{Scale: []float64{2}, Mode: F.Bilinear2d})
func NewUpsample(opts UpsampleOptions) *Upsample {
	if (opts.Size == nil) == (opts.Scale == nil) {
		torch.Fail("nn.NewUpsample", "want one of Size and Scale")
	}
	return &Upsample{options: opts}
}

// NewUpsamplingNearest2d makes an Upsample that repeats pixels (torch.nn.UpsamplingNearest2d).
func NewUpsamplingNearest2d(opts UpsampleOptions) *Upsample {
	opts.Mode, opts.AlignCorners = F.Nearest, false
	u := NewUpsample(opts)
	u.name = "UpsamplingNearest2d"
	return u
}

// NewUpsamplingBilinear2d makes an Upsample that interpolates with aligned corners (torch.nn.UpsamplingBilinear2d).
func NewUpsamplingBilinear2d(opts UpsampleOptions) *Upsample {
	opts.Mode, opts.AlignCorners = F.Bilinear2d, true
	u := NewUpsample(opts)
	u.name = "UpsamplingBilinear2d"
	return u
}

// Forward takes x [N, C, ...] with 1 to 3 spatial dimensions.
func (u *Upsample) Forward(x *torch.Tensor) *torch.Tensor {
	return u.withHooks(u, x, func(x *torch.Tensor) *torch.Tensor { return F.Interpolate(x, u.options) })
}
