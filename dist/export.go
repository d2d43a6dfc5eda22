package dist

import (
	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/distabi"
)

func init() {
	distabi.Handle = func(group any) cgotorch.Group { return group.(*Group).handle() }
	distabi.WorkHandle = func(work any) cgotorch.Work { return work.(*Work).c }
	distabi.Failure = func(group any, op, site, reason string) error { return group.(*Group).failure(op, site, reason) }
	distabi.WithPyTorch = func(group any) bool { return group.(*Group).pytorch }
}
