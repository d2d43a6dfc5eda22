package lite

import (
	"reflect"
	"sync"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

// ToDevice returns v on the rank's device: a tensor, a module, or a struct, slice, array or map that holds some, however
// deep, also behind pointers (Fabric.to_device). A module moves in place; a type with a method To(torch.Device) T moves
// itself; what holds a tensor that moves is copied, and v itself stays as it was. Tensors that are there already, and what
// holds no others, are passed on as they are, as are strings, numbers and unexported fields. A tensor in page-locked memory
// must not be written before its copy to a GPU has run. Setup and SetupDataLoader do this by themselves.
func ToDevice[T any](l *Lite, v T) T { return moveTo(v, l.device) }

func moveTo[T any](v T, d torch.Device) T {
	if t, ok := any(v).(*torch.Tensor); ok && t != nil {
		return any(moveTensor(t, d)).(T)
	}
	return mapped(&mapping{
		tensor:   func(t *torch.Tensor) *torch.Tensor { return moveTensor(t, d) },
		whole:    func(v reflect.Value) (reflect.Value, bool, bool) { return moveWhole(v, d) },
		concerns: func(t reflect.Type) bool { return mayHold(t, nil, &moving, moves) },
	}, v)
}

// moving remembers types that have something to move.
var moving sync.Map

// moves tells a type that moves as a whole.
func moves(t reflect.Type) bool { return t == tensorType || t.Implements(moduleType) || movesItself(t) }

var deviceType = reflect.TypeFor[torch.Device]()

// movesItself tells a type T with a method To(torch.Device) T.
func movesItself(t reflect.Type) bool {
	m, ok := t.MethodByName("To")
	if !ok {
		return false
	}
	in := 1 // after the receiver, which an interface's methods don't count
	if t.Kind() == reflect.Interface {
		in = 0
	}
	f := m.Type
	return f.NumIn() == in+1 && f.In(in) == deviceType && f.NumOut() == 1 && f.Out(0) == t
}

// moveWhole moves a module in place, and what moves itself.
func moveWhole(v reflect.Value, d torch.Device) (out reflect.Value, changed, done bool) {
	t := v.Type()
	if t == tensorType || (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface) && v.IsNil() {
		return v, false, false
	}
	if movesItself(t) {
		return v.MethodByName("To").Call([]reflect.Value{reflect.ValueOf(d)})[0], true, true
	}
	if t.Implements(moduleType) {
		nn.To(v.Interface().(nn.Module), d)
		return v, false, true
	}
	return v, false, false
}

// moveTensor gives a tensor on a device: itself if it is there. From the CPU to a GPU it goes by way of page-locked memory, and nobody waits: what uses
// the result is behind it in the stream, and libtorch uses the memory again when it was read.
func moveTensor(t *torch.Tensor, d torch.Device) *torch.Tensor {
	from := t.Device()
	if from == d {
		return t
	}
	if from.Type != torch.CPUType || d.Type != torch.CUDAType || t.RequiresGrad() {
		return t.To(d)
	}
	if t.IsPinned() {
		return t.ToNonBlocking(d)
	}
	pinned := t.PinMemory()
	defer pinned.Release()
	return pinned.ToNonBlocking(d)
}
