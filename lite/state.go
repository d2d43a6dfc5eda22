package lite

import (
	"fmt"
	"iter"
	"maps"
	"math/big"
	"reflect"
	"slices"

	"github.com/golite/golite/internal/typename"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
	"github.com/golite/golite/torch/serial"
)

// State is the content of a checkpoint, and the description of what to load it into: models, modules, optimizers,
// schedulers, loaders and whatever has StateDict and LoadStateDict are converted and filled in place, also in a list ([]any);
// a pointer to a plain
// value (a number, a string, a slice, an array or a map of such) is read by Save and written by Load; other values are
// saved as they are, and Load puts the file's in their place in the map.
type State map[string]any

// stateful is what converts itself.
type stateful interface {
	StateDict() map[string]any
	LoadStateDict(map[string]any) error
}

// moduleState is a model of any type.
type moduleState interface {
	StateDict() *torch.StateDict
	LoadStateDict(*torch.StateDict, ...nn.LoadOptions) error
}

func asState(v any) (State, bool) {
	switch v := v.(type) {
	case State:
		return v, true
	case map[string]any:
		return v, true
	}
	return nil, false
}

// convert gives the plain content of a State.
func (s State) convert(o SaveOptions) (State, error) {
	for key := range o.Filter {
		if _, ok := s[key]; !ok {
			return nil, fmt.Errorf("the filter names %q, and the state has %v", key, slices.Sorted(maps.Keys(s)))
		}
	}
	out := State{}
	for key, v := range s {
		plain, err := plainOf(v)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", key, err)
		}
		if f := o.Filter[key]; f != nil {
			var left bool
			if plain, left = filtered(plain, f); !left {
				continue
			}
		}
		out[key] = plain
	}
	return out, nil
}

func plainOf(v any) (any, error) {
	if nilPointer(v) {
		return nil, fmt.Errorf("a nil %T", v)
	}
	switch v := v.(type) {
	case []any:
		return plainList(v)
	case *partModule:
		return v, nil
	case moduleState:
		return v.StateDict(), nil
	case nn.Module:
		return nn.StateDict(v), nil
	case stateful:
		return v.StateDict(), nil
	case *torch.Tensor, *torch.StateDict:
		return v, nil
	}
	if r := reflect.ValueOf(v); r.Kind() == reflect.Pointer && isPlain(r.Elem().Kind()) {
		return r.Elem().Interface(), nil
	}
	return v, nil
}

// plainList converts a list whose elements are models, optimizers and the like. Others stay as they are.
func plainList(list []any) (any, error) {
	if !hasTargets(list) {
		return list, nil
	}
	out := make([]any, len(list))
	for i, v := range list {
		plain, err := plainOf(v)
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
		out[i] = plain
	}
	return out, nil
}

// hasTargets reports whether a list has elements that are converted, and filled in place.
func hasTargets(list []any) bool {
	return slices.ContainsFunc(list, func(v any) bool {
		switch v.(type) {
		case moduleState, nn.Module, stateful:
			return true
		}
		return false
	})
}

func nilPointer(v any) bool {
	r := reflect.ValueOf(v)
	return r.Kind() == reflect.Pointer && r.IsNil()
}

// isPlain tells what a pointer in a State may point at, to be read and written.
func isPlain(k reflect.Kind) bool {
	return k <= reflect.Float64 && k != reflect.Uintptr || k == reflect.String || k == reflect.Map || k == reflect.Slice || k == reflect.Array
}

func filtered(v any, keep func(string, any) bool) (any, bool) {
	switch v := v.(type) {
	case *partModule:
		return &partModule{l: v.l, module: v.module, keep: keep}, true
	case *torch.StateDict:
		out := &torch.StateDict{}
		for name, t := range v.All() {
			if keep(name, t) {
				out.Set(name, t)
			}
		}
		return out, out.Len() > 0
	case map[string]any:
		out := map[string]any{}
		for name, x := range v {
			if keep(name, x) {
				out[name] = x
			}
		}
		return out, len(out) > 0
	}
	return v, true
}

// resumes tells whether training goes on from what is loaded.
func (s State) resumes() bool {
	return slices.ContainsFunc(slices.Collect(maps.Values(s)), isTrained)
}

// isTrained reports whether training goes on from a value that is loaded.
func isTrained(v any) bool {
	switch v := v.(type) {
	case []any:
		return slices.ContainsFunc(v, isTrained)
	case moduleState, nn.Module:
	case optim.Optimizer, stateful:
		return true
	}
	return false
}

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
