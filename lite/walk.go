package lite

import (
	"reflect"
	"sync"
	"unsafe"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

var (
	tensorType = reflect.TypeFor[*torch.Tensor]()
	moduleType = reflect.TypeFor[nn.Module]()
)

// maxDepth bounds the walk, as torch.EachTensor's: slices and maps may hold themselves.
const maxDepth = 32

// mapping gives a value with others in place of the tensors in its exported fields, elements and map values. Structs,
// slices, maps and what pointers point at are copied where something in them is replaced, and passed on as they are where
// nothing is. Modules are passed on.
type mapping struct {
	tensor   func(*torch.Tensor) *torch.Tensor
	whole    func(v reflect.Value) (out reflect.Value, changed, done bool) // replaces other values; nil: there are none
	concerns func(t reflect.Type) bool                                     // tells types that may hold something; nil: holdsTensors
	shallow  bool                                                          // what pointers point at is left alone
	pointers map[address]*pointee
}

// address is a pointer's, with its type: that of a struct is that of its first field as well.
type address struct {
	at unsafe.Pointer
	of reflect.Type
}

// pointee is what became of a pointer, so that two that were the same stay it, and circles end.
type pointee struct {
	out     reflect.Value
	done    bool
	changed bool
	used    bool // something that is walked inside of it points at out
}

// mapTensors returns v with every tensor in it replaced by f's.
func mapTensors[T any](v T, f func(*torch.Tensor) *torch.Tensor) T {
	if t, ok := any(v).(*torch.Tensor); ok {
		if t == nil {
			return v
		}
		return any(f(t)).(T)
	}
	return mapped(&mapping{tensor: f}, v)
}

func mapped[T any](m *mapping, v T) T {
	out, changed := m.value(reflect.ValueOf(&v).Elem(), 0)
	if changed {
		reflect.ValueOf(&v).Elem().Set(out)
	}
	return v
}

// mapValue is mapTensors for what is known by reflection.
func mapValue(v reflect.Value, f func(*torch.Tensor) *torch.Tensor) reflect.Value {
	out, _ := (&mapping{tensor: f}).value(v, 0)
	return out
}

func (m *mapping) value(v reflect.Value, depth int) (out reflect.Value, changed bool) {
	if !v.IsValid() || depth > maxDepth || !m.mayHold(v.Type()) {
		return v, false
	}
	if m.whole != nil {
		if out, changed, done := m.whole(v); done {
			return out, changed
		}
	}
	switch v.Kind() {
	case reflect.Pointer:
		return m.pointer(v, depth)
	case reflect.Interface:
		if inner, changed := m.value(v.Elem(), depth+1); changed {
			out := reflect.New(v.Type()).Elem()
			out.Set(inner)
			return out, true
		}
	case reflect.Struct:
		t := v.Type()
		return m.parts(v, t.NumField(), depth, func(v reflect.Value, i int) (reflect.Value, bool) { return v.Field(i), t.Field(i).IsExported() })
	case reflect.Slice, reflect.Array:
		return m.parts(v, v.Len(), depth, func(v reflect.Value, i int) (reflect.Value, bool) { return v.Index(i), true })
	case reflect.Map:
		return m.entries(v, depth)
	}
	return v, false
}

func (m *mapping) mayHold(t reflect.Type) bool {
	if m.concerns != nil {
		return m.concerns(t)
	}
	return holdsTensors(t, nil)
}

func (m *mapping) pointer(v reflect.Value, depth int) (reflect.Value, bool) {
	if v.IsNil() {
		return v, false
	}
	if v.Type() == tensorType {
		t := v.Interface().(*torch.Tensor)
		to := m.tensor(t)
		return reflect.ValueOf(to), to != t
	}
	if m.shallow || v.Type().Implements(moduleType) {
		return v, false
	}
	p := m.pointers[address{v.UnsafePointer(), v.Type()}]
	switch {
	case p == nil:
	case p.done:
		return p.out, p.changed
	default:
		p.used = true
		return p.out, true
	}
	p = &pointee{out: reflect.New(v.Type().Elem())}
	m.remember(v, p)
	elem, changed := m.value(v.Elem(), depth+1)
	p.done, p.changed = true, changed || p.used
	if !p.changed {
		p.out = v
		return v, false
	}
	p.out.Elem().Set(elem)
	return p.out, true
}

func (m *mapping) remember(v reflect.Value, p *pointee) {
	if m.pointers == nil {
		m.pointers = map[address]*pointee{}
	}
	m.pointers[address{v.UnsafePointer(), v.Type()}] = p
}

// keep passes a pointer on as it is.
func (m *mapping) keep(v reflect.Value) {
	m.remember(v, &pointee{out: v, done: true})
}

// parts walks fields or elements, and copies what has them when the first is replaced.
func (m *mapping) parts(v reflect.Value, n, depth int, part func(v reflect.Value, i int) (reflect.Value, bool)) (reflect.Value, bool) {
	out := v
	changed := false
	for i := range n {
		p, open := part(v, i)
		if !open {
			continue
		}
		q, c := m.value(p, depth+1)
		if !c {
			continue
		}
		if !changed {
			out, changed = shallowCopy(v), true
		}
		to, _ := part(out, i)
		to.Set(q)
	}
	return out, changed
}

func shallowCopy(v reflect.Value) reflect.Value {
	if v.Kind() == reflect.Slice {
		out := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(out, v)
		return out
	}
	out := reflect.New(v.Type()).Elem()
	out.Set(v)
	return out
}

func (m *mapping) entries(v reflect.Value, depth int) (reflect.Value, bool) {
	out := v
	changed := false
	for it := v.MapRange(); it.Next(); {
		q, c := m.value(it.Value(), depth+1)
		if !c {
			continue
		}
		if !changed {
			out, changed = reflect.MakeMapWithSize(v.Type(), v.Len()), true
			for all := v.MapRange(); all.Next(); {
				out.SetMapIndex(all.Key(), all.Value())
			}
		}
		out.SetMapIndex(it.Key(), q)
	}
	return out, changed
}

// holding remembers types that were looked at.
var holding sync.Map

// holdsTensors tells whether values of a type may hold tensors. seen is the types around it.
func holdsTensors(t reflect.Type, seen []reflect.Type) bool {
	return mayHold(t, seen, &holding, func(t reflect.Type) bool { return t == tensorType })
}

// mayHold tells whether values of a type may hold something of a type that is wanted. What it finds of a whole type is kept in
// known; of a part, whose type may be one of those around it, it isn't the whole answer.
func mayHold(t reflect.Type, seen []reflect.Type, known *sync.Map, wanted func(reflect.Type) bool) (holds bool) {
	if seen == nil {
		if v, ok := known.Load(t); ok {
			return v.(bool)
		}
		defer func() { known.Store(t, holds) }()
	}
	if wanted(t) {
		return true
	}
	for _, s := range seen {
		if s == t {
			return false
		}
	}
	seen = append(seen, t)
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return mayHold(t.Elem(), seen, known, wanted)
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() && mayHold(f.Type, seen, known, wanted) {
				return true
			}
		}
	}
	return false
}
