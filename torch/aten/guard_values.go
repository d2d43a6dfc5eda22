package aten

import (
	"fmt"
	"math"

	"github.com/golite/golite/torch"
)

// odds wants numbers of trials and chances in their ranges: the search for a sample does not end otherwise.
func odds(g asked) string {
	return first(g.between("count", 0, 1<<53), g.between("prob", 0, 1))
}

// between wants the elements of a tensor of floating numbers within a range.
func (g asked) between(name string, low, high float64) string {
	t := g.tensor(name)
	if t == nil || t.Numel() == 0 || t.Layout() != torch.Strided || t.Device().Type != torch.CPUType ||
		!t.DType().IsFloating() {
		return ""
	}
	if min, max := t.Min().Item(), t.Max().Item(); !(min >= low && max <= high) {
		return fmt.Sprintf("%s goes from %v to %v: want %v to %v", name, min, max, low, high)
	}
	return ""
}

// bags wants an embedding bag's mode among those that there are, and offsets as the kernels read them.
func bags(g asked) string {
	if m := g.number("mode"); m < 0 || m > 2 {
		return fmt.Sprintf("mode is %d: want 0 (sum), 1 (mean) or 2 (max)", m)
	}
	last, _ := g.value("include_last_offset").(bool)
	if last {
		return first(g.dims("offsets", 1), g.filled("offsets"))
	}
	return g.dims("offsets", 1)
}

// packed wants the batch sizes of a packed sequence in one dimension, and no more rows in them than data has.
func packed(g asked) string {
	sizes, data := g.tensor("batch_sizes"), g.tensor("data")
	if sizes == nil || data == nil {
		return ""
	}
	if problem := first(g.dims("batch_sizes", 1), g.filled("batch_sizes"),
		g.within("batch_sizes", math.MaxInt)); problem != "" || data.Dim() == 0 {
		return problem
	}
	if sizes.DType().IsFloating() || sizes.DType().IsComplex() || sizes.Device().Type != torch.CPUType ||
		sizes.Layout() != torch.Strided {
		return ""
	}
	if sum := int(sizes.To(torch.Int64).Sum().Item()); sum != data.Size(0) {
		return fmt.Sprintf("batch_sizes add up to %d, and data has %d rows", sum, data.Size(0))
	}
	return ""
}
