package data

import (
	"context"
	"fmt"
	"reflect"

	"github.com/golite/golite/torch"
)

// TensorDataset is tensors whose first dimension counts the samples (torch.utils.data.TensorDataset), in the fields of
// an S: a sample and a batch are an S as well. A batch is one gather per tensor.
type TensorDataset[S any] struct {
	n      int
	sample func(i int) S
	batch  func(indices []int) S
}

// NewTensorDataset makes a data set of inputs and targets. Both are kept, and must have the same first size; it panics
// with a *torch.Error where they have not.
func NewTensorDataset(input, target *torch.Tensor) *TensorDataset[Example] {
	if input == nil || target == nil {
		torch.Fail("data.NewTensorDataset", "the inputs or the targets are nil: NewTensorDatasetOf takes inputs alone")
	}
	return newTensorDataset("data.NewTensorDataset", Example{input, target})
}

// NewTensorDatasetOf makes a data set of any tensors: S is a *torch.Tensor, or a struct whose exported fields are
// tensors, slices of tensors or such structs. A nil tensor stays nil in each sample.
//
//	ds := data.NewTensorDatasetOf(Pair{Words: words, Mask: mask, Translated: translated})
//
// The tensors are kept, and must have the same first size; it panics with a *torch.Error where they have not, where
// there is none, and where a field is of another kind.
func NewTensorDatasetOf[S any](tensors S) *TensorDataset[S] {
	return newTensorDataset("data.NewTensorDatasetOf", tensors)
}

// NewTensorDatasetFunc makes a data set of n samples whose tensors are made when they are read, for data that is
// smaller where it lies, such as images as bytes: sample makes those of one sample, batch those of several at once, one
// after the other along a new first dimension. They are called with indices from 0 to n-1, by several workers at a
// time. PyTorch's counterpart is a Dataset with __getitem__ and __getitems__. It panics with a *torch.Error if n is
// negative or a function is nil.
func NewTensorDatasetFunc[S any](n int, sample func(i int) S, batch func(indices []int) S) *TensorDataset[S] {
	if n < 0 || sample == nil || batch == nil {
		torch.Fail("data.NewTensorDatasetFunc", "%d samples: want 0 or more, and a function for a sample and one for a batch",
			n)
	}
	return &TensorDataset[S]{n, sample, batch}
}

func newTensorDataset[S any](operation string, tensors S) *TensorDataset[S] {
	n, first := -1, ""
	all := mapTensors(tensors, func(path string, t *torch.Tensor) *torch.Tensor {
		switch {
		case t.Dim() == 0:
			torch.Fail(operation, "%s is a scalar: want a first dimension that counts the samples", path)
		case n < 0:
			n, first = t.Size(0), fmt.Sprintf("%s of shape %v", path, t.Shape())
		case t.Size(0) != n:
			torch.Fail(operation, "%s and %s of shape %v have no common first size", first, path, t.Shape())
		}
		return t.Keep()
	}, func(path string, kind reflect.Type) {
		torch.Fail(operation, "%s is a %v: want tensors, slices of tensors, and structs of them", path, kind)
	})
	if n < 0 {
		torch.Fail(operation, "a %T without a tensor", tensors)
	}
	sample := func(i int) S {
		return mapTensors(all, func(_ string, t *torch.Tensor) *torch.Tensor { return t.Select(0, i) }, nil)
	}
	return NewTensorDatasetFunc(n, sample, func(indices []int) S { return gather(all, indices) })
}

// gather makes a batch of the tensors of all samples.
func gather[S any](all S, indices []int) S {
	at := map[torch.Device]*torch.Tensor{torch.CPU: torch.From(indices)}
	return mapTensors(all, func(_ string, t *torch.Tensor) *torch.Tensor {
		on := t.Device()
		if at[on] == nil {
			at[on] = at[torch.CPU].To(on)
		}
		return t.IndexSelect(0, at[on])
	}, nil)
}

// Len returns the number of samples.
func (d *TensorDataset[S]) Len() int { return d.n }

// Get returns sample i: views of the tensors, or what NewTensorDatasetFunc's function makes. An index outside of the
// data set is an error.
func (d *TensorDataset[S]) Get(_ context.Context, i int) (S, error) {
	if i < 0 || i >= d.n {
		var none S
		return none, fmt.Errorf("index %d is outside of a data set of %d samples", i, d.n)
	}
	return d.sample(i), nil
}

// Batch returns the samples of a batch, gathered. An index outside of the data set is an error.
func (d *TensorDataset[S]) Batch(_ context.Context, indices []int) (S, error) {
	for _, i := range indices {
		if i < 0 || i >= d.n {
			var none S
			return none, fmt.Errorf("index %d is outside of a data set of %d samples", i, d.n)
		}
	}
	return d.batch(indices), nil
}

// mapTensors returns a copy of v with f of each tensor in its place. other is called for what can't hold tensors alone;
// where there is one, both messages name the place in v.
func mapTensors[S any](v S, f func(path string, t *torch.Tensor) *torch.Tensor,
	other func(path string, kind reflect.Type)) (out S) {
	m := mapper{f, other}
	m.walk(reflect.ValueOf(&out).Elem(), reflect.ValueOf(&v).Elem(), "the sample")
	return out
}

type mapper struct {
	f     func(path string, t *torch.Tensor) *torch.Tensor
	other func(path string, kind reflect.Type)
}

func (m mapper) walk(into, from reflect.Value, path string) {
	switch t := from.Type(); {
	case t == tensorType:
		if x := from.Interface().(*torch.Tensor); x != nil {
			into.Set(reflect.ValueOf(m.f(path, x)))
		}
	case t.Kind() == reflect.Struct:
		for k := range t.NumField() {
			f := from.Field(k)
			if !f.CanInterface() {
				continue // not exported
			}
			at := "" // samples are many: an unused place isn't formatted
			if m.other != nil {
				at = path + "." + t.Field(k).Name
			}
			m.walk(into.Field(k), f, at)
		}
	case t.Kind() == reflect.Slice && t.Elem() == tensorType:
		into.Set(reflect.MakeSlice(t, from.Len(), from.Len()))
		for k := range from.Len() {
			at := ""
			if m.other != nil {
				at = fmt.Sprintf("%s[%d]", path, k)
			}
			m.walk(into.Index(k), from.Index(k), at)
		}
	default:
		m.other(path, t)
	}
}
