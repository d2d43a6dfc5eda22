package lite

import (
	"fmt"
	"iter"
	"math/big"
	"reflect"

	"github.com/golite/golite/internal/typename"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/serial"
)

var bigType = reflect.TypeFor[*big.Int]()

// converted gives what a file has as a value of another type: numbers where they fit exactly, named strings, slices, arrays
// and maps element by element.
func converted(from any, t reflect.Type) (reflect.Value, error) {
	v := reflect.ValueOf(from)
	switch {
	case !v.IsValid():
		return reflect.Zero(t), nil
	case v.Type().AssignableTo(t):
		return v, nil
	case isNumber(v.Kind()) && isNumber(t.Kind()):
		c := v.Convert(t)
		if back := c.Convert(v.Type()); !back.Equal(v) && back.Equal(back) { // a NaN fits, and equals nothing
			return v, fmt.Errorf("the value %v doesn't fit a %s", from, t)
		}
		return c, nil
	case isNumber(t.Kind()) && v.Type() == bigType: // of an integer that no int holds
		if n := from.(*big.Int); n.IsUint64() {
			return converted(n.Uint64(), t)
		}
	case v.Kind() == t.Kind() && (v.Kind() == reflect.Bool || v.Kind() == reflect.String):
		return v.Convert(t), nil
	case v.Kind() == reflect.Slice && (t.Kind() == reflect.Slice || t.Kind() == reflect.Array):
		return convertedList(v, t)
	case t.Kind() == reflect.Map:
		if pairs, ok := pairsOf(from); ok {
			return convertedMap(pairs, t)
		}
	case t.Kind() == reflect.Pointer && t != tensorType:
		elem, err := converted(from, t.Elem())
		if err != nil {
			return v, err
		}
		p := reflect.New(t.Elem())
		p.Elem().Set(elem)
		return p, nil
	}
	return v, fmt.Errorf("want a %s, found a %s", t, typename.Of(from))
}

func isNumber(k reflect.Kind) bool {
	return k >= reflect.Int && k <= reflect.Float64 && k != reflect.Uintptr
}

func convertedList(v reflect.Value, t reflect.Type) (reflect.Value, error) {
	out := reflect.New(t).Elem()
	if t.Kind() == reflect.Slice {
		out.Set(reflect.MakeSlice(t, v.Len(), v.Len()))
	} else if t.Len() != v.Len() {
		return v, fmt.Errorf("want a %s, found %d elements", t, v.Len())
	}
	for i := range v.Len() {
		c, err := converted(v.Index(i).Interface(), t.Elem())
		if err != nil {
			return v, fmt.Errorf("element %d: %w", i, err)
		}
		out.Index(i).Set(c)
	}
	return out, nil
}

func convertedMap(pairs iter.Seq2[any, any], t reflect.Type) (reflect.Value, error) {
	out := reflect.MakeMap(t)
	for k, v := range pairs {
		key, err := converted(k, t.Key())
		if err != nil {
			return out, fmt.Errorf("the key %v: %w", k, err)
		}
		elem, err := converted(v, t.Elem())
		if err != nil {
			return out, fmt.Errorf("under %v: %w", k, err)
		}
		out.SetMapIndex(key, elem)
	}
	return out, nil
}

// pairsOf walks what a dictionary of a file may have become, see goValue.
func pairsOf(v any) (iter.Seq2[any, any], bool) {
	switch v := v.(type) {
	case map[string]any:
		return func(yield func(any, any) bool) {
			for k, x := range v {
				if !yield(k, x) {
					return
				}
			}
		}, true
	case map[int]any:
		return func(yield func(any, any) bool) {
			for k, x := range v {
				if !yield(k, x) {
					return
				}
			}
		}, true
	case *torch.StateDict:
		return func(yield func(any, any) bool) {
			for k, x := range v.All() {
				if !yield(k, x) {
					return
				}
			}
		}, true
	case *serial.Dict:
		return v.All(), true
	}
	return nil, false
}
