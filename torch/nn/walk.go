package nn

import (
	"reflect"
	"strconv"
	"unsafe"

	"github.com/golite/golite/torch"
)

// node is a module as a walk found it, or a list or plain struct between modules.
type node struct {
	path     string
	module   Module       // nil for a list or a plain struct
	group    reflect.Type // of a plain struct
	none     bool         // a nil module that should be there; a lenient walk only
	hidden   bool         // a list that holds no modules and is of a type that need not; not printed
	bases    []*Base      // the module's, and those of the modules it embeds
	params   []entry
	buffers  []entry
	children []*node
}

// entry is a parameter or a buffer of a node.
type entry struct {
	key        string
	tensor     *torch.Tensor
	persistent bool
}

// container is a module whose members have keys of their own and not those of its fields. self distinguishes the
// container from a struct that embeds it, to which the methods are promoted.
type container interface {
	Module
	self() any
	members() []member
}

// member is a Parameter or a Module of a container.
type member struct {
	key   string
	value any
}

// walker walks a model for one operation.
type walker struct {
	operation string
	active    map[visit]bool
	lenient   bool // a nil module is a node, not a panic: for printing
}

type visit struct {
	t reflect.Type
	p unsafe.Pointer
}

// tree walks a model. What is wrong in it (a nil module, a cycle, two members of one name) is a panic with the path.
func tree(operation string, m Module) *node {
	w := &walker{operation: operation, active: map[visit]bool{}}
	v := reflect.ValueOf(m)
	if m == nil || (v.Kind() == reflect.Pointer && v.IsNil()) {
		torch.Fail(operation, "the model is nil")
	}
	return w.module("", m)
}

func (w *walker) module(path string, m Module) *node {
	n := &node{path: path, module: m}
	w.fill(n, m)
	n.unique(w.operation)
	return n
}

// fill adds a module's own members to n: those of m itself, or of a module that n's embeds.
func (w *walker) fill(n *node, m Module) {
	v := reflect.ValueOf(m)
	if v.Kind() == reflect.Pointer {
		at := visit{v.Type(), v.UnsafePointer()}
		if w.active[at] {
			torch.Fail(w.operation, "%s leads back to a module that holds it: a model must not contain itself; `torch:\"-\"` leaves a field out", n.path)
		}
		w.active[at] = true
		defer delete(w.active, at)
		v = v.Elem()
	} else {
		c := reflect.New(v.Type()).Elem()
		c.Set(v)
		v = c
	}
	if c, ok := m.(container); ok && c.self() == any(m) {
		n.bases = append(n.bases, m.embedsBase())
		for _, one := range c.members() {
			w.value(n, one.key, reflect.ValueOf(&one.value).Elem(), dynamic, tag{})
		}
		return
	}
	w.fields(n, v)
}

func (w *walker) fields(n *node, v reflect.Value) {
	if v.Kind() != reflect.Struct {
		torch.Fail(w.operation, "%s: a module is a struct that embeds nn.Base, got %s", here(n.path), v.Type())
	}
	p := planOf(w.operation, n.path, v.Type())
	if p.base >= 0 {
		n.bases = append(n.bases, v.Field(p.base).Addr().Interface().(*Base))
	}
	for i := range p.fields {
		f := &p.fields[i]
		fv := opened(v.Field(f.index))
		if f.embedded {
			w.embedded(n, f, fv)
			continue
		}
		w.value(n, f.key, fv, f.class, f.tag)
	}
}

// embedded adds an embedded struct's members to those of the struct around it.
func (w *walker) embedded(n *node, f *field, v reflect.Value) {
	switch f.class {
	case modulePtr:
		if v.IsNil() {
			w.absent(n, join(n.path, f.goName), f.tag)
			return
		}
		w.fill(n, v.Interface().(Module))
	case moduleVal:
		w.fill(n, v.Addr().Interface().(Module))
	default:
		w.fields(n, v)
	}
}

// value adds what is found under a key.
func (w *walker) value(n *node, key string, v reflect.Value, c class, t tag) {
	path := join(n.path, key)
	switch c {
	case parameter:
		n.add(&n.params, key, v.Interface().(Parameter).Tensor, t)
	case buffer:
		n.add(&n.buffers, key, v.Interface().(Buffer).Tensor, t)
	case pointerTo:
		if !v.IsNil() {
			w.value(n, key, v.Elem(), classify(v.Type().Elem(), nil), t)
		}
	case modulePtr:
		if v.IsNil() {
			w.absent(n, path, t)
			return
		}
		n.children = append(n.children, w.module(path, v.Interface().(Module)))
	case moduleVal:
		n.children = append(n.children, w.module(path, v.Addr().Interface().(Module)))
	case dynamic:
		w.dynamic(n, key, v, t)
	case list:
		w.list(n, path, v, t)
	case group:
		child := &node{path: path, group: v.Type()}
		w.fields(child, v)
		child.unique(w.operation)
		n.children = append(n.children, child)
	case refusedMap, refusedPtr:
		torch.Fail(w.operation, "%s holds a %s: keep modules in fields, slices, nn.ModuleList or nn.ModuleDict", path,
			v.Type())
	}
}

func (n *node) add(to *[]entry, key string, t *torch.Tensor, tg tag) {
	if t != nil {
		*to = append(*to, entry{key, t, !tg.nonpersistent})
	}
}

// absent refuses a nil module, unless its tag allows it.
func (w *walker) absent(n *node, path string, t tag) {
	switch {
	case t.optional:
	case w.lenient:
		n.children = append(n.children, &node{path: path, none: true})
	default:
		torch.Fail(w.operation, "the module %s is nil: make it in the constructor, or tag its field `torch:\",optional\"`", path)
	}
}

// dynamic visits what an interface holds.
func (w *walker) dynamic(n *node, key string, v reflect.Value, t tag) {
	if v.IsNil() {
		if v.Type().Implements(moduleType) {
			w.absent(n, join(n.path, key), t)
		}
		return
	}
	e := v.Elem()
	if m, ok := e.Interface().(Module); ok {
		if e.Kind() == reflect.Pointer && e.IsNil() {
			w.absent(n, join(n.path, key), t)
			return
		}
		n.children = append(n.children, w.module(join(n.path, key), m))
		return
	}
	if c := classify(e.Type(), map[reflect.Type]bool{}); c != nothing && c != dynamic {
		addressable := reflect.New(e.Type()).Elem()
		addressable.Set(e)
		w.value(n, key, addressable, c, t)
	}
}

// list adds a slice's elements under their numbers. A slice of interfaces that hold no module adds nothing.
func (w *walker) list(n *node, path string, v reflect.Value, t tag) {
	e := v.Type().Elem()
	c := classify(e, map[reflect.Type]bool{})
	child := &node{path: path, hidden: v.Len() == 0 && c == dynamic && !e.Implements(moduleType)}
	for i := range v.Len() {
		w.value(child, strconv.Itoa(i), opened(v.Index(i)), c, t)
	}
	n.children = append(n.children, child)
}

// opened makes an unexported field readable: it counts like any other, or it would never be trained.
func opened(v reflect.Value) reflect.Value {
	if v.CanInterface() || !v.CanAddr() {
		return v
	}
	return reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem()
}

// unique refuses two members of one key.
func (n *node) unique(operation string) {
	seen := map[string]bool{}
	check := func(path string) {
		if seen[path] {
			torch.Fail(operation, "two members have the key %s: give one another name with a tag", path)
		}
		seen[path] = true
	}
	for _, list := range [][]entry{n.params, n.buffers} {
		for _, e := range list {
			check(join(n.path, e.key))
		}
	}
	for _, c := range n.children {
		check(c.path)
	}
}

// each calls f with n and everything beneath it, a module before its children; f returns false to stop.
func (n *node) each(f func(*node) bool) bool {
	if !f(n) {
		return false
	}
	for _, c := range n.children {
		if !c.each(f) {
			return false
		}
	}
	return true
}
