package optim

import (
	"slices"

	"github.com/golite/golite/torch"
)

// LambdaLR sets each group's rate to its initial rate times a function of the count of steps
// (torch.optim.lr_scheduler.LambdaLR).
type LambdaLR struct{ LRScheduler }

// NewLambdaLR makes a LambdaLR with one function for all groups; it is called with 0 at once
// (torch.optim.lr_scheduler.LambdaLR). It panics if the function is nil.
func NewLambdaLR(o Optimizer, factor func(step int) float64) *LambdaLR {
	return NewLambdaLRGroups(o, slices.Repeat([]func(int) float64{factor}, len(o.ParamGroups()))...)
}

// NewLambdaLRGroups is NewLambdaLR with a function for each group (torch.optim.lr_scheduler.LambdaLR with a list). It
// panics if there are not as many functions as groups, or one is nil.
func NewLambdaLRGroups(o Optimizer, factors ...func(step int) float64) *LambdaLR {
	s := &LambdaLR{}
	checkFactors("LambdaLR", o, factors)
	s.start("LambdaLR", o, func() []float64 {
		return s.each(func(i int, _ *ParamGroup) float64 { return s.baseLRs[i] * factors[i](s.lastEpoch) })
	}, setting{"lr_lambdas", make([]any, len(factors))})
	return s
}

func checkFactors(name string, o Optimizer, factors []func(int) float64) {
	if n := len(o.ParamGroups()); len(factors) != n {
		torch.Fail("optim.New"+name, "there are %d functions, and the optimizer has %d groups", len(factors), n)
	}
	if slices.ContainsFunc(factors, func(f func(int) float64) bool { return f == nil }) {
		torch.Fail("optim.New"+name, "a function is nil")
	}
}

// MultiplicativeLR multiplies each group's rate by a function of the count of steps
// (torch.optim.lr_scheduler.MultiplicativeLR).
type MultiplicativeLR struct{ LRScheduler }

// NewMultiplicativeLR makes a MultiplicativeLR with one function for all groups; its first call is with 1
// (torch.optim.lr_scheduler.MultiplicativeLR). It panics if the function is nil.
func NewMultiplicativeLR(o Optimizer, factor func(step int) float64) *MultiplicativeLR {
	return NewMultiplicativeLRGroups(o, slices.Repeat([]func(int) float64{factor}, len(o.ParamGroups()))...)
}

// NewMultiplicativeLRGroups is NewMultiplicativeLR with a function for each group
// (torch.optim.lr_scheduler.MultiplicativeLR with a list). It panics if there are not as many functions as groups, or
// one is nil.
func NewMultiplicativeLRGroups(o Optimizer, factors ...func(step int) float64) *MultiplicativeLR {
	s := &MultiplicativeLR{}
	checkFactors("MultiplicativeLR", o, factors)
	s.start("MultiplicativeLR", o, func() []float64 {
		if s.initial {
			return s.current()
		}
		return s.each(func(i int, g *ParamGroup) float64 { return g.LR * factors[i](s.lastEpoch) })
	}, setting{"lr_lambdas", make([]any, len(factors))})
	return s
}
