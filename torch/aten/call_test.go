package aten_test

import (
	"testing"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	"github.com/stretchr/testify/require"
)

func tensor(t *testing.T, list []any) *torch.Tensor {
	t.Helper()
	require.Len(t, list, 1)
	x, ok := list[0].(*torch.Tensor)
	require.True(t, ok, "%T", list[0])
	return x
}

func TestCall(t *testing.T) {
	x, y := torch.From([]float32{1, 2}), torch.From([]float32{3, 4})
	m := torch.From([]float32{1, 2, 3, 4}).Reshape(2, 2)
	two := 2
	for name, c := range map[string]struct {
		op   string
		args []any
		want []float32
	}{
		"defaults": {"aten::add.Tensor", []any{x, y}, []float32{4, 6}},
		"keyword":  {"aten::add.Tensor", []any{x, y, aten.Kw{"alpha": 2}}, []float32{7, 10}},
		"all by keyword": {"aten::add.Tensor", []any{aten.Kw{"self": x, "other": y, "alpha": torch.Float(0.5)}},
			[]float32{2.5, 4}},
		"plain name":        {"aten::relu", []any{x}, []float32{1, 2}},
		"int for float":     {"aten::leaky_relu", []any{x.Neg(), 2}, []float32{-2, -4}},
		"int for a float":   {"aten::layer_norm", []any{x, []int{2}, nil, nil, 3}, nil},
		"float32 as Scalar": {"aten::mul.Scalar", []any{x, float32(0.5)}, []float32{0.5, 1}},
		"bool as Scalar":    {"aten::mul.Scalar", []any{x, true}, []float32{1, 2}},
		"nil optional":      {"aten::clamp", []any{x, nil, 1}, []float32{1, 1}},
		"pointer optional":  {"aten::clamp", []any{x, &two}, []float32{2, 2}},
		"nil pointer":       {"aten::clamp", []any{x, (*torch.Scalar)(nil), 1}, []float32{1, 1}},
		"one for int[1]":    {"aten::sum.dim_IntList", []any{m, 0}, []float32{4, 6}},
		"int64 slice":       {"aten::sum.dim_IntList", []any{m, []int64{1}}, []float32{3, 7}},
		"any slice": {"aten::sum.dim_IntList", []any{m, []any{int8(1)}, aten.Kw{"dtype": torch.Float32}},
			[]float32{3, 7}},
		"array":            {"aten::sum.dim_IntList", []any{m, [1]int{1}}, []float32{3, 7}},
		"tensors":          {"aten::cat", []any{[]*torch.Tensor{x, y}}, []float32{1, 2, 3, 4}},
		"optional tensors": {"aten::index.Tensor", []any{m, []*torch.Tensor{nil, torch.From([]int64{1})}}, []float32{2, 4}},
		"string":           {"aten::gelu", []any{torch.Zeros(1), aten.Kw{"approximate": "tanh"}}, []float32{0}},
		"device by name": {"aten::ones", []any{[]int{2}, aten.Kw{"device": "cpu", "dtype": torch.Float32}},
			[]float32{1, 1}},
		"layout and device": {"aten::ones", []any{[]int{1}, aten.Kw{"layout": torch.Strided, "device": torch.CPU,
			"pin_memory": false}}, []float32{1}},
		"zero device": {"aten::ones", []any{[]int{1}, aten.Kw{"device": torch.Device{}, "dtype": torch.DType(0)}},
			[]float32{1}},
		"memory format":     {"aten::clone", []any{x, aten.Kw{"memory_format": torch.ContiguousFormat}}, []float32{1, 2}},
		"one in int[2]":     {"aten::avg_pool2d", []any{m.Reshape(1, 2, 2), []int{2}}, []float32{2.5}},
		"number for int[2]": {"aten::avg_pool2d", []any{m.Reshape(1, 2, 2), 2, []int{}}, []float32{2.5}},
		"scalars":           {"aten::_foreach_add.ScalarList", []any{[]*torch.Tensor{x}, []float64{1}}, nil},
		"named default":     {"aten::linalg_norm", []any{torch.From([]float32{3, 4})}, []float32{5}},
	} {
		t.Run(name, func(t *testing.T) {
			got := aten.Call(c.op, c.args...)
			if c.want != nil {
				require.Equal(t, c.want, floats(tensor(t, got)))
			}
		})
	}
}

func TestCallResults(t *testing.T) {
	x := torch.From([]float32{1, 5})
	require.Equal(t, []any{2}, aten.Call("aten::sym_numel", x))
	require.Equal(t, []any{true}, aten.Call("aten::equal", x, x))
	require.Equal(t, []any{torch.Float32}, aten.Call("aten::result_type.Tensor", x, x))
	require.Equal(t, 5.0, aten.Call("aten::_local_scalar_dense", torch.From([]float32{5}))[0].(torch.Scalar).Float64())
	require.Empty(t, aten.Call("aten::_foreach_mul_.Scalar", []*torch.Tensor{x}, 2))
	require.Equal(t, []float32{2, 10}, floats(x))

	out := torch.Zeros(2)
	require.Same(t, out, aten.Call("aten::add.out", x, x, aten.Kw{"out": out})[0], "out= comes back as the caller's own")
	require.Equal(t, []float32{4, 20}, floats(out))
	require.Same(t, x, aten.Call("aten::neg_", x)[0])

	max := aten.Call("aten::max.dim", x, 0)
	require.Len(t, max, 2)
	parts := aten.Call("aten::split.Tensor", x, 1)[0].([]*torch.Tensor)
	require.Len(t, parts, 2)

	undefined := aten.Call("aten::native_layer_norm_backward", x, x, []int{2}, torch.Zeros(1), torch.Ones(1), nil, nil,
		[]bool{false, false, false})
	require.Len(t, undefined, 3)
	require.Nil(t, undefined[0])
	require.IsType(t, (*torch.Tensor)(nil), undefined[0])
}

func TestCallDrawsFromAGenerator(t *testing.T) {
	draw := func() []float32 {
		return floats(tensor(t, aten.Call("aten::rand.generator", []int{3}, aten.Kw{"generator": torch.NewGenerator(7)})))
	}
	require.Equal(t, draw(), draw())
}

func TestCallErrors(t *testing.T) {
	x := torch.Ones(2)
	type kw = aten.Kw
	for name, c := range map[string]struct {
		op   string
		args []any
		want []string
	}{
		"unknown": {"aten::no_such_op", []any{x}, []string{`no operator "aten::no_such_op"`}},
		"unknown overload": {"aten::add.Tensors", []any{x}, []string{"aten::add.Tensors", "want one of",
			"aten::add.Tensor,"}},
		"no plain overload": {"aten::add", []any{x, x}, []string{"want one of", "aten::add.Tensor"}},
		"no namespace":      {"add", []any{x}, []string{`"add"`, "namespace::name"}},
		"empty":             {"", nil, []string{"namespace::name"}},
		"empty overload":    {"aten::add.", nil, []string{"namespace::name"}},
		"missing":           {"aten::add.Tensor", []any{x}, []string{"aten::add.Tensor", "missing: other (Tensor)"}},
		"none at all":       {"aten::add.Tensor", nil, []string{"missing: self (Tensor), other (Tensor)"}},
		"too many":          {"aten::add.Tensor", []any{x, x, 2}, []string{"takes 2 positional arguments, got 3", "alpha"}},
		"unknown keyword":   {"aten::add.Tensor", []any{x, x, kw{"beta": 2}}, []string{`no argument "beta"`}},
		"given twice":       {"aten::add.Tensor", []any{x, x, kw{"other": x}}, []string{"argument other is given twice"}},
		"keywords first": {"aten::add.Tensor", []any{kw{"alpha": 2}, x, x}, []string{"argument 1 is an aten.Kw",
			"last"}},
		"nil tensor":       {"aten::relu", []any{nil}, []string{"argument self (Tensor): want a *torch.Tensor, got nil"}},
		"typed nil tensor": {"aten::relu", []any{(*torch.Tensor)(nil)}, []string{"argument self (Tensor)", "got nil"}},
		"number for tensor": {"aten::add.Tensor", []any{x, 2}, []string{"argument other (Tensor): want a *torch.Tensor, " +
			"got the int 2"}},
		"tensor for int": {"aten::softmax.int", []any{x, x}, []string{"argument dim (int): want an integer, got a " +
			"*torch.Tensor"}},
		"float for int": {"aten::softmax.int", []any{x, 1.5}, []string{"want an integer, got the float64 1.5"}},
		"bool for int":  {"aten::softmax.int", []any{x, true}, []string{"want an integer, got the bool true"}},
		"dtype for int": {"aten::softmax.int", []any{x, torch.Float32},
			[]string{"want an integer, got the torch.DType float32"}},
		"int too large":    {"aten::softmax.int", []any{x, uint64(1 << 63)}, []string{"want an integer"}},
		"nil for int":      {"aten::softmax.int", []any{x, nil}, []string{"want an integer, got nil"}},
		"string for float": {"aten::dropout", []any{x, "half", true}, []string{"argument p (float): want a number", `"half"`}},
		"int for bool": {"aten::dropout", []any{x, 0.5, 1},
			[]string{"argument train (bool): want a bool, got the int 1"}},
		"string for Scalar": {"aten::mul.Scalar", []any{x, "2"}, []string{"argument other (Scalar)", `the string "2"`}},
		"int for dtype": {"aten::softmax.int", []any{x, 0, 6},
			[]string{"argument dtype (ScalarType?): want a torch.DType, got the int 6"}},
		"zero required dtype": {"aten::view.dtype", []any{x, torch.DType(0)}, []string{"argument dtype (ScalarType)",
			"the zero torch.DType"}},
		"bad device":   {"aten::ones", []any{[]int{1}, kw{"device": "gpu"}}, []string{`"gpu"`, "want cpu"}},
		"int for str":  {"aten::gelu", []any{x, kw{"approximate": 1}}, []string{"want a string, got the int 1"}},
		"int for list": {"aten::permute", []any{x, 0}, []string{"argument dims (int[]): want a []int, got the int 0"}},
		"floats for ints": {"aten::permute", []any{x, []float64{0.5}},
			[]string{"want a []int, got the float64 0.5 at index 0"}},
		"nil in ints":       {"aten::permute", []any{x, []any{nil}}, []string{"got nil at index 0"}},
		"string for int[1]": {"aten::sum.dim_IntList", []any{x, "all"}, []string{"want a []int or an integer", `"all"`}},
		"too short a list": {"aten::reflection_pad3d", []any{torch.Ones(1, 2, 2, 2), []int{1, 1}},
			[]string{"argument padding (SymInt[6])", "of 6, got 2"}},
		"empty list": {"aten::reflection_pad3d", []any{torch.Ones(1, 2, 2, 2), []int{}}, []string{"of 6, got 0"}},
		"too few bools": {"aten::native_layer_norm_backward", []any{x, x, []int{2}, x, x, nil, nil, []bool{true}},
			[]string{"argument output_mask (bool[3])", "of 3, got 1"}},
		"nil in tensors": {"aten::cat", []any{[]*torch.Tensor{x, nil}}, []string{"argument tensors (Tensor[])",
			"got nil at index 1"}},
		"tensor for tensors": {"aten::cat", []any{x}, []string{"want a []*torch.Tensor", "got a *torch.Tensor"}},
		"ints for tensors":   {"aten::cat", []any{[]int{1}}, []string{"want a []*torch.Tensor", "the int 1 at index 0"}},
		"generator": {"aten::rand.generator", []any{[]int{1}, kw{"generator": 3}},
			[]string{"want a *torch.Generator, got the int 3"}},
		"refused object":    {"aten::record_stream", []any{x, 1}, []string{"golite can't call it", "Stream"}},
		"refused backward":  {"aten::_backward", []any{x}, []string{"use Tensor.Backward"}},
		"refused names":     {"aten::size.Dimname", []any{x, "N"}, []string{"named tensors"}},
		"refused elsewhere": {"quantized::linear", []any{x}, []string{"TorchBind"}},
		"libtorch's own":    {"aten::mm", []any{x, x}, []string{"aten::mm(float32[2], float32[2])", "matrix"}},
		"released": {"aten::relu", []any{func() *torch.Tensor { r := torch.Ones(1); r.Release(); return r }()},
			[]string{"released"}},
		"a pointer":          {"aten::relu", []any{new([]int)}, []string{"want a *torch.Tensor, got a []int"}},
		"pointer to pointer": {"aten::relu", []any{new(*torch.Tensor)}, []string{"got a **torch.Tensor"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := torch.Try(func() { aten.Call(c.op, c.args...) })
			var te *torch.Error
			require.ErrorAs(t, err, &te)
			for _, w := range c.want {
				require.ErrorContains(t, err, w)
			}
			require.NotContains(t, err.Error(), "INTERNAL ASSERT")
		})
	}
}
