package ddp

// Op is how a collective combines what the ranks give (torch.distributed.ReduceOp).
type Op uint8

// The ways of combining. Mean divides the sum by the number of ranks.
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
