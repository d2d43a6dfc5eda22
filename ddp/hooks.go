package ddp

import (
	"fmt"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/text"
	"github.com/golite/golite/torch"
)

// Hook reduces buckets of gradients in a way of its own (DistributedDataParallel.register_comm_hook): HookFP16,
// HookBF16, PowerSGD, or a BucketHook.
type Hook interface {
	install(d *DistributedDataParallel) error
}

type compress bool

// HookFP16 and HookBF16 send gradients as float16 or bfloat16, divided before they are summed (the compress hooks of
// torch.distributed.algorithms.ddp_comm_hooks). They overlap with backward.
const (
	HookFP16 compress = false
	HookBF16 compress = true
)

func (c compress) install(d *DistributedDataParallel) error {
	if err := d.r.Compress(bool(c)); err != nil {
		return fmt.Errorf("ddp.New: %s", text.FirstLine(err.Message))
	}
	return nil
}

// Bucket is a number of gradients that are reduced together (torch.distributed.GradBucket). It is valid only while the
// hook runs.
type Bucket struct {
	// Index is the bucket's number, and Last reports whether it is the last of this backward pass.
	Index int
	Last  bool
	// Buffer holds all gradients, one after the other, in one dimension.
	Buffer *torch.Tensor
	// Gradients are views of Buffer, in the shapes of the Parameters.
	Gradients, Parameters []*torch.Tensor
}

// BucketHook is a Hook of the program's own: it returns the mean of the bucket's buffer over all ranks, a tensor of the
// same length, or nil if it has written it into Buffer. It runs within backward, in a scope of its own, and waits for
// the other ranks there.
type BucketHook func(g *dist.Group, b *Bucket) *torch.Tensor

func (f BucketHook) install(d *DistributedDataParallel) error {
	forget, err := d.r.Hook(func(index int, last bool, buffer cgotorch.Handle, gradients,
		parameters []cgotorch.Handle) (result cgotorch.Handle) {
		torch.Scope(func() {
			scope := cgotorch.Scope()
			wrap := func(list []cgotorch.Handle) []*torch.Tensor {
				tensors := make([]*torch.Tensor, len(list))
				for i, h := range list {
					tensors[i] = torch.ABI{}.Wrap(h, 0, scope)
				}
				return tensors
			}
			b := &Bucket{Index: index, Last: last, Buffer: torch.ABI{}.Wrap(buffer, 0, scope), Gradients: wrap(gradients),
				Parameters: wrap(parameters)}
			if t := f(d.g, b); t != nil {
				result = torch.ABI{}.Alias("ddp.BucketHook", t)
			}
		})
		return result
	})
	if err != nil {
		return fmt.Errorf("ddp.New: %s", text.FirstLine(err.Message))
	}
	d.forget = forget
	return nil
}
