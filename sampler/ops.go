package sampler

import (
	"github.com/golite/golite/internal/op"
	"github.com/golite/golite/torch"
)

var (
	abi           torch.ABI
	opRandom      = op.Op{Name: "aten::random_"}
	opMultinomial = op.Op{Name: "aten::multinomial"}
)

// random63 draws a non-negative 63-bit number.
func random63(g *torch.Generator) *torch.Tensor {
	t := torch.Options{DType: torch.Int64}.Empty()
	var a op.Args
	var r op.Results
	abi.Tensor(&a, t)
	abi.Generator(&a, g)
	abi.Call(&opRandom, &a, &r)
	return t
}

func multinomial(weights *torch.Tensor, n int, replacement bool, g *torch.Generator) *torch.Tensor {
	var a op.Args
	var r op.Results
	abi.Tensor(&a, weights)
	a.Int(int64(n))
	a.Bool(replacement)
	abi.Generator(&a, g)
	abi.Call(&opMultinomial, &a, &r)
	return abi.Result(&r)
}
