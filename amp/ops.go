package amp

import (
	"github.com/golite/golite/internal/op"
	"github.com/golite/golite/torch"
)

var opTo = op.Op{Name: "aten::to.dtype"}

func toDType(t *torch.Tensor, d torch.DType) *torch.Tensor {
	var a op.Args
	var r op.Results
	abi.Tensor(&a, t)
	abi.DType(&a, d)
	a.Bool(false)
	a.Bool(false)
	a.None()
	abi.Call(&opTo, &a, &r)
	return abi.Result(&r)
}
