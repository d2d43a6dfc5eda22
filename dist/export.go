package dist

import (
	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/distabi"
)

func init() {
	distabi.Handle = func(group any) cgotorch.Group { return group.(*Group).handle() }
	distabi.WorkHandle = func(work any) cgotorch.Work { return work.(*Work).c }
	distabi.Failure = func(group any, op, site string) error {
		g := group.(*Group)
		if why := g.ended(); why != nil {
			return g.failure(op, site, why)
		}
		return nil
	}
	distabi.WithPyTorch = func(group any) bool {
		g := group.(*Group)
		return g.transport != nil && g.transport.foreign()
	}
}
