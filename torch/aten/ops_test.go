package aten_test

import (
	"fmt"
	"testing"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	"github.com/stretchr/testify/require"
)

func floats(t *torch.Tensor) []float32 { return torch.ToSlice[float32](t) }

// A function of each family: plain, in place, out=, several results, lists, optional values, foreach, fused.
func TestFamilies(t *testing.T) {
	x, y := torch.From([]float32{1, 2}), torch.From([]float32{3, 4})
	require.Equal(t, []float32{7, 10}, floats(aten.AddTensor(x, y, torch.Int(2))))

	z := aten.AddTensor(x, y, torch.Int(1))
	require.Same(t, z, aten.MulScalar_(z, torch.Int(2)), "an in-place call returns the caller's tensor")
	require.Equal(t, []float32{8, 12}, floats(z))

	out := torch.Zeros(2)
	require.Same(t, out, aten.AddOut(x, y, torch.Int(1), out))
	require.Equal(t, []float32{4, 6}, floats(out))

	values, indices := aten.MaxDim(torch.From([]float32{5, 9, 7}).Reshape(1, 3), 1, true)
	require.Equal(t, []int{1, 1}, values.Shape())
	require.Equal(t, []float32{9}, floats(values))
	require.Equal(t, []int64{1}, torch.ToSlice[int64](indices))

	v, i := torch.Zeros(1), torch.Zeros(1).To(torch.Int64)
	v2, i2 := aten.MaxDimMax(torch.From([]float32{5, 9}), 0, true, v, i)
	require.Same(t, v, v2)
	require.Same(t, i, i2)
	require.Equal(t, []float32{9}, floats(v))

	parts := aten.SplitTensor(torch.From([]float32{1, 2, 3}), 2, 0)
	require.Len(t, parts, 2)
	require.Equal(t, []float32{3}, floats(parts[1]))
	require.Equal(t, []float32{1, 2, 3}, floats(aten.Cat(parts, 0)))

	picked := aten.IndexTensor(torch.From([]float32{1, 2, 3, 4}).Reshape(2, 2),
		[]*torch.Tensor{nil, torch.From([]int64{1})})
	require.Equal(t, []float32{2, 4}, floats(picked))

	square := torch.From([]float32{1, 2, 3, 4}, 1, 2, 2)
	require.Equal(t, []float32{2.5}, floats(aten.AvgPool2d(square, []int{2}, nil, []int{0, 0}, false, true, nil)),
		"one integer stands for both, no stride is the kernel's size")

	low := torch.Int(2)
	require.Equal(t, []float32{2, 2}, floats(aten.Clamp(x, &low, nil)))
	require.Equal(t, []float32{3}, floats(aten.SumDimIntList(x, []int{0}, true, 0)))
	require.Equal(t, torch.Float64, aten.SumDimIntList(x, nil, false, torch.Float64).DType())

	aten.ForeachMulScalar_([]*torch.Tensor{x, y}, torch.Int(10))
	require.Equal(t, []float32{10, 20}, floats(x))
	require.Equal(t, []float32{30, 40}, floats(y))

	require.True(t, aten.Equal(x, x))
	require.Equal(t, 2, aten.SymNumel(x))
	require.Equal(t, "3", aten.LocalScalarDense(torch.From([]int64{3})).String())
	require.Equal(t, torch.Float32, aten.ResultTypeTensor(x, x))

	undefined, _, _ := aten.NativeLayerNormBackward(x, x, []int{2}, torch.Zeros(1), torch.Ones(1), nil, nil,
		[]bool{false, false, false})
	require.Nil(t, undefined, "an undefined result is nil")
}

func TestNilArguments(t *testing.T) {
	x := torch.Ones(2)
	for name, c := range map[string]struct {
		call func()
		want []string
	}{
		"tensor": {func() { aten.AddTensor(x, nil, torch.Int(1)) }, []string{"aten::add.Tensor", "argument other",
			"nil"}},
		"first": {func() { aten.Relu(nil) }, []string{"aten::relu", "argument self"}},
		"out":   {func() { aten.AddOut(x, x, torch.Int(1), nil) }, []string{"aten::add.out", "argument out"}},
		"list": {func() { aten.Cat([]*torch.Tensor{x, nil}, 0) }, []string{"aten::cat", "argument tensors",
			"item 1 is nil"}},
		"dtype": {func() { aten.LogSoftmaxBackwardData(x, x, 0, 0) }, []string{"aten::_log_softmax_backward_data",
			"argument input_dtype", "ScalarType"}},
		"short list": {func() { aten.ReflectionPad3d(x, []int{1, 1}) }, []string{"aten::reflection_pad3d",
			"argument padding is int[6]: want 6 values, got 2"}},
		"no list": {func() { aten.AvgPool2d(x, nil, nil, nil, false, true, nil) },
			[]string{"aten::avg_pool2d", "kernel_size"}},
		"few bools": {func() { aten.NativeLayerNormBackward(x, x, nil, x, x, nil, nil, nil) },
			[]string{"argument output_mask is bool[3]"}},
		"empty list": {func() { aten.Cat(nil, 0) }, []string{"aten::cat"}},
	} {
		err := torch.Try(c.call)
		var te *torch.Error
		require.ErrorAs(t, err, &te, name)
		for _, w := range c.want {
			require.ErrorContains(t, err, w, name)
		}
	}
}

func TestRefusedList(t *testing.T) {
	list := aten.Refused()
	require.NotEmpty(t, list)
	why := map[string]string{}
	for _, r := range list {
		require.NotEmpty(t, r.Reason, r.Op)
		why[r.Op] = r.Reason
	}
	require.Contains(t, why["aten::_backward"], "Tensor.Backward")
	require.Contains(t, why["aten::record_stream"], "Stream")
	list[0].Op = "changed"
	require.NotEqual(t, "changed", aten.Refused()[0].Op, "the caller has a copy")
}

// The generated functions allocate nothing but the tensors that they return.
func TestAllocations(t *testing.T) {
	torch.Scope(func() {
		x := torch.Ones(4)
		one := torch.Int(1)
		n := testing.AllocsPerRun(1000, func() { aten.AddTensor_(x, x, one) })
		require.Zero(t, n, "in place")
		n = testing.AllocsPerRun(1000, func() { aten.AddTensor(x, x, one).Release() })
		require.LessOrEqual(t, n, 1.0, "one result")
	})
}

func ExampleCall() {
	x := torch.From([]float32{1, 2})
	y := aten.Call("aten::add.Tensor", x, x, aten.Kw{"alpha": 2})[0].(*torch.Tensor)
	fmt.Println(torch.ToSlice[float32](y))
	// Output: [3 6]
}

func Example_inPlace() {
	x := torch.From([]float32{1, 2})
	aten.AddTensor_(aten.AddTensor_(x, x, torch.Int(1)), x, torch.Float(0.5))
	fmt.Println(torch.ToSlice[float32](x))
	// Output: [3 6]
}
