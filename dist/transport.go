package dist

import (
	"context"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/dist/internal/health"
)

// transport is how the ranks of a group reach each other: goroutines in memory (inprocess.go), processes over Gloo
// (backend_gloo.go), and those of which some are PyTorch's (backend_pytorch.go). It makes the shim's group, whose
// collectives on the CPU it carries; what carries those on other devices is attached, see Backend.
type transport interface {
	// inProcess reports whether the ranks are goroutines of one process.
	inProcess() bool
	// foreign reports whether some ranks are PyTorch's, which don't support golite's own messages.
	foreign() bool
	// board makes the board on which a group's ranks publish their status.
	board(g *Group) health.Board
	// keepsBoard reports whether the board ends with this process.
	keepsBoard() bool
	// endpoints returns the addresses of the ranks, where they are known.
	endpoints() []health.Endpoint
	// sub connects a sub-group, whose ranks, name and options are filled in. parent is the shim's group of its parent.
	sub(ctx context.Context, sub *Group, parent cgotorch.Group) (*Group, error)
	// bootstrap returns a store for a rendezvous of the group's ranks; release frees it.
	bootstrap(g *Group) (s cgotorch.Store, release func(), err error)
	// leave comes before the shim's group is freed, close after it.
	leave(g *Group)
	close()
}

// watched is a Group as package health needs it.
type watched struct{ *Group }

func (w watched) Leaving() bool              { return w.leaving.Load() }
func (w watched) End(why *health.Record)     { w.abort(why) }
func (w watched) EndSubs(why *health.Record) { w.freeSubs(why) }
func (w watched) Status() (cgotorch.GroupStatus, bool) {
	s, err := w.c.Pending()
	return s, err == nil
}
