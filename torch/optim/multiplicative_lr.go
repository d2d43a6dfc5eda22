package optim

import "slices"

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
