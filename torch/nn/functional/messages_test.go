package functional_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	F "github.com/golite/golite/torch/nn/functional"
)

// Messages name constants as Go does: F.Bilinear, PyTorch's name of a mode, is another function.
func TestMessagesUseGosNames(t *testing.T) {
	x := torch.Ones(2, 3)
	for want, f := range map[string]func(){
		"mode F.Bilinear2d (bilinear) doesn't go with an input of 3 dimensions": func() {
			F.Interpolate(torch.Ones(1, 2, 3), F.InterpolateOptions{Size: []int{4}, Mode: F.Bilinear2d})
		},
		"AlignCorners doesn't go with mode F.NearestExact (nearest-exact)": func() {
			F.Interpolate(torch.Ones(1, 2, 3), F.InterpolateOptions{Size: []int{4}, Mode: F.NearestExact, AlignCorners: true})
		},
		"mode InterpolateMode(99) doesn't go": func() {
			F.Interpolate(torch.Ones(1, 2, 3), F.InterpolateOptions{Size: []int{4}, Mode: 99})
		},
		"reduction must be F.Mean, F.Sum or F.None, got F.BatchMean (batchmean)": func() {
			F.MSELoss(x, x,
				F.WeightedLossOptions{Reduction: F.BatchMean})
		},
		"want Mode F.GridBilinear, F.GridNearest or F.GridBicubic": func() {
			F.GridSample(torch.Ones(1, 1, 2, 2), torch.Ones(1, 2, 2, 2), F.GridSampleOptions{Mode: 9})
		},
	} {
		require.ErrorContains(t, torch.Try(f), want)
	}
}
