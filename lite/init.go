package lite

import (
	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/internal/pytree"
	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

// InitOptions are InitModule's optional arguments.
type InitOptions struct {
	// Empty builds the module on the meta device, without memory and without drawing random numbers; Setup gives it memory
	// on the rank's device, and its values are undefined until Load fills them.
	Empty bool
}

// InitModule builds a module where it will be used: on the rank's device and in the precision's type, so that a large one
// needs no memory elsewhere first (Fabric.init_module). Setup comes after it, as always.
//
//	net := lite.InitModule(l, NewGPT)
func InitModule[M nn.Module](l *Lite, build func() M, opts ...InitOptions) (module M) {
	if build == nil {
		torch.Fail("lite.InitModule", "the function is nil")
	}
	o := options.Must("lite.InitModule", opts, torch.Fail)
	l.parts.initModule(func() {
		if l.precision.ModuleDType() == 0 {
			module = build()
			return
		}
		l.precision.Forward(l.device.Type, func() { module = build() })
	}, o.Empty)
	return module
}

// InitTensor runs f with the rank's device and the precision's type as the default of what it makes (Fabric.init_tensor).
func InitTensor[T any](l *Lite, f func() T) (result T) {
	if f == nil {
		torch.Fail("lite.InitTensor", "the function is nil")
	}
	torch.WithDevice(l.device, func() {
		l.precision.Forward(l.device.Type, func() { result = f() })
	})
	return result
}

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
