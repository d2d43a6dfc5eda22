package aten_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// An empty stride is the window's size, as in PyTorch, in a pooling's backward too.
func TestPoolingBackwardWithoutStride(t *testing.T) {
	torch.ManualSeed(1)
	x2, x3 := torch.Randn(1, 2, 6, 6), torch.Randn(1, 2, 6, 6, 6)
	g2, g3 := torch.Randn(1, 2, 3, 3), torch.Randn(1, 2, 3, 3, 3)
	_, i2 := aten.MaxPool2dWithIndices(x2, []int{2}, nil, []int{0}, []int{1}, false)
	_, i3 := aten.MaxPool3dWithIndices(x3, []int{2}, nil, []int{0}, []int{1}, false)
	type T = torch.Tensor
	for name, c := range map[string]struct {
		typed func(stride []int) *T
		call  string
		args  func(stride any) []any
	}{
		"avg_pool2d": {func(s []int) *T { return aten.AvgPool2dBackward(g2, x2, []int{2}, s, []int{0}, false, true, nil) },
			"aten::avg_pool2d_backward",
			func(s any) []any { return []any{g2, x2, 2, s, 0, false, true, nil} }},
		"avg_pool3d": {func(s []int) *T { return aten.AvgPool3dBackward(g3, x3, []int{2}, s, []int{0}, false, true, nil) },
			"aten::avg_pool3d_backward",
			func(s any) []any { return []any{g3, x3, 2, s, 0, false, true, nil} }},
		"max_pool2d": {func(s []int) *T {
			return aten.MaxPool2dWithIndicesBackward(g2, x2, []int{2}, s, []int{0}, []int{1}, false, i2)
		}, "aten::max_pool2d_with_indices_backward", func(s any) []any { return []any{g2, x2, 2, s, 0, 1, false, i2} }},
		"max_pool3d": {func(s []int) *T {
			return aten.MaxPool3dWithIndicesBackward(g3, x3, []int{2}, s, []int{0}, []int{1}, false, i3)
		}, "aten::max_pool3d_with_indices_backward", func(s any) []any { return []any{g3, x3, 2, s, 0, 1, false, i3} }},
	} {
		t.Run(name, func(t *testing.T) {
			want := floats(c.typed([]int{2}))
			require.NotZero(t, want)
			require.Equal(t, want, floats(c.typed(nil)))
			require.Equal(t, want, floats(c.typed([]int{})))
			require.Equal(t, want, floats(tensor(t, aten.Call(c.call, c.args([]int{})...))))
			require.Error(t, torch.Try(func() { c.typed([]int{1, 2, 3, 4}) }))
		})
	}
	require.ErrorContains(t, torch.Try(func() { aten.Im2col(x2, []int{2}, []int{1}, []int{0}, nil) }),
		"argument stride is int[2]", "PyTorch refuses it as well")
}
