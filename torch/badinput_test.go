package torch

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBadInputNamesOperationAndShapes(t *testing.T) {
	x, y := Zeros(2, 3), Zeros(4, 5)
	gone := Ones(3)
	gone.Release()
	for name, c := range map[string]struct {
		f    func()
		want []string
	}{
		"shapes of mm":  {func() { x.MM(y) }, []string{"aten::mm", "float32[2, 3]", "float32[4, 5]"}},
		"shapes of add": {func() { x.Add(y) }, []string{"aten::add", "float32[2, 3]", "float32[4, 5]"}},
		"dtypes of mm": {func() { x.MM(Options{DType: Int64}.Zeros(3, 2)) }, []string{"aten::mm", "float32[2, 3]",
			"int64[3, 2]"}},
		"mean of integers": {func() { x.Long().Mean() }, []string{"aten::mean", "int64[2, 3]"}},
		"integer += float": {func() { x.Long().Add_(x) }, []string{"aten::add_", "int64[2, 3]"}},
		// the rest depends on libtorch, the driver and the devices
		"no such device": {func() { x.To(CUDA(99)) }, []string{"aten::to", "float32[2, 3]"}},
		"released":       {func() { x.Add(gone) }, []string{"aten::add", "released", "badinput_test.go"}},
		"nil operand":    {func() { x.Add(nil) }, []string{"aten::add", "tensor argument 2 is nil"}},
		"nil receiver":   {func() { (*Tensor)(nil).Add(x) }, []string{"aten::add", "tensor argument 1 is nil"}},
		"nil in Cat":     {func() { Cat([]*Tensor{x, nil}, 0) }, []string{"aten::cat", "item 1"}},
		"Cat of nothing": {func() { Cat(nil, 0) }, []string{"aten::cat"}},
		"Cat of shapes": {func() { Cat([]*Tensor{x, y}, 0) }, []string{"aten::cat", "float32[2, 3]",
			"float32[4, 5]"}},
		"Stack of shapes":       {func() { Stack([]*Tensor{x, y}, 0) }, []string{"aten::stack", "float32[4, 5]"}},
		"view":                  {func() { x.View(4, 2) }, []string{"aten::view", "float32[2, 3]"}},
		"two minus ones":        {func() { x.View(-1, -1) }, []string{"aten::view", "float32[2, 3]"}},
		"dimension":             {func() { x.Sum(5) }, []string{"aten::sum", "float32[2, 3]"}},
		"dimension twice":       {func() { x.Sum(0, 0) }, []string{"aten::sum", "float32[2, 3]"}},
		"select":                {func() { x.Select(0, 9) }, []string{"aten::select", "float32[2, 3]"}},
		"gather":                {func() { x.Gather(1, From([]int{7}, 1, 1)) }, []string{"aten::gather", "int64[1, 1]"}},
		"index select of float": {func() { x.IndexSelect(0, Ones(1)) }, []string{"aten::index_select", "float32[1]"}},
		"mask":                  {func() { x.MaskedFill(x, 0) }, []string{"aten::masked_fill", "float32[2, 3]"}},
		"singular":              {func() { Zeros(2, 2).Inverse() }, []string{"aten::linalg_inv", "float32[2, 2]"}},
		"leaf in place": {func() { Zeros(2).RequiresGrad_(true).Add_(Ones(2)) },
			[]string{"aten::add_", "float32[2]"}},
		"einsum":          {func() { Einsum("ij,jk->ik", x, y) }, []string{"aten::einsum", "float32[4, 5]"}},
		"multinomial":     {func() { Zeros(3).Multinomial(5, false) }, []string{"aten::multinomial", "float32[3]"}},
		"bernoulli":       {func() { x.Bernoulli_(1.5) }, []string{"aten::bernoulli_", "float32[2, 3]"}},
		"item":            {func() { x.Item() }, []string{"item", "float32[2, 3]"}},
		"backward":        {func() { x.Backward() }, []string{"backward", "float32[2, 3]"}},
		"wrong generator": {func() { x.Uniform_(0, 1, nil, nil) }, []string{"aten::uniform_", "at most one"}},
		"flatten":         {func() { x.Flatten(0, 1, 2) }, []string{"flatten"}},
		"nil target":      {func() { x.To((*Tensor)(nil)) }, []string{"aten::to", "target"}},
		"rounding":        {func() { x.DivMode(x, "up") }, []string{"aten::div", "float32[2, 3]"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := Try(c.f)
			var e *Error
			require.True(t, errors.As(err, &e), "%v", err)
			for _, want := range c.want {
				require.ErrorContains(t, err, want)
			}
			require.Contains(t, err.Error(), "badinput_test.go", "where it was called")
		})
	}
}
