package pytree

import (
	"reflect"
	"sync"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

// Move returns v on a device: tensors by move, which returns those that are there already as they are; modules in
// place; and what has a method To(torch.Device) T by that.
func Move[T any](v T, d torch.Device, move func(*torch.Tensor) *torch.Tensor) T {
	return mapped(&Mapper{
		Tensor:   move,
		whole:    func(v reflect.Value) (reflect.Value, bool, bool) { return moveWhole(v, d) },
		concerns: func(t reflect.Type) bool { return mayHold(t, nil, &moving, moves) },
	}, v)
}

// moving caches by type whether there may be something to move.
var moving sync.Map

// moves reports whether a type moves as a whole.
func moves(t reflect.Type) bool { return t == tensorType || t.Implements(moduleType) || MovesItself(t) }

var deviceType = reflect.TypeFor[torch.Device]()

// MovesItself reports whether a type T has a method To(torch.Device) T.
func MovesItself(t reflect.Type) bool {
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
	if MovesItself(t) {
		return v.MethodByName("To").Call([]reflect.Value{reflect.ValueOf(d)})[0], true, true
	}
	if t.Implements(moduleType) {
		nn.To(v.Interface().(nn.Module), d)
		return v, false, true
	}
	return v, false, false
}
