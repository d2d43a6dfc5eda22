package torch_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// A complex number is no real one, unless its imaginary part is 0: libtorch refuses the conversion too.
func TestComplexScalarsKeepTheirImaginaryPart(t *testing.T) {
	s := torch.ComplexNumber(3 + 4i)
	require.Equal(t, 3+4i, s.Complex128())
	x := torch.From([]complex64{3 + 4i})
	for name, f := range map[string]func(){
		"Float64":       func() { s.Float64() },
		"Int64":         func() { s.Int64() },
		"Item":          func() { x.Item() },
		"Item[float64]": func() { torch.Item[float64](x) },
		"Item[float32]": func() { torch.Item[float32](x) },
		"Item[int]":     func() { torch.Item[int](x) },
	} {
		t.Run(name, func(t *testing.T) { require.ErrorContains(t, torch.Try(f), "imaginary part") })
	}
	require.Equal(t, complex64(3+4i), torch.Item[complex64](x))
	require.Equal(t, 3.0, torch.ComplexNumber(3).Float64())
	require.Equal(t, int64(3), torch.ComplexNumber(3).Int64())
	require.Equal(t, 3.0, torch.From([]complex64{3}).Item())
	require.True(t, s.Bool())
	require.Equal(t, "(3+4i)", s.String())
}

// Nested tensors are called what they are, and have no one shape.
func TestNestedTensorsInErrors(t *testing.T) {
	n := nested(torch.Ones(2, 3), torch.Ones(4, 3))
	require.Equal(t, torch.Float32, n.DType())
	require.Equal(t, 3, n.Dim())
	require.Equal(t, 18, n.Numel())
	require.ErrorContains(t, torch.Try(func() { n.Shape() }), "nested float32[2, *, 3]")
	err := torch.Try(func() { n.MatMul(torch.Ones(2)) })
	require.ErrorContains(t, err, "nested float32[2, *, 3]")
	require.NotContains(t, err.Error(), "released")
	require.Equal(t, "nested_tensor([\n  tensor([[1., 1., 1.],\n          [1., 1., 1.]]),\n  tensor([[1., 1., 1.]])\n])",
		nested(torch.Ones(2, 3), torch.Ones(1, 3)).String(), "as Python prints it")
	zero := aten.Efficientzerotensor([]int{2}, torch.Float32, 0, torch.Device{}, nil)
	require.Equal(t, "tensor([0., 0.])", zero.String())
}

// TestViewsThatChangeNothing of a nested tensor are refused by libtorch, with a text that asks for a report.
func TestViewsThatChangeNothing(t *testing.T) {
	n := nested(torch.Ones(2, 3), torch.Ones(4, 3))
	for name, f := range map[string]func(){
		"Transpose": func() { n.Transpose(1, -2) },
		"SwapDims":  func() { aten.Call("aten::swapdims", n, 2, 2) },
		"SwapAxes":  func() { aten.Call("aten::swapaxes", n, 1, 1) },
	} {
		err := torch.Try(f)
		require.ErrorContains(t, err, "it would give the tensor itself back, as it changes nothing", name)
		require.NotContains(t, err.Error(), "ASSERT", name)
		require.NotContains(t, err.Error(), "report", name)
	}
}

func nested(parts ...*torch.Tensor) *torch.Tensor {
	return aten.NestedTensorFromTensorList(parts, 0, 0, torch.Device{}, nil)
}
