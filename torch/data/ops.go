package data

import (
	"github.com/golite/golite/internal/op"
	"github.com/golite/golite/torch"
)

var (
	abi           torch.ABI
	opSelect      = op.Op{Name: "aten::select.int"}
	opIndexSelect = op.Op{Name: "aten::index_select"}
	opStack       = op.Op{Name: "aten::stack"}
)

func selectRow(t *torch.Tensor, i int) *torch.Tensor {
	var a op.Args
	var r op.Results
	abi.Tensor(&a, t)
	a.Int(0)
	a.Int(int64(i))
	abi.Call(&opSelect, &a, &r)
	return abi.Result(&r)
}

func gather(t, at *torch.Tensor) *torch.Tensor {
	var a op.Args
	var r op.Results
	abi.Tensor(&a, t)
	a.Int(0)
	abi.Tensor(&a, at)
	abi.Call(&opIndexSelect, &a, &r)
	return abi.Result(&r)
}

func stack(list []*torch.Tensor) *torch.Tensor {
	var a op.Args
	var r op.Results
	abi.Tensors(&a, list)
	a.Int(0)
	abi.Call(&opStack, &a, &r)
	return abi.Result(&r)
}
