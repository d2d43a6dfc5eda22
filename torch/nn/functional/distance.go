package functional

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// CosineSimilarityOptions are CosineSimilarity's optional arguments.
type CosineSimilarityOptions struct {
	Dim *int     // default 1
	Eps *float64 // the least divisor; default 1e-8
}

// CosineSimilarity is x1·x2 / (|x1|·|x2|) along a dimension (torch.nn.functional.cosine_similarity).
func CosineSimilarity(x1, x2 *torch.Tensor, opts ...CosineSimilarityOptions) *torch.Tensor {
	o := one("F.CosineSimilarity", opts)
	return aten.CosineSimilarity(x1, x2, or(o.Dim, 1), or(o.Eps, 1e-8))
}

// PairwiseDistanceOptions are PairwiseDistance's optional arguments.
type PairwiseDistanceOptions struct {
	P       *float64 // the norm; default 2
	Eps     *float64 // added to the difference; default 1e-6
	KeepDim bool     // the last dimension stays, with size 1
}

// PairwiseDistance is the p-norm of x1-x2 along the last dimension (torch.nn.functional.pairwise_distance).
func PairwiseDistance(x1, x2 *torch.Tensor, opts ...PairwiseDistanceOptions) *torch.Tensor {
	o := one("F.PairwiseDistance", opts)
	return aten.PairwiseDistance(x1, x2, or(o.P, 2), or(o.Eps, 1e-6), o.KeepDim)
}

// Pdist is the p-norms of the differences of all pairs of rows of x [N, D]: a tensor of N(N-1)/2. p is 2 by default
// (torch.nn.functional.pdist).
func Pdist(x *torch.Tensor, p ...float64) *torch.Tensor {
	return aten.Pdist(x, only("F.Pdist", p, 2))
}
