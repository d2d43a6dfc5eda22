package dist

import (
	"errors"
	"fmt"
	"sync"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/text"
	"github.com/golite/golite/torch"
)

func init() { register("nccl", attachNCCL) }

// registerNCCL registers NCCL's backend with the shim, once.
var registerNCCL = sync.OnceFunc(func() { cgotorch.SetMaker("nccl", cgotorch.NCCL()) })

// AttachNCCL makes NCCL carry the group's collectives on CUDA tensors, the Reducer's among them: one communicator for
// each rank, processes or goroutines, each on a device of its own. Tensors on the CPU go as before. All ranks call it;
// groups that Sub makes afterwards have it too. It connects nothing: the first collective does. Such a collective
// returns when it is in the device's queue; what uses its result comes after it there, and waiting for the device
// (Item, ToSlice) waits for it. An abort, a deadline or a lost peer ends it as it ends others.
//
// The error says why there is no NCCL: it comes with libcgotorch_cuda.so. It is Attach("nccl", torch.CUDA(0)).
func (g *Group) AttachNCCL() error { return g.Attach("nccl", torch.CUDA(0)) }

func attachNCCL(g *Group, d torch.Device) (end func(), err error) {
	if cgotorch.NCCL() == nil {
		_, why := cgotorch.CUDALibrary()
		return nil, fmt.Errorf("no NCCL: %s", why)
	}
	registerNCCL()
	store, release, err := g.transport.bootstrap(g)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := g.c.Attach("nccl", int32(d.Type)-1, store, g.opts.Timeout); err != nil {
		return nil, errors.New(text.FirstLine(err.Message))
	}
	return func() {}, nil
}
