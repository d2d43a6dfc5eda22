package pytree

import (
	"reflect"
	"unsafe"

	"github.com/golite/golite/torch"
)

// maxDepth bounds the walk: each level is on the stack, whose end ends the process.
const maxDepth = 100_000

// Mapper replaces the tensors in the exported fields, elements and map values of a value. Structs, slices, maps and
// what pointers point at are copied where something in them is replaced, and passed on as they are where nothing is.
// Modules are passed on. A Mapper has seen the pointers of all values that it was given: what two of them share, their
// copies share.
type Mapper struct {
	Tensor  func(*torch.Tensor) *torch.Tensor // returns what takes the tensor's place, or the tensor
	Shallow bool                              // what pointers point at is left alone

	// whole replaces other values; nil: there are none.
	whole func(v reflect.Value) (out reflect.Value, changed, done bool)
	// concerns reports whether values of a type may hold something to replace; nil: Holds.
	concerns func(t reflect.Type) bool
	visited  map[address]*visit
	replaced bool // a tensor or a value was
}

// address is that of a pointer, a slice or a map, with its type: a struct has its first field's address, and a slice
// that of a shorter one.
type address struct {
	at  unsafe.Pointer
	len int
	of  reflect.Type
}

// visit is a pointer, a slice or a map and its copy, which preserves aliasing and ends cycles.
type visit struct {
	from    reflect.Value
	out     reflect.Value // made when something in it is replaced, or something inside of it points back at it
	done    bool
	changed bool
	used    bool // something inside of it points at out
}

// Map returns v with every tensor in it replaced by f's (torch.utils._pytree.tree_map).
func Map[T any](v T, f func(*torch.Tensor) *torch.Tensor) T {
	if t, ok := any(v).(*torch.Tensor); ok {
		if t == nil {
			return v
		}
		return any(f(t)).(T)
	}
	return mapped(&Mapper{Tensor: f}, v)
}

func mapped[T any](m *Mapper, v T) T {
	out, changed := m.value(reflect.ValueOf(&v).Elem(), 0)
	if changed && m.replaced { // else what points back at itself alone was copied
		reflect.ValueOf(&v).Elem().Set(out)
	}
	return v
}

// MapValue is Map for a value that is known by reflection.
func MapValue(v reflect.Value, f func(*torch.Tensor) *torch.Tensor) reflect.Value {
	m := &Mapper{Tensor: f}
	if out, _ := m.value(v, 0); m.replaced {
		return out
	}
	return v
}

// Value returns v with what is replaced in it. changed reports whether it differs from v: something in it was replaced,
// or it refers to itself.
func (m *Mapper) Value(v reflect.Value) (out reflect.Value, changed bool) { return m.value(v, 0) }

func (m *Mapper) value(v reflect.Value, depth int) (out reflect.Value, changed bool) {
	if !v.IsValid() || !m.mayHold(v.Type()) {
		return v, false
	}
	if depth > maxDepth {
		torch.Fail("lite", "a %v is nested deeper than %d levels: put its tensors into a slice", v.Type(), maxDepth)
	}
	if m.whole != nil {
		if out, changed, done := m.whole(v); done {
			m.replaced = m.replaced || changed
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
		return m.parts(v, t.NumField(), depth, func(v reflect.Value, i int) (reflect.Value, bool) {
			return v.Field(i), t.Field(i).IsExported()
		})
	case reflect.Slice:
		if v.Len() > 0 && mayComeBack(v.Type().Elem()) {
			return m.list(v, depth)
		}
		return m.parts(v, v.Len(), depth, element)
	case reflect.Array:
		return m.parts(v, v.Len(), depth, element)
	case reflect.Map:
		return m.entries(v, depth)
	}
	return v, false
}

func (m *Mapper) mayHold(t reflect.Type) bool {
	if m.concerns != nil {
		return m.concerns(t)
	}
	return Holds(t)
}

func (m *Mapper) pointer(v reflect.Value, depth int) (reflect.Value, bool) {
	if v.IsNil() {
		return v, false
	}
	if v.Type() == tensorType {
		t := v.Interface().(*torch.Tensor)
		to := m.Tensor(t)
		m.replaced = m.replaced || to != t
		return reflect.ValueOf(to), to != t
	}
	if m.Shallow || v.Type().Implements(moduleType) {
		return v, false
	}
	if out, changed, met := m.seen(v); met {
		return out, changed
	}
	p := &visit{from: v}
	m.remember(v, p)
	elem, changed := m.value(v.Elem(), depth+1)
	if p.changed = changed; changed || p.used {
		p.copied().Elem().Set(elem)
	}
	return p.finish()
}

// seen returns what became of a reference that was walked before, or is being walked around this place.
func (m *Mapper) seen(v reflect.Value) (out reflect.Value, changed, met bool) {
	p := m.visited[addressOf(v)]
	switch {
	case p == nil:
		return v, false, false
	case p.done:
		return p.out, p.changed, true
	default:
		p.used = true
		return p.copied(), true, true
	}
}

func addressOf(v reflect.Value) address {
	a := address{at: v.UnsafePointer(), of: v.Type()}
	if v.Kind() == reflect.Slice {
		a.len = v.Len()
	}
	return a
}

func (m *Mapper) remember(v reflect.Value, p *visit) {
	if m.visited == nil {
		m.visited = map[address]*visit{}
	}
	m.visited[addressOf(v)] = p
}

// list walks a slice that may hold itself, and returns one copy of it wherever it stands.
func (m *Mapper) list(v reflect.Value, depth int) (reflect.Value, bool) {
	if out, changed, met := m.seen(v); met {
		return out, changed
	}
	p := &visit{from: v}
	m.remember(v, p)
	for i := range v.Len() {
		if q, c := m.value(v.Index(i), depth+1); c {
			p.copied().Index(i).Set(q)
			p.changed = true
		}
	}
	return p.finish()
}

// copied returns the copy, and makes it where there is none.
func (p *visit) copied() reflect.Value {
	switch {
	case p.out.IsValid():
	case p.from.Kind() == reflect.Pointer:
		p.out = reflect.New(p.from.Type().Elem())
	case p.from.Kind() == reflect.Map:
		p.out = copyOfMap(p.from)
	default:
		p.out = shallowCopy(p.from)
	}
	return p.out
}

// finish returns what became of a value: itself where nothing in it was replaced.
func (p *visit) finish() (reflect.Value, bool) {
	p.done, p.changed = true, p.changed || p.used
	if !p.changed {
		p.out = p.from
	}
	return p.out, p.changed
}

// Keep passes a pointer on as it is, wherever it stands in later values.
func (m *Mapper) Keep(v reflect.Value) {
	m.remember(v, &visit{out: v, done: true})
}

// partFunc returns part i of v. open reports whether it is walked.
type partFunc func(v reflect.Value, i int) (part reflect.Value, open bool)

func element(v reflect.Value, i int) (reflect.Value, bool) { return v.Index(i), true }

// parts walks fields or elements, and copies what has them when the first is replaced.
func (m *Mapper) parts(v reflect.Value, n, depth int, part partFunc) (reflect.Value, bool) {
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

func (m *Mapper) entries(v reflect.Value, depth int) (reflect.Value, bool) {
	if !v.IsNil() && mayComeBack(v.Type().Elem()) {
		return m.graph(v, depth)
	}
	out := v
	changed := false
	for it := v.MapRange(); it.Next(); {
		q, c := m.value(it.Value(), depth+1)
		if !c {
			continue
		}
		if !changed {
			out, changed = copyOfMap(v), true
		}
		out.SetMapIndex(it.Key(), q)
	}
	return out, changed
}

// graph walks a map that may hold itself, and returns one copy of it wherever it stands.
func (m *Mapper) graph(v reflect.Value, depth int) (reflect.Value, bool) {
	if out, changed, met := m.seen(v); met {
		return out, changed
	}
	p := &visit{from: v}
	m.remember(v, p)
	for it := v.MapRange(); it.Next(); {
		if q, c := m.value(it.Value(), depth+1); c {
			p.copied().SetMapIndex(it.Key(), q)
			p.changed = true
		}
	}
	return p.finish()
}

func copyOfMap(v reflect.Value) reflect.Value {
	out := reflect.MakeMapWithSize(v.Type(), v.Len())
	for all := v.MapRange(); all.Next(); {
		out.SetMapIndex(all.Key(), all.Value())
	}
	return out
}
