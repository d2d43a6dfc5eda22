// Package schema reads operator schemas as libtorch prints them:
//
//	aten::add.out(Tensor self, Tensor other, *, Scalar alpha=1, Tensor(a!) out) -> Tensor(a!)
//
// It is pure Go and does not depend on libtorch: the generator of torch/aten reads all schemas with it when golite is
// built, and aten.Call reads one when it meets an operator for the first time.
package schema
