package dist

import (
	"fmt"
	"sync"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/text"
	"github.com/golite/golite/torch"
)

// registerNCCL tells the shim once how NCCL's backends are made.
var registerNCCL = sync.OnceFunc(func() { cgotorch.SetMaker("nccl", cgotorch.NCCL()) })

// AttachNCCL lets the group's collectives on CUDA tensors, the Reducer's among them, go through NCCL: one communicator for each rank, be the ranks
// processes or goroutines, each on a device of its own. Tensors on the CPU go as before. All ranks call it; groups that Sub makes afterwards have it
// too. It connects nothing: the first collective does. Such a collective returns when it is in the device's queue; what uses its result comes after it
// there, and waiting for the device (Item, ToSlice) waits for it. An abort, a deadline or a lost peer ends it as it ends others.
//
// The error says why there is no NCCL: it comes with libcgotorch_cuda.so.
func (g *Group) AttachNCCL() error {
	if g.unopened() {
		g.lone.nccl = true
		return nil
	}
	if cgotorch.NCCL() == nil {
		_, why := cgotorch.CUDALibrary()
		return fmt.Errorf("dist.Group.AttachNCCL: no NCCL: %s", why)
	}
	registerNCCL()
	store, release, err := g.transport.bootstrap(g)
	if err != nil {
		return fmt.Errorf("dist.Group.AttachNCCL: %w", err)
	}
	defer release()
	kind := int32(torch.CUDAType) - 1
	if err := g.c.Attach("nccl", kind, store, g.opts.Timeout); err != nil {
		return fmt.Errorf("dist.Group.AttachNCCL: %s", text.FirstLine(err.Message))
	}
	g.nccl = true
	return nil
}

// attachParentBackends attaches the backends of the parent to a sub-group.
func (g *Group) attachParentBackends(parent *Group) (*Group, error) {
	if !parent.nccl {
		return g, nil
	}
	if err := g.AttachNCCL(); err != nil {
		g.Close()
		return nil, err
	}
	return g, nil
}
