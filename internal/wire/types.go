package wire

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/golite/golite/torch"
)

// basic are the types that an interface may hold by name. What is made of them is described by Go's own notation.
var basic = map[string]reflect.Type{
	"bool": reflect.TypeFor[bool](), "string": reflect.TypeFor[string](),
	"int": reflect.TypeFor[int](), "int8": reflect.TypeFor[int8](), "int16": reflect.TypeFor[int16](),
	"int32": reflect.TypeFor[int32](), "int64": reflect.TypeFor[int64](),
	"uint": reflect.TypeFor[uint](), "uint8": reflect.TypeFor[uint8](), "uint16": reflect.TypeFor[uint16](),
	"uint32": reflect.TypeFor[uint32](), "uint64": reflect.TypeFor[uint64](),
	"float32": reflect.TypeFor[float32](), "float64": reflect.TypeFor[float64](),
	"complex64": reflect.TypeFor[complex64](), "complex128": reflect.TypeFor[complex128](),
	"any": reflect.TypeFor[any](), "Tensor": reflect.TypeFor[torch.Tensor](),
}

// typeText describes a type that is made of basic ones: "map[string][]float64". It is false for others.
func typeText(t reflect.Type) (string, bool) {
	for name, b := range basic {
		if t == b {
			return name, true
		}
	}
	if t.Name() != "" {
		return "", false
	}
	of := func(prefix string, elem reflect.Type) (string, bool) {
		s, ok := typeText(elem)
		return prefix + s, ok
	}
	switch t.Kind() {
	case reflect.Pointer:
		return of("*", t.Elem())
	case reflect.Slice:
		return of("[]", t.Elem())
	case reflect.Array:
		return of(fmt.Sprintf("[%d]", t.Len()), t.Elem())
	case reflect.Map:
		key, ok := typeText(t.Key())
		if !ok {
			return "", false
		}
		return of("map["+key+"]", t.Elem())
	}
	return "", false
}

// typeOf reads what typeText wrote.
func typeOf(s string) (reflect.Type, error) {
	if t, ok := basic[s]; ok {
		return t, nil
	}
	wrap := func(rest string, f func(reflect.Type) reflect.Type) (reflect.Type, error) {
		t, err := typeOf(rest)
		if err != nil {
			return nil, err
		}
		return f(t), nil
	}
	head, rest, found := strings.Cut(s, "]")
	switch {
	case strings.HasPrefix(s, "*"):
		return wrap(s[1:], reflect.PointerTo)
	case strings.HasPrefix(s, "[]"):
		return wrap(s[2:], reflect.SliceOf)
	case found && strings.HasPrefix(s, "map["):
		key, ok := basic[head[len("map["):]]
		if !ok || !key.Comparable() {
			return nil, fmt.Errorf("%q is no type", s)
		}
		return wrap(rest, func(elem reflect.Type) reflect.Type { return reflect.MapOf(key, elem) })
	case found && strings.HasPrefix(s, "["):
		n, err := strconv.Atoi(head[1:])
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%q is no type", s)
		}
		return wrap(rest, func(elem reflect.Type) reflect.Type { return reflect.ArrayOf(n, elem) })
	}
	return nil, fmt.Errorf("%q is no type", s)
}
