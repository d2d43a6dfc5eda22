package pytree

import (
	"fmt"
	"reflect"

	"github.com/golite/golite/torch"
)

// Zipper makes one value of several of one shape, such as those that replicas have returned: Tensors makes one tensor
// of theirs, and all else has to be equal.
type Zipper struct {
	// Tensors returns what takes the place of a tensor of each value. path is where they stand.
	Tensors func(path string, list []*torch.Tensor) *torch.Tensor
	// Fail panics: the values at the path differ as the text says.
	Fail func(path, format string, args ...any)

	visited map[addresses]reflect.Value // the copy for the references of all values: they may form a cycle
}

// start returns what a value's parts are written to: for pointers, slices and maps that were met before, their copy.
func (z *Zipper) start(list []reflect.Value) (out reflect.Value, met bool) {
	first := list[0]
	t := first.Type()
	out = reflect.New(t).Elem()
	switch t.Kind() {
	case reflect.Pointer:
		out.Set(reflect.New(t.Elem()))
	case reflect.Slice:
		out.Set(reflect.MakeSlice(t, first.Len(), first.Len()))
	case reflect.Map:
		out.Set(reflect.MakeMapWithSize(t, first.Len()))
	default:
		return out, false
	}
	key := addresses{of: t}
	for _, v := range list {
		at := addressOf(v)
		key.at += fmt.Sprintf("%x %d ", at.at, at.len)
	}
	if v, met := z.visited[key]; met {
		return v, true
	}
	if z.visited == nil {
		z.visited = map[addresses]reflect.Value{}
	}
	z.visited[key] = out
	return out, false
}

// addresses are those of a reference of each value, with their type.
type addresses struct {
	at string
	of reflect.Type
}

// Value returns the one value. path begins the paths that Tensors and Fail are given.
func (z *Zipper) Value(path string, list []reflect.Value) reflect.Value { return z.value(path, list) }

func (z *Zipper) value(path string, list []reflect.Value) reflect.Value {
	first := list[0]
	t := first.Type()
	if !Holds(t) || t.Implements(moduleType) {
		return z.same(path, list)
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Slice, reflect.Map:
		if z.absent(path, list) {
			return first
		}
	}
	if t == tensorType {
		return z.tensor(path, list)
	}
	out, met := z.start(list)
	if met {
		return out
	}
	switch t.Kind() {
	case reflect.Pointer:
		out.Elem().Set(z.value(path, each(list, reflect.Value.Elem)))
	case reflect.Interface:
		inner := each(list, reflect.Value.Elem)
		for _, v := range inner {
			if v.Type() != inner[0].Type() {
				z.Fail(path, "is a %s of one replica and a %s of another", inner[0].Type(), v.Type())
			}
		}
		out.Set(z.value(path, inner))
	case reflect.Struct:
		out.Set(first)
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() {
				out.Field(i).Set(z.value(path+"."+f.Name, each(list, func(v reflect.Value) reflect.Value { return v.Field(i) })))
			}
		}
	case reflect.Slice, reflect.Array:
		z.alike(path, list)
		for i := range first.Len() {
			elements := each(list, func(v reflect.Value) reflect.Value { return v.Index(i) })
			out.Index(i).Set(z.value(fmt.Sprintf("%s[%d]", path, i), elements))
		}
	case reflect.Map:
		z.alike(path, list)
		for it := first.MapRange(); it.Next(); {
			at := fmt.Sprintf("%s[%v]", path, it.Key())
			out.SetMapIndex(it.Key(), z.value(at, each(list, func(v reflect.Value) reflect.Value {
				e := v.MapIndex(it.Key())
				if !e.IsValid() {
					z.Fail(at, "is there of one replica and not of another")
				}
				return e
			})))
		}
	}
	return out
}

func each(list []reflect.Value, f func(reflect.Value) reflect.Value) []reflect.Value {
	out := make([]reflect.Value, len(list))
	for i, v := range list {
		out[i] = f(v)
	}
	return out
}

// absent reports whether all values are nil.
func (z *Zipper) absent(path string, list []reflect.Value) bool {
	for _, v := range list {
		if v.IsNil() != list[0].IsNil() {
			z.Fail(path, "is nil of one replica and not of another")
		}
	}
	return list[0].IsNil()
}

func (z *Zipper) alike(path string, list []reflect.Value) {
	for _, v := range list {
		if v.Len() != list[0].Len() {
			z.Fail(path, "has %d elements of one replica and %d of another", list[0].Len(), v.Len())
		}
	}
}

// same returns what holds no tensor, which has to be equal in all values.
func (z *Zipper) same(path string, list []reflect.Value) reflect.Value {
	for _, v := range list {
		if !reflect.DeepEqual(v.Interface(), list[0].Interface()) {
			z.Fail(path, "is %v of one replica and %v of another, and only tensors can be joined: return it as a tensor",
				list[0], v)
		}
	}
	return list[0]
}

func (z *Zipper) tensor(path string, list []reflect.Value) reflect.Value {
	tensors := make([]*torch.Tensor, len(list))
	for k, v := range list {
		tensors[k] = v.Interface().(*torch.Tensor)
	}
	return reflect.ValueOf(z.Tensors(path, tensors))
}
