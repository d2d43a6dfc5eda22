package serial

import (
	"cmp"
	"reflect"
	"slices"

	"github.com/golite/golite/torch/serial/pickle"
)

// mapAsDict gives a Go map with string or int keys as a dict with sorted keys; ok is false for other values.
func mapAsDict(v any) (d *pickle.Dict, ok bool, err error) {
	m := reflect.ValueOf(v)
	if m.Kind() != reflect.Map {
		return nil, false, nil
	}
	keys := m.MapKeys()
	switch kind := m.Type().Key().Kind(); {
	case kind == reflect.String:
		slices.SortFunc(keys, func(a, b reflect.Value) int { return cmp.Compare(a.String(), b.String()) })
	case kind >= reflect.Int && kind <= reflect.Int64:
		slices.SortFunc(keys, func(a, b reflect.Value) int { return cmp.Compare(a.Int(), b.Int()) })
	default:
		return nil, false, nil
	}
	d = pickle.NewDict(pickle.PlainDict)
	for _, k := range keys {
		var key any = k.String()
		if k.CanInt() {
			key = int(k.Int())
		}
		if err := d.Set(key, m.MapIndex(k).Interface()); err != nil {
			return nil, false, err
		}
	}
	return d, true, nil
}
