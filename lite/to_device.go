package lite

import (
	"github.com/golite/golite/internal/pytree"
	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/torch"
)

// ToDevice returns v on the rank's device: a tensor, a module, or a struct, slice, array or map that holds some,
// however deep, also behind pointers (Fabric.to_device). A module moves in place; a type with a method To(torch.Device)
// T moves itself; what holds a tensor that moves is copied, and v itself stays as it was. Tensors that are there
// already, and what holds no others, are passed on as they are, as are strings, numbers and unexported fields. A tensor
// in page-locked memory must not be written before its copy to a GPU has run. Setup and SetupDataLoader do this by
// themselves.
func ToDevice[T any](l *Lite, v T) T { return moveTo(v, l.accelerator, l.device) }

// moveTo moves v to a device, which is a's.
func moveTo[T any](v T, a accelerator.Accelerator, d torch.Device) T {
	if t, ok := any(v).(*torch.Tensor); ok && t != nil {
		return any(accelerator.Move(a, t, d)).(T)
	}
	return pytree.Move(v, d, func(t *torch.Tensor) *torch.Tensor { return accelerator.Move(a, t, d) })
}
