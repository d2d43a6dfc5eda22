package nn

import (
	"reflect"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// Clone makes a copy of a model with parameters and buffers of its own, which belong to no scope (copy.deepcopy of a
// torch.nn.Module). What is shared within the model is shared within the copy, and hooks of modules are the copy's as
// well. Gradients and hooks of tensors are not copied. Fields that hold neither modules nor parameters are copied as by
// an assignment.
func Clone[M Module](m M) M {
	tree("nn.Clone", m)
	c := &cloner{tensors: map[*torch.Tensor]*torch.Tensor{}, pointers: map[visit]reflect.Value{}}
	out := reflect.New(reflect.TypeFor[M]()).Elem()
	out.Set(reflect.ValueOf(m))
	c.value(out)
	return out.Interface().(M)
}

// cloner replaces what is shared with a model by copies.
type cloner struct {
	tensors  map[*torch.Tensor]*torch.Tensor
	pointers map[visit]reflect.Value
}

// value makes a shallow copy, which is addressable, a deep one.
func (c *cloner) value(v reflect.Value) {
	v = opened(v)
	switch t := v.Type(); {
	case t == parameterType || t == bufferType:
		at := opened(v.Field(0))
		if old := at.Interface().(*torch.Tensor); old != nil {
			at.Set(reflect.ValueOf(c.tensor(old)))
		}
		return
	case !carries(t):
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		c.pointer(v)
	case reflect.Interface:
		if !v.IsNil() {
			e := reflect.New(v.Elem().Type()).Elem()
			e.Set(v.Elem())
			c.value(e)
			v.Set(e)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Tag.Get("torch") != "-" {
				c.value(v.Field(i))
			}
		}
	case reflect.Slice:
		c.slice(v)
	case reflect.Array:
		for i := range v.Len() {
			c.value(v.Index(i))
		}
	case reflect.Map:
		c.mapping(v)
	}
}

func (c *cloner) pointer(v reflect.Value) {
	if v.IsNil() {
		return
	}
	at := visit{v.Type(), v.UnsafePointer()}
	if done, ok := c.pointers[at]; ok {
		v.Set(done)
		return
	}
	e := reflect.New(v.Type().Elem())
	e.Elem().Set(v.Elem())
	c.pointers[at] = e
	c.value(e.Elem())
	v.Set(e)
}

func (c *cloner) slice(v reflect.Value) {
	if v.IsNil() {
		return
	}
	s := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
	reflect.Copy(s, v)
	for i := range s.Len() {
		c.value(s.Index(i))
	}
	v.Set(s)
}

func (c *cloner) mapping(v reflect.Value) {
	if v.IsNil() {
		return
	}
	m := reflect.MakeMapWithSize(v.Type(), v.Len())
	for it := v.MapRange(); it.Next(); {
		e := reflect.New(v.Type().Elem()).Elem()
		e.Set(it.Value())
		c.value(e)
		m.SetMapIndex(it.Key(), e)
	}
	v.Set(m)
}

// tensor copies a parameter's or buffer's tensor, once.
func (c *cloner) tensor(old *torch.Tensor) *torch.Tensor {
	if t, ok := c.tensors[old]; ok {
		return t
	}
	var t *torch.Tensor
	torch.NoScope(func() { torch.NoGrad(func() { t = aten.Clone(old, torch.PreserveFormat) }) })
	if old.RequiresGrad() {
		t.RequiresGrad_(true)
	}
	c.tensors[old] = t
	return t
}

// carries reports whether values of a type may reach modules or parameters, so that a copy must not share it.
func carries(t reflect.Type) bool {
	c := classify(t, map[reflect.Type]bool{})
	return c != nothing && c != refusedPtr
}
