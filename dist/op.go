package dist

import "fmt"

// Op is how a collective combines what the ranks give (torch.distributed.ReduceOp).
//
// The operations are Sum, Mean, Product, Min, Max, BitAnd, BitOr and BitXor.
type Op uint8

// The ways of combining. Mean divides the sum by the number of ranks; integers are cut towards zero. The last three take
// integers, bit by bit, and bools. Of bools the sum is whether any is true, the product whether all are, and there is no mean;
// complex numbers have a sum and a mean.
const (
	Sum Op = iota
	Mean
	Product
	Min
	Max
	BitAnd
	BitOr
	BitXor
)

var opNames = [...]string{"sum", "mean", "product", "min", "max", "band", "bor", "bxor"}

// String returns the name in torch.distributed, in lower case.
func (o Op) String() string {
	if int(o) < len(opNames) {
		return opNames[o]
	}
	return fmt.Sprintf("Op(%d)", uint8(o))
}
