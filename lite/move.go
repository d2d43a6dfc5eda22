package lite

import (
	"reflect"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

var (
	tensorType = reflect.TypeFor[*torch.Tensor]()
	moduleType = reflect.TypeFor[nn.Module]()
)

// mapTensors returns v with every tensor in its exported fields, elements and map values replaced by f's. Structs,
// slices and maps that hold tensors are copied, what a pointer points at as well; everything else is passed on.
func mapTensors[T any](v T, f func(*torch.Tensor) *torch.Tensor) T {
	if t, ok := any(v).(*torch.Tensor); ok {
		if t == nil {
			return v
		}
		return any(f(t)).(T)
	}
	in := reflect.New(reflect.TypeFor[T]()).Elem()
	in.Set(reflect.ValueOf(&v).Elem())
	return mapValue(in, f).Interface().(T)
}

func mapValue(v reflect.Value, f func(*torch.Tensor) *torch.Tensor) reflect.Value {
	if !v.IsValid() || !holdsTensors(v.Type(), nil) {
		return v
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		if v.Type() == tensorType {
			return reflect.ValueOf(f(v.Interface().(*torch.Tensor)))
		}
		if v.Type().Implements(moduleType) {
			return v
		}
		p := reflect.New(v.Type().Elem())
		p.Elem().Set(mapValue(v.Elem(), f))
		return p
	case reflect.Interface:
		if v.IsNil() {
			return v
		}
		out := reflect.New(v.Type()).Elem()
		out.Set(mapValue(v.Elem(), f))
		return out
	case reflect.Struct:
		out := reflect.New(v.Type()).Elem()
		out.Set(v)
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				out.Field(i).Set(mapValue(v.Field(i), f))
			}
		}
		return out
	case reflect.Slice:
		if v.IsNil() {
			return v
		}
		out := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			out.Index(i).Set(mapValue(v.Index(i), f))
		}
		return out
	case reflect.Array:
		out := reflect.New(v.Type()).Elem()
		for i := range v.Len() {
			out.Index(i).Set(mapValue(v.Index(i), f))
		}
		return out
	case reflect.Map:
		if v.IsNil() {
			return v
		}
		out := reflect.MakeMapWithSize(v.Type(), v.Len())
		for it := v.MapRange(); it.Next(); {
			out.SetMapIndex(it.Key(), mapValue(it.Value(), f))
		}
		return out
	}
	return v
}

// holdsTensors tells whether values of a type may hold tensors.
func holdsTensors(t reflect.Type, seen []reflect.Type) bool {
	for _, s := range seen {
		if s == t {
			return false
		}
	}
	seen = append(seen, t)
	switch t.Kind() {
	case reflect.Pointer:
		return t == tensorType || holdsTensors(t.Elem(), seen)
	case reflect.Interface:
		return true
	case reflect.Slice, reflect.Array, reflect.Map:
		return holdsTensors(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			if t.Field(i).IsExported() && holdsTensors(t.Field(i).Type, seen) {
				return true
			}
		}
	}
	return false
}

// mover is a batch type that moves itself.
type mover[T any] interface{ To(d torch.Device) T }

// ToDevice returns v on the rank's device: a tensor, a module (moved in place), or a struct, slice or map that holds
// tensors. A type with a method To(torch.Device) T moves itself. Strings, numbers and unexported fields stay as they
// are; a tensor that is there already is passed on. A tensor in page-locked memory must not be written before its copy to a GPU has run. Setup and SetupDataLoader do this by themselves.
func ToDevice[T any](l *Lite, v T) T { return moveTo(v, l.device) }

func moveTo[T any](v T, d torch.Device) T {
	if m, ok := any(v).(mover[T]); ok {
		return m.To(d)
	}
	if m, ok := any(v).(nn.Module); ok {
		nn.To(m, d)
		return v
	}
	return mapTensors(v, func(t *torch.Tensor) *torch.Tensor {
		if t.Device() == d {
			return t
		}
		return moveTensor(t, d)
	})
}

// moveTensor copies a tensor to a device. From the CPU to a GPU it goes by way of page-locked memory, and nobody waits: what uses the result is behind it
// in the stream, and libtorch uses the memory again when it was read.
func moveTensor(t *torch.Tensor, d torch.Device) *torch.Tensor {
	if t.Device().Type != torch.CPUType || d.Type != torch.CUDAType || t.RequiresGrad() {
		return t.To(d)
	}
	if t.IsPinned() {
		return t.ToNonBlocking(d)
	}
	pinned := t.PinMemory()
	defer pinned.Release()
	return pinned.ToNonBlocking(d)
}
