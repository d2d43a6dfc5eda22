// Package distabi holds the functions by which package ddp reaches what package dist does not export: the C handles
// that the Reducer needs, and the translation of its failures. Package dist sets them when it is initialised.
//
// The parameters are of type any because this package lies below dist: group is a *dist.Group, work a *dist.Work.
package distabi

import "github.com/golite/golite/cgotorch"

var (
	// Handle returns a group's C handle.
	Handle func(group any) cgotorch.Group
	// WorkHandle returns the C handle of a collective under way.
	WorkHandle func(work any) cgotorch.Work
	// Failure makes the *dist.RankError of an operation that failed because the group was aborted, nil if it was not.
	Failure func(group any, op, site string) error
	// WithPyTorch reports whether some of the group's ranks are PyTorch's.
	WithPyTorch func(group any) bool
)
