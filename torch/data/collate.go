package data

import (
	"fmt"
	"reflect"

	"github.com/golite/golite/torch"
)

var tensorType = reflect.TypeFor[*torch.Tensor]()

// Collate makes a batch of samples, as a Loader does by itself: the tensors of each field are stacked along a new
// first dimension. S is a *torch.Tensor, or a struct whose exported fields are tensors or such structs; a field of
// another kind, which a batch of the same type can't hold, is an error.
func Collate[S any](samples []S) (S, error) {
	var batch S
	if len(samples) == 0 {
		return batch, fmt.Errorf("data: collate was given no samples")
	}
	values := make([]reflect.Value, len(samples))
	for i := range samples {
		values[i] = reflect.ValueOf(&samples[i]).Elem()
	}
	err := collateInto(reflect.ValueOf(&batch).Elem(), values, "")
	return batch, err
}

func collateInto(into reflect.Value, samples []reflect.Value, path string) error {
	t := into.Type()
	switch {
	case t == tensorType:
		list := make([]*torch.Tensor, len(samples))
		for i, s := range samples {
			list[i] = s.Interface().(*torch.Tensor)
		}
		return stackInto(into, list, path)
	case t.Kind() == reflect.Struct:
		fields := make([]reflect.Value, len(samples))
		for k := range t.NumField() {
			f := t.Field(k)
			if !f.IsExported() {
				continue
			}
			for i, s := range samples {
				fields[i] = s.Field(k)
			}
			if err := collateInto(into.Field(k), fields, path+"."+f.Name); err != nil {
				return err
			}
		}
		return nil
	case t.Kind() == reflect.Slice && t.Elem() == tensorType:
		return collateSlice(into, samples, path)
	default:
		return fmt.Errorf("data: the default collate can't make one batch of %s%s, a %s: make the loader with "+
			"NewLoaderFunc and a collate function, or let the sample hold a tensor",
			"the sample", path, t)
	}
}

// collateSlice stacks the first tensors of all samples, the second ones, and so on.
func collateSlice(into reflect.Value, samples []reflect.Value, path string) error {
	n := samples[0].Len()
	out := reflect.MakeSlice(into.Type(), n, n)
	for k := range n {
		list := make([]*torch.Tensor, len(samples))
		for i, s := range samples {
			if s.Len() != n {
				return fmt.Errorf("data: samples with %d and %d tensors in the sample%s don't make a batch: use NewLoaderFunc "+
					"and a collate function", n, s.Len(), path)
			}
			list[i] = s.Index(k).Interface().(*torch.Tensor)
		}
		if err := stackInto(out.Index(k), list, fmt.Sprintf("%s[%d]", path, k)); err != nil {
			return err
		}
	}
	into.Set(out)
	return nil
}

func stackInto(into reflect.Value, list []*torch.Tensor, path string) error {
	missing := 0
	for _, t := range list {
		if t == nil {
			missing++
		}
	}
	if missing == len(list) {
		return nil // an optional field that no sample has
	}
	if missing > 0 {
		return fmt.Errorf("data: %d of %d samples have no tensor in the sample%s", missing, len(list), path)
	}
	err := torch.Try(func() { into.Set(reflect.ValueOf(torch.Stack(list, 0))) })
	if err != nil {
		return fmt.Errorf("data: collate of the sample%s: %w", path, err)
	}
	return nil
}
