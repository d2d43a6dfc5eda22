package shard

import (
	"slices"

	"github.com/golite/golite/torch"
)

// Rows returns which of n rows a rank keeps, from and up to to: ceil(n/ranks) of them on the first ranks, fewer or none on
// the last (torch.chunk, as FSDP2 cuts dimension 0).
func Rows(n, rank, ranks int) (from, to int) {
	chunk := (n + ranks - 1) / ranks
	return min(rank*chunk, n), min((rank+1)*chunk, n)
}

// layout is how a parameter lies on the ranks. In a collective all chunks have the same rows: the last ones are padded.
type layout struct {
	shape    []int // of the whole
	rows     int   // along dimension 0; 1 for a tensor without dimensions
	rest     []int // the other dimensions
	chunk    int   // rows of a chunk
	from, to int   // this rank's rows
	ranks    int
}

func layoutOf(shape []int, rank, ranks int) layout {
	l := layout{shape: slices.Clone(shape), rows: 1, ranks: ranks}
	if len(shape) > 0 {
		l.rows, l.rest = shape[0], slices.Clone(shape[1:])
	}
	l.chunk = (l.rows + ranks - 1) / ranks
	l.from, l.to = Rows(l.rows, rank, ranks)
	return l
}

func (l layout) with(rows int) []int { return append([]int{rows}, l.rest...) }

// numel is the number of elements of one row.
func (l layout) row() int {
	n := 1
	for _, d := range l.rest {
		n *= d
	}
	return n
}

// empty reports whether the tensor has no elements, on any rank.
func (l layout) empty() bool { return l.rows == 0 || l.row() == 0 }

// whole is the view of a padded tensor that has the parameter's shape.
func (l layout) whole(padded *torch.Tensor) *torch.Tensor {
	return padded.Narrow(0, 0, l.rows).View(l.shape...)
}

// own is the view of a chunk that has this rank's rows.
func (l layout) own(chunk *torch.Tensor) *torch.Tensor { return chunk.Narrow(0, 0, l.to-l.from) }

// cut returns this rank's rows of a tensor that is laid out as the parameter, as a view.
func (l layout) cut(t *torch.Tensor) *torch.Tensor {
	return t.View(l.with(l.rows)...).Narrow(0, l.from, l.to-l.from)
}

// padded reports whether the chunks have more rows than the tensor.
func (l layout) padded() bool { return l.chunk*l.ranks != l.rows }
