package trainer

import (
	"reflect"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
)

// batchSize is the first dimension of the first tensor of a batch, 1 where there is none.
func batchSize[B any](b B) int {
	switch b := any(b).(type) {
	case *torch.Tensor:
		return rows(b)
	case data.Example:
		return rows(b.Input)
	}
	if t := firstTensor(reflect.ValueOf(b)); t != nil {
		return rows(t)
	}
	return 1
}

func rows(t *torch.Tensor) int {
	if t == nil || t.Dim() == 0 {
		return 1
	}
	return t.Size(0)
}

// firstTensor looks for a tensor in structs, slices and maps, depth first.
func firstTensor(v reflect.Value) *torch.Tensor {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		if t, ok := v.Interface().(*torch.Tensor); ok {
			return t
		}
		return firstTensor(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				if t := firstTensor(v.Field(i)); t != nil {
					return t
				}
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if t := firstTensor(v.Index(i)); t != nil {
				return t
			}
		}
	case reflect.Map:
		return firstOfMap(v)
	}
	return nil
}

// firstOfMap takes keys in order, as Go's order is random.
func firstOfMap(v reflect.Value) *torch.Tensor {
	var first *torch.Tensor
	least := ""
	for _, k := range v.MapKeys() {
		if t := firstTensor(v.MapIndex(k)); t != nil && (first == nil || k.String() < least) {
			first, least = t, k.String()
		}
	}
	return first
}
