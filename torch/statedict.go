package torch

import (
	"fmt"
	"iter"
	"slices"
	"strings"
)

// StateDict is an ordered map from names to tensors: what a module's parameters and buffers are saved as and loaded
// from. The order is that of the first Set. The zero value is empty and ready to use.
type StateDict struct {
	keys    []string
	tensors map[string]*Tensor
}

// Set stores a tensor under a name; a name already there keeps its place.
func (d *StateDict) Set(name string, t *Tensor) {
	if d.tensors == nil {
		d.tensors = map[string]*Tensor{}
	}
	if _, ok := d.tensors[name]; !ok {
		d.keys = append(d.keys, name)
	}
	d.tensors[name] = t
}

// Get returns the tensor of that name; nil and false if there is none.
func (d *StateDict) Get(name string) (*Tensor, bool) {
	t, ok := d.tensors[name]
	return t, ok
}

// Delete removes a name.
func (d *StateDict) Delete(name string) {
	if _, ok := d.tensors[name]; ok {
		delete(d.tensors, name)
		d.keys = slices.DeleteFunc(d.keys, func(k string) bool { return k == name })
	}
}

// Len returns the number of names.
func (d *StateDict) Len() int { return len(d.keys) }

// Keys returns the names in their order.
func (d *StateDict) Keys() []string { return slices.Clone(d.keys) }

// All walks names and tensors in their order.
func (d *StateDict) All() iter.Seq2[string, *Tensor] {
	return func(yield func(string, *Tensor) bool) {
		for _, k := range d.keys {
			if !yield(k, d.tensors[k]) {
				return
			}
		}
	}
}

// String lists the names with their tensors' types and shapes, one a line, as "fc1.weight: float32 [128, 784]".
func (d *StateDict) String() string {
	if d == nil {
		return "<nil>"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "StateDict of %d", len(d.keys))
	for i, k := range d.keys {
		if i == 0 {
			b.WriteByte(':')
		}
		t := d.tensors[k]
		if t == nil {
			fmt.Fprintf(&b, "\n  %s: <nil>", k)
			continue
		}
		fmt.Fprintf(&b, "\n  %s: %s %s", k, t.DType(), strings.ReplaceAll(fmt.Sprint(t.Shape()), " ", ", "))
	}
	return b.String()
}
