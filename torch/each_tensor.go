package torch

import (
	"reflect"
	"unsafe"
)

var tensorType = reflect.TypeFor[*Tensor]()

// EachTensor calls f with every tensor in v: v itself, or those in its exported fields, elements and map values,
// however deep. A tensor that stands in two places is given twice; what several pointers, maps or slices have in common
// is walked once, so that values may refer to each other and to themselves. Nil tensors are passed over.
func EachTensor(v any, f func(*Tensor)) {
	notNil("torch.EachTensor", f != nil)
	switch v := v.(type) {
	case nil:
	case *Tensor:
		if v != nil {
			f(v)
		}
	case []*Tensor:
		for _, t := range v {
			if t != nil {
				f(t)
			}
		}
	default:
		w := tensorWalk{f: f}
		w.walk(reflect.ValueOf(v), 0)
		for len(w.later) > 0 {
			next := w.later[len(w.later)-1]
			w.later = w.later[:len(w.later)-1]
			w.walk(next, 0)
		}
	}
}

// tensorWalk is one call of EachTensor.
type tensorWalk struct {
	f     func(*Tensor)
	few   [8]reference // the first references that were met: most values have no more, and need no map
	n     int
	many  map[reference]struct{}
	later []reflect.Value // what lies too deep for the stack, such as the end of a long list
}

// reference is what a pointer, a map or a slice refers to. A struct has its first field's address, and a slice that of
// a shorter one.
type reference struct {
	at  unsafe.Pointer
	len int
	of  reflect.Type
}

// deepest is how many levels are walked by recursion.
const deepest = 1000

// first reports whether a reference is met for the first time.
func (w *tensorWalk) first(v reflect.Value, n int) bool {
	r := reference{v.UnsafePointer(), n, v.Type()}
	for i := range w.n {
		if w.few[i] == r {
			return false
		}
	}
	if w.n < len(w.few) {
		w.few[w.n] = r
		w.n++
		return true
	}
	if _, met := w.many[r]; met {
		return false
	}
	if w.many == nil {
		w.many = map[reference]struct{}{}
	}
	w.many[r] = struct{}{}
	return true
}

func (w *tensorWalk) walk(v reflect.Value, depth int) {
	if depth > deepest {
		w.later = append(w.later, v)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return
		}
		if v.Type() == tensorType {
			w.f(v.Interface().(*Tensor))
			return
		}
		if w.first(v, 0) {
			w.walk(v.Elem(), depth+1)
		}
	case reflect.Interface:
		if !v.IsNil() {
			w.walk(v.Elem(), depth+1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				w.walk(v.Field(i), depth+1)
			}
		}
	case reflect.Slice, reflect.Array:
		of := v.Type().Elem()
		if k := of.Kind(); k <= reflect.Complex128 || k == reflect.String {
			return
		}
		if v.Kind() == reflect.Slice && of != tensorType && !w.first(v, v.Len()) {
			return
		}
		for i := range v.Len() {
			w.walk(v.Index(i), depth+1)
		}
	case reflect.Map:
		if !v.IsNil() && w.first(v, 0) {
			for it := v.MapRange(); it.Next(); {
				w.walk(it.Value(), depth+1)
			}
		}
	}
}
