package torch

import (
	"strconv"
	"strings"

	"github.com/golite/golite/internal/op"
)

var (
	opSparseIndices = op.Op{Name: "aten::_indices"}
	opSparseValues  = op.Op{Name: "aten::_values"}
	opCrow          = op.Op{Name: "aten::crow_indices"}
	opCol           = op.Op{Name: "aten::col_indices"}
	opCCol          = op.Op{Name: "aten::ccol_indices"}
	opRow           = op.Op{Name: "aten::row_indices"}
	opValues        = op.Op{Name: "aten::values"}
)

// sparse prints the parts of a sparse tensor, which are given as names and tensors; the last are its values.
func (p *printer) sparse(t *Tensor, parts ...any) string {
	indices := parts[len(parts)-3].(*Tensor)
	p.newline = t.Layout() == SparseCOO
	p.size(t)
	p.suffixes = append(p.suffixes, "nnz="+strconv.Itoa(indices.Size(-1)))
	p.dtype(t.DType(), showsItself(t.DType()))
	var list []string
	for i := 0; i < len(parts); i += 2 {
		head := parts[i].(string) + "=tensor("
		x := parts[i+1].(*Tensor)
		s := head + p.elements(x.Detach(), len(printPrefix)+len(head))
		if x.Numel() == 0 {
			s += ", size=" + tuple(x.Shape())
		}
		list = append(list, s+")")
	}
	return strings.Join(list, ",\n"+strings.Repeat(" ", len(printPrefix)))
}
