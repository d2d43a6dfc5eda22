package aten

import (
	"fmt"
	"reflect"

	"github.com/golite/golite/internal/op"
	"github.com/golite/golite/internal/schema"
	"github.com/golite/golite/torch"
)

// encodeSized is encode with a look at the length of lists of a fixed size, int[2]: many of libtorch's kernels don't
// check it, and read past the end. A list of one integer stands for all; for some it may be empty.
func encodeSized(a *op.Args, s *schema.Schema, arg schema.Arg, v any) string {
	t := arg.Type.Inner()
	if _, ok := v.(fallback); ok || t.Size < 2 || t.Key() != "int[]" && t.Key() != "bool[]" {
		return encode(a, arg.Type, v)
	}
	r := reflect.ValueOf(deref(v))
	if r.Kind() != reflect.Slice && r.Kind() != reflect.Array || r.Len() == t.Size || isNone(arg.Type, deref(v)) {
		return encode(a, arg.Type, v)
	}
	switch {
	case r.Len() == 1 && t.Key() == "int[]":
		return encode(a, arg.Type, r.Index(0).Interface())
	case r.Len() == 0 && s.MayBeEmpty(arg):
		return encode(a, arg.Type, v)
	}
	return fmt.Sprintf("want %s of %d, got %d", lists[t.Key()], t.Size, r.Len())
}

// encodeList writes a list: a slice of the right elements, or one value where the type has a fixed size.
func encodeList(a *op.Args, t schema.Type, v any) string {
	r := reflect.ValueOf(v)
	if r.Kind() != reflect.Slice && r.Kind() != reflect.Array {
		if !spreads(t) {
			return "want " + wants(t) + ", got " + given(v)
		}
		all := make([]any, t.Size)
		for i := range all {
			all[i] = v
		}
		if problem := encodeItems(a, t, reflect.ValueOf(all)); problem != "" {
			return "want " + wants(t) + ", got " + given(v)
		}
		return ""
	}
	return encodeItems(a, t, r)
}

func encodeItems(a *op.Args, t schema.Type, r reflect.Value) string {
	switch t.Key() {
	case "Tensor[]", "Tensor?[]":
		return encodeTensors(a, t, r)
	case "int[]":
		return each(t, r, func(v any) (int, bool) { i, ok := integer(v); return int(i), ok }, a.Ints)
	case "float[]":
		return each(t, r, float, a.Floats)
	case "bool[]":
		return each(t, r, is[bool], a.Bools)
	case "str[]":
		return each(t, r, is[string], a.Strings)
	case "Scalar[]":
		return each(t, r, scalar, func(list []torch.Scalar) { abi.Scalars(a, list) })
	}
	return "want " + wants(t) + ", got a list"
}

func is[T any](v any) (T, bool) {
	t, ok := v.(T)
	return t, ok
}

// each converts the items and writes the list if all could be.
func each[T any](t schema.Type, r reflect.Value, convert func(any) (T, bool), write func([]T)) string {
	list := make([]T, r.Len())
	for i := range list {
		v := r.Index(i).Interface()
		ok := v != nil
		if ok {
			list[i], ok = convert(v)
		}
		if !ok {
			return "want " + wants(t) + ", got " + item(r, i)
		}
	}
	write(list)
	return ""
}

func encodeTensors(a *op.Args, t schema.Type, r reflect.Value) string {
	optional := t.Elem.IsOptional()
	list := make([]*torch.Tensor, r.Len())
	for i := range list {
		switch v := r.Index(i).Interface().(type) {
		case *torch.Tensor:
			list[i] = v
		case nil:
		default:
			return "want " + wants(t) + ", got " + item(r, i)
		}
		if list[i] == nil && !optional {
			return fmt.Sprintf("want %s, got nil at index %d", wants(t), i)
		}
	}
	if optional {
		abi.OptTensors(a, list)
	} else {
		abi.Tensors(a, list)
	}
	return ""
}

// item describes item i of a list that isn't what it should be.
func item(r reflect.Value, i int) string {
	v := r.Index(i).Interface()
	if v == nil {
		return fmt.Sprintf("nil at index %d", i)
	}
	return fmt.Sprintf("%s at index %d", given(v), i)
}
