package nn

import (
	"iter"
	"reflect"
	"slices"
	"strings"

	"github.com/golite/golite/torch"
)

// ModuleDict holds modules by name, in the order in which the names were first set (torch.nn.ModuleDict). A Go map of
// modules has no order, so a model can't have one.
type ModuleDict[M Module] struct {
	Base
	named ordered[M]
}

// NewModuleDict makes an empty dict; Set fills it (torch.nn.ModuleDict).
func NewModuleDict[M Module]() *ModuleDict[M] { return &ModuleDict[M]{} }

// Set stores a module under a name and returns d. A name already there keeps its place.
func (d *ModuleDict[M]) Set(name string, m M) *ModuleDict[M] {
	if isNil(m) {
		torch.Fail("nn.ModuleDict", "the module %q is nil", name)
	}
	d.named.set("nn.ModuleDict", name, m)
	return d
}

// Get returns the module of that name; false if there is none.
func (d *ModuleDict[M]) Get(name string) (M, bool) { return d.named.get(name) }

// Delete removes a name.
func (d *ModuleDict[M]) Delete(name string) { d.named.delete(name) }

// Len returns the number of names.
func (d *ModuleDict[M]) Len() int { return len(d.named.keys) }

// Keys returns the names in their order.
func (d *ModuleDict[M]) Keys() []string { return slices.Clone(d.named.keys) }

// All walks names and modules in their order.
func (d *ModuleDict[M]) All() iter.Seq2[string, M] { return d.named.all }

func (d *ModuleDict[M]) self() any         { return d }
func (d *ModuleDict[M]) members() []member { return d.named.members() }

// ParameterDict holds parameters by name, in the order in which the names were first set (torch.nn.ParameterDict).
type ParameterDict struct {
	Base
	named ordered[Parameter]
}

// NewParameterDict makes an empty dict; Set fills it (torch.nn.ParameterDict).
func NewParameterDict() *ParameterDict { return &ParameterDict{} }

// Set stores a parameter under a name and returns d. A name already there keeps its place.
func (d *ParameterDict) Set(name string, p Parameter) *ParameterDict {
	d.named.set("nn.ParameterDict", name, p)
	return d
}

// Get returns the parameter of that name; false if there is none.
func (d *ParameterDict) Get(name string) (Parameter, bool) { return d.named.get(name) }

// Delete removes a name.
func (d *ParameterDict) Delete(name string) { d.named.delete(name) }

// Len returns the number of names.
func (d *ParameterDict) Len() int { return len(d.named.keys) }

// Keys returns the names in their order.
func (d *ParameterDict) Keys() []string { return slices.Clone(d.named.keys) }

// All walks names and parameters in their order.
func (d *ParameterDict) All() iter.Seq2[string, Parameter] { return d.named.all }

func (d *ParameterDict) self() any         { return d }
func (d *ParameterDict) members() []member { return d.named.members() }

// ordered is a map that keeps the order of its keys.
type ordered[T any] struct {
	keys   []string
	values map[string]T
}

func (o *ordered[T]) set(operation, name string, v T) {
	if name == "" || strings.Contains(name, ".") {
		torch.Fail(operation, "a name must not be empty or contain a dot, got %q", name)
	}
	if o.values == nil {
		o.values = map[string]T{}
	}
	if _, ok := o.values[name]; !ok {
		o.keys = append(o.keys, name)
	}
	o.values[name] = v
}

func (o *ordered[T]) get(name string) (T, bool) {
	v, ok := o.values[name]
	return v, ok
}

func (o *ordered[T]) delete(name string) {
	delete(o.values, name)
	o.keys = slices.DeleteFunc(o.keys, func(k string) bool { return k == name })
}

func (o *ordered[T]) all(yield func(string, T) bool) {
	for _, k := range o.keys {
		if !yield(k, o.values[k]) {
			return
		}
	}
}

func (o *ordered[T]) members() []member {
	out := make([]member, len(o.keys))
	for i, k := range o.keys {
		out[i] = member{k, o.values[k]}
	}
	return out
}

// isNil reports whether a module is nil, in an interface or not.
func isNil(m Module) bool {
	if m == nil {
		return true
	}
	v := reflect.ValueOf(m)
	return v.Kind() == reflect.Pointer && v.IsNil()
}
