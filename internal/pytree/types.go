package pytree

import (
	"reflect"
	"slices"
	"sync"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

var (
	tensorType = reflect.TypeFor[*torch.Tensor]()
	moduleType = reflect.TypeFor[nn.Module]()
)

// recursive caches mayComeBack by type.
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

// holding caches Holds by type.
var holding sync.Map

// Holds reports whether values of a type may hold tensors.
func Holds(t reflect.Type) bool {
	return mayHold(t, nil, &holding, func(t reflect.Type) bool { return t == tensorType })
}

// mayHold reports whether values of a type may hold something of a type that is wanted. seen are the types around it.
// known caches the result for a type that none are around: that of a part may depend on them.
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
