package builtin

import (
	"context"

	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/cuda"
)

// Stage copies batches in a stream of its own: while the device computes a step it receives the next batches.
func (CUDA) Stage(device torch.Device) accelerator.Stage {
	side := cuda.NewStream(device.Index)
	return func(_ context.Context, batch func()) (ready func([]*torch.Tensor), err error) {
		err = torch.Try(func() {
			var copied *cuda.Event
			cuda.WithStream(side, func() {
				batch()
				copied = cuda.NewEvent()
				copied.Record(side)
			})
			ready = func(tensors []*torch.Tensor) {
				now := cuda.CurrentStream(device.Index)
				copied.Wait(now)
				for _, t := range tensors {
					if t.Device() == device {
						now.Uses(t)
					}
				}
			}
		})
		return ready, err
	}
}
