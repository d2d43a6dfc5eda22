package lite

import (
	"reflect"
	"slices"
	"sync"
	"unsafe"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

var (
	tensorType = reflect.TypeFor[*torch.Tensor]()
	moduleType = reflect.TypeFor[nn.Module]()
)

// maxDepth bounds the walk: each level is on the stack, whose end ends the process.
const maxDepth = 100_000

// mapping gives a value with others in place of the tensors in its exported fields, elements and map values. Structs,
// slices, maps and what pointers point at are copied where something in them is replaced, and passed on as they are where
// nothing is. Modules are passed on.
type mapping struct {
	tensor   func(*torch.Tensor) *torch.Tensor
	whole    func(v reflect.Value) (out reflect.Value, changed, done bool) // replaces other values; nil: there are none
	concerns func(t reflect.Type) bool                                     // tells types that may hold something; nil: holdsTensors
	shallow  bool                                                          // what pointers point at is left alone
	pointers map[address]*pointee
	replaced bool // a tensor or a value was
}

// address is that of a pointer, a slice or a map, with its type: that of a struct is that of its first field as well,
// and that of a slice the one of a shorter one.
type address struct {
	at  unsafe.Pointer
	len int
	of  reflect.Type
}

// pointee is what became of a pointer, a slice or a map, so that two that were the same stay it, and circles end.
type pointee struct {
	from    reflect.Value
	out     reflect.Value // made when something in it is replaced, or something walked inside of it points back at it
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
	if changed && m.replaced { // else what points back at itself alone was copied
		reflect.ValueOf(&v).Elem().Set(out)
	}
	return v
}

// mapValue is mapTensors for what is known by reflection.
func mapValue(v reflect.Value, f func(*torch.Tensor) *torch.Tensor) reflect.Value {
	m := &mapping{tensor: f}
	if out, _ := m.value(v, 0); m.replaced {
		return out
	}
	return v
}

func (m *mapping) value(v reflect.Value, depth int) (out reflect.Value, changed bool) {
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
		return m.parts(v, t.NumField(), depth, func(v reflect.Value, i int) (reflect.Value, bool) { return v.Field(i), t.Field(i).IsExported() })
	case reflect.Slice:
		if v.Len() > 0 && mayComeBack(v.Type().Elem()) {
			return m.list(v, depth)
		}
		return m.parts(v, v.Len(), depth, func(v reflect.Value, i int) (reflect.Value, bool) { return v.Index(i), true })
	case reflect.Array:
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
		m.replaced = m.replaced || to != t
		return reflect.ValueOf(to), to != t
	}
	if m.shallow || v.Type().Implements(moduleType) {
		return v, false
	}
	if out, changed, met := m.met(v); met {
		return out, changed
	}
	p := &pointee{from: v}
	m.remember(v, p)
	elem, changed := m.value(v.Elem(), depth+1)
	if p.changed = changed; changed || p.used {
		p.copied().Elem().Set(elem)
	}
	return p.finish()
}

// met returns what became of a reference that was walked before, or is being walked around this place.
func (m *mapping) met(v reflect.Value) (out reflect.Value, changed, met bool) {
	p := m.pointers[addressOf(v)]
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

func (m *mapping) remember(v reflect.Value, p *pointee) {
	if m.pointers == nil {
		m.pointers = map[address]*pointee{}
	}
	m.pointers[addressOf(v)] = p
}

// list walks a slice that may hold itself, and returns one copy of it wherever it stands.
func (m *mapping) list(v reflect.Value, depth int) (reflect.Value, bool) {
	if out, changed, met := m.met(v); met {
		return out, changed
	}
	p := &pointee{from: v}
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
func (p *pointee) copied() reflect.Value {
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
func (p *pointee) finish() (reflect.Value, bool) {
	p.done, p.changed = true, p.changed || p.used
	if !p.changed {
		p.out = p.from
	}
	return p.out, p.changed
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
func (m *mapping) graph(v reflect.Value, depth int) (reflect.Value, bool) {
	if out, changed, met := m.met(v); met {
		return out, changed
	}
	p := &pointee{from: v}
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

// recursive remembers types that were looked at.
var recursive sync.Map

// mayComeBack reports whether a value of a type may hold a slice or a map of which it is a part, but for those behind
// pointers, which are remembered anyway.
func mayComeBack(t reflect.Type) bool {
	if v, ok := recursive.Load(t); ok {
		return v.(bool)
	}
	back := comesBack(t, nil)
	recursive.Store(t, back)
	return back
}

func comesBack(t reflect.Type, around []reflect.Type) bool {
	if slices.Contains(around, t) {
		return true
	}
	around = append(around, t)
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Slice, reflect.Array, reflect.Map:
		return comesBack(t.Elem(), around)
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() && comesBack(f.Type, around) {
				return true
			}
		}
	}
	return false
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
