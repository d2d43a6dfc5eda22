package nn

import (
	"reflect"

	"github.com/golite/golite/torch"
)

// Call returns a module's Forward, or another method of it, with the module's hooks called around it, as calling a
// module does in Python (torch.nn.Module.__call__). It is for modules of a program's own: their Forward is a plain
// call, which hooks have no part in.
//
//	x = nn.Call(block, block.Forward)(x)
//
// A module may do so for itself, so that all who call its Forward call its hooks:
//
//	func (b *Block) Forward(x *torch.Tensor) *torch.Tensor { return nn.Call(b, b.forward)(x) }
//
// A module without hooks gives back forward itself. So do the layers of this package, and modules that embed one of
// them in the place of Base: those call their hooks from Forward. Hooks see the arguments and results of the types
// *torch.Tensor and []*torch.Tensor.
func Call[F any](m Module, forward F) F {
	const operation = "nn.Call"
	b := baseOf(operation, m)
	v := reflect.ValueOf(forward)
	if v.Kind() != reflect.Func || v.IsNil() {
		torch.Fail(operation, "want a function, such as the module's Forward, got a %T", forward)
	}
	if b.hooks == nil || callsHooks(reflect.TypeOf(m)) {
		return forward
	}
	if f, ok := any(forward).(func(*torch.Tensor) *torch.Tensor); ok {
		return any(func(x *torch.Tensor) *torch.Tensor { return b.withHooks(m, x, f) }).(F)
	}
	return reflect.MakeFunc(v.Type(), func(args []reflect.Value) []reflect.Value {
		return b.reflected(m, v,
			args)
	}).Interface().(F)
}

// callsHooks reports whether a module's type is a layer of this package, or has its Base from one.
func callsHooks(t reflect.Type) bool {
	for {
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if t.PkgPath() == baseType.PkgPath() && t != baseType {
			return true
		}
		if t.Kind() != reflect.Struct {
			return false
		}
		f, ok := t.FieldByName(baseType.Name())
		if !ok || f.Type != baseType || len(f.Index) == 1 {
			return false
		}
		t = t.Field(f.Index[0]).Type
	}
}

// reflected calls a forward of any type with hooks.
func (b *Base) reflected(m Module, forward reflect.Value, args []reflect.Value) []reflect.Value {
	var results []reflect.Value
	in := tensorsAmong(args)
	out := b.hooks.run(m, in, func(in []*torch.Tensor) []*torch.Tensor {
		given := withTensors(args, in)
		if forward.Type().IsVariadic() {
			results = forward.CallSlice(given)
		} else {
			results = forward.Call(given)
		}
		return tensorsAmong(results)
	})
	return withTensors(results, out)
}

// tensorsAmong gives the tensors among values, and those of lists of tensors, in order.
func tensorsAmong(values []reflect.Value) (out []*torch.Tensor) {
	for _, v := range values {
		switch v := v.Interface().(type) {
		case *torch.Tensor:
			out = append(out, v)
		case []*torch.Tensor:
			out = append(out, v...)
		}
	}
	return out
}

// withTensors gives the values with other tensors in the places where tensorsAmong found some.
func withTensors(values []reflect.Value, tensors []*torch.Tensor) []reflect.Value {
	out := make([]reflect.Value, len(values))
	for i, v := range values {
		switch list := v.Interface().(type) {
		case *torch.Tensor:
			out[i] = reflect.ValueOf(tensors[0])
			tensors = tensors[1:]
		case []*torch.Tensor:
			out[i] = reflect.ValueOf(tensors[:len(list):len(list)])
			tensors = tensors[len(list):]
		default:
			out[i] = v
		}
	}
	return out
}
