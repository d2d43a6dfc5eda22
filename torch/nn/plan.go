package nn

import (
	"reflect"
	"sync"

	"github.com/golite/golite/torch"
)

var (
	moduleType    = reflect.TypeFor[Module]()
	baseType      = reflect.TypeFor[Base]()
	parameterType = reflect.TypeFor[Parameter]()
	bufferType    = reflect.TypeFor[Buffer]()
)

// class is what a type means to a walk.
type class uint8

const (
	nothing class = iota
	parameter
	buffer
	pointerTo  // a pointer to a Parameter or Buffer
	modulePtr  // a pointer that is a Module
	moduleVal  // a struct whose pointer is a Module
	dynamic    // an interface: its value decides
	list       // a slice or an array of any of these
	group      // a struct that is no module and holds some of these
	refusedMap // a map of some of these
	refusedPtr // a pointer to a group
)

// classify says what a type means; busy holds the struct types being looked at, for types that contain themselves.
func classify(t reflect.Type, busy map[reflect.Type]bool) class {
	switch {
	case t == parameterType:
		return parameter
	case t == bufferType:
		return buffer
	}
	switch t.Kind() {
	case reflect.Interface:
		return dynamic
	case reflect.Pointer:
		return classifyPointer(t, busy)
	case reflect.Struct:
		if reflect.PointerTo(t).Implements(moduleType) {
			return moduleVal
		}
		if holds(t, busy) {
			return group
		}
	case reflect.Slice, reflect.Array:
		if classify(t.Elem(), busy) != nothing {
			return list
		}
	case reflect.Map:
		if c := classify(t.Elem(), busy); c != nothing && (c != dynamic || t.Elem().Implements(moduleType)) {
			return refusedMap
		}
	}
	return nothing
}

func classifyPointer(t reflect.Type, busy map[reflect.Type]bool) class {
	e := t.Elem()
	switch {
	case t.Implements(moduleType):
		return modulePtr
	case e == parameterType || e == bufferType:
		return pointerTo
	case e.Kind() == reflect.Struct && holds(e, busy):
		return refusedPtr
	}
	return nothing
}

// holds reports whether a struct that is no module has a field that a walk visits.
func holds(t reflect.Type, busy map[reflect.Type]bool) bool {
	if busy[t] || t.PkgPath() == torchPackage {
		return false
	}
	busy[t] = true
	defer delete(busy, t)
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Type == baseType || f.Tag.Get("torch") == "-" {
			continue
		}
		c := classify(f.Type, busy)
		if c != nothing && (c != dynamic || f.Type.Implements(moduleType)) {
			return true
		}
	}
	return false
}

var torchPackage = reflect.TypeFor[torch.Tensor]().PkgPath()

// field is one field of a struct that a walk visits.
type field struct {
	index    int
	goName   string
	key      string
	class    class
	embedded bool // its members are the struct's own
	tag      tag
}

// plan lists what a walk visits in a struct type, found once.
type plan struct {
	fields []field
	base   int // the field that is Base, -1 if there is none
}

var plans sync.Map // reflect.Type -> *plan

// planOf finds a struct type's plan. A mistake in the type (a bad tag, a map of modules) is a panic.
func planOf(operation, path string, t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	p := &plan{base: -1}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Type == baseType && f.Anonymous {
			p.base = i
			continue
		}
		if one, ok := planField(operation, path, t, f, i); ok {
			p.fields = append(p.fields, one)
		}
	}
	plans.Store(t, p)
	return p
}

func planField(operation, path string, t reflect.Type, f reflect.StructField, i int) (field, bool) {
	text, tagged := f.Tag.Lookup("torch")
	tg, wrong := parseTag(text)
	where := t.String() + "." + f.Name
	switch {
	case wrong != "":
		torch.Fail(operation, "%s (in %s): tag `torch:%q`: %s", where, here(path), text, wrong)
	case tg.skip:
		return field{}, false
	}
	c := classify(f.Type, map[reflect.Type]bool{})
	switch {
	case c == nothing && tagged:
		torch.Fail(operation, "%s (in %s) has a tag `torch:%q`, but its type %s is no module, Parameter or Buffer, nor a slice of them",
			where, here(path), text, f.Type)
	case c == nothing:
		return field{}, false
	case c == refusedMap:
		torch.Fail(operation, "%s (in %s) is a Go map of modules or parameters, whose order differs from run to run: "+
			"use nn.ModuleDict or nn.ParameterDict, or a slice; `torch:\"-\"` leaves it out", where, here(path))
	case c == refusedPtr:
		torch.Fail(operation, "%s (in %s) points to a %s, which holds modules or parameters and is no module itself: "+
			"embed nn.Base in it; "+
			"`torch:\"-\"` leaves the field out", where, here(path), f.Type.Elem())
	}
	key := tg.name
	if key == "" {
		key = snake(f.Name)
	}
	embedded := f.Anonymous && tg.name == "" && (c == modulePtr || c == moduleVal || c == group)
	return field{index: i, goName: f.Name, key: key, class: c, embedded: embedded, tag: tg}, true
}

func here(path string) string {
	if path == "" {
		return "the model itself"
	}
	return path
}
