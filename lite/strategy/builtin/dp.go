package builtin

import (
	"context"
	"fmt"

	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/lite/strategy"
	"github.com/golite/golite/torch"
)

// DP is one rank that shares each batch out among its devices (torch.nn.DataParallel). The model and its batches lie on
// the first. A forward pass cuts the tensors among its arguments along dimension 0, as torch.chunk does, copies the model
// to the other devices, runs the method on all at the same time and joins the results along dimension 0; of a tensor
// without dimensions, such as a loss, a vector with the value of each device comes out. What is no tensor all devices are
// given, and all must return alike. Gradients add up on the first device.
//
// It needs an accelerator on which one rank may compute on several devices (accelerator.Brancher), as CUDA is. On the
// others, such as the CPU, "ddp" takes its place.
//
// The copies are made anew for each pass: what the method writes into buffers on the first device stays, fields that it
// sets don't. Each device draws random numbers from a generator of its own, and SeedEverything seeds them alike, as
// PyTorch does.
//
// Prefer "ddp_spawn", which neither copies the model in each step nor gathers what it returns on one device. DP was tested
// with replicas on a CPU and has not been run on several GPUs yet.
type DP struct{}

// StrategyName returns "dp".
func (DP) StrategyName() string { return "dp" }

// Plan has one rank with all devices, where the accelerator lets one rank compute on several.
func (DP) Plan(r strategy.Request) (strategy.Plan, error) {
	if _, several := r.Accelerator.(accelerator.Brancher); !several {
		warning := fmt.Sprintf(`strategy "dp" computes on several devices in one rank, which accelerator %q does not: using "ddp" instead`,
			r.Accelerator.Name())
		return strategy.Plan{Instead: DDP{}, Warnings: []string{warning}}, nil
	}
	if r.Nodes > 1 {
		return strategy.Plan{}, fmt.Errorf(`one process, but num_nodes=%d: use "ddp"`, r.Nodes)
	}
	return strategy.Plan{Ranks: [][]torch.Device{r.Devices}, Launcher: "here"}, nil
}

// Open returns a Session that makes replicas, if there are several devices.
func (DP) Open(_ context.Context, e *strategy.Env) (strategy.Session, error) {
	if len(e.Devices) == 1 {
		return &single{e}, nil
	}
	return newDPSession(e), nil
}
