package functional

import (
	"fmt"

	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// Size is a length for each spatial dimension: one number for all of them, or a slice or an array with one for each.
type Size interface {
	int | []int | [1]int | [2]int | [3]int
}

// Reduction says what a loss does with the values of its elements (the reduction of torch.nn.functional's losses).
//
// The reductions are Mean (the default), Sum, None and, for KLDiv, BatchMean.
type Reduction uint8

// Reductions. The zero value is the mean.
const (
	Mean      Reduction = iota // their mean; of weighted losses the weighted mean
	Sum                        // their sum
	None                       // nothing: the loss has the shape of the elements
	BatchMean                  // KLDiv only: the sum, divided by the size of the batch
)

// String returns PyTorch's name.
func (r Reduction) String() string {
	names := [...]string{"mean", "sum", "none", "batchmean"}
	if int(r) < len(names) {
		return names[r]
	}
	return "unknown reduction"
}

// goName is the reduction's name in Go, and PyTorch's.
func (r Reduction) goName() string {
	names := [...]string{"F.Mean", "F.Sum", "F.None", "F.BatchMean"}
	if int(r) < len(names) {
		return names[r] + " (" + r.String() + ")"
	}
	return fmt.Sprintf("Reduction(%d)", r)
}

// code is libtorch's number.
func (r Reduction) code(operation string) int {
	switch r {
	case Mean:
		return 1
	case Sum:
		return 2
	case None:
		return 0
	}
	torch.Fail(operation, "reduction must be F.Mean, F.Sum or F.None, got %s", r.goName())
	return 0
}

// of reduces a loss that was computed here.
func (r Reduction) of(operation string, loss *torch.Tensor) *torch.Tensor {
	switch r {
	case Mean:
		return aten.Mean(loss, 0)
	case Sum:
		return aten.Sum(loss, 0)
	case None:
		return loss
	}
	r.code(operation)
	return nil
}

// Sizes gives a Size as a slice with n elements. It is for layers; operation and what are for the panic that a slice of
// another length ends in.
func Sizes[S Size](operation, what string, n int, size S) []int {
	var each []int
	switch v := any(size).(type) {
	case int:
		return same(n, v)
	case []int:
		each = append(each, v...)
	case [1]int:
		each = v[:]
	case [2]int:
		each = v[:]
	case [3]int:
		each = v[:]
	}
	if len(each) == 1 {
		return same(n, each[0])
	}
	if len(each) != n {
		torch.Fail(operation, "%s must be one number or %d, got %v", what, n, each)
	}
	return each
}

// EachOf gives an option that comes as one number for all dimensions or as one for each: each if it is there, else one
// n times, or def where that is 0. It is for layers.
func EachOf(operation, what string, n, one int, each []int, def int) []int {
	switch {
	case each != nil && one != 0:
		torch.Fail(operation, "%s is given both as one number and as one for each dimension", what)
	case len(each) == 1:
		return same(n, each[0])
	case each != nil && len(each) != n:
		torch.Fail(operation, "%s must be one number or %d, got %v", what, n, each)
	case each != nil:
		return append([]int{}, each...)
	case one == 0:
		one = def
	}
	return same(n, one)
}

func same(n, v int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = v
	}
	return out
}

// one returns the only element of a trailing options parameter, or the zero value.
func one[T any](operation string, opts []T) T { return options.Must(operation, opts, torch.Fail) }

// only returns the only element of a trailing parameter, or its default.
func only(operation string, values []float64, def float64) float64 {
	if len(values) == 0 {
		return def
	}
	return one(operation, values)
}

// or returns the value that p points to, def for nil.
func or[T any](p *T, def T) T {
	if p == nil {
		return def
	}
	return *p
}

// What follows is Python's arithmetic on tensors and numbers.

func add(x, y *torch.Tensor) *torch.Tensor { return aten.AddTensor(x, y, torch.Int(1)) }
func sub(x, y *torch.Tensor) *torch.Tensor { return aten.SubTensor(x, y, torch.Int(1)) }
func mul(x, y *torch.Tensor) *torch.Tensor { return aten.MulTensor(x, y) }
func div(x, y *torch.Tensor) *torch.Tensor { return aten.DivTensor(x, y) }
func plus(x *torch.Tensor, v float64) *torch.Tensor {
	return aten.AddScalar(x, torch.Number(v), torch.Int(1))
}
func times(x *torch.Tensor, v float64) *torch.Tensor { return aten.MulScalar(x, torch.Number(v)) }
func pow(x *torch.Tensor, v float64) *torch.Tensor {
	return aten.PowTensorScalar(x, torch.Number(v))
}
