package pickle

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/golite/golite/torch/serial/errs"
)

// resolver turns what the machine built into what Decode returns: lists become []any, and what refers to
// itself, is nested too deep or shares its parts so often that walking it would never end, is refused.
type resolver struct {
	done  map[any]resolved
	open  map[any]bool
	depth int
	limit uint64
}

type resolved struct {
	value any
	nodes uint64 // with every shared part counted as often as a walk meets it
}

// tupleID is the identity of a tuple: tuples don't change, so that their memory stands for them.
type tupleID struct {
	first unsafe.Pointer
	n     int
}

func resolve(v any, inputLen int64) (any, error) {
	r := &resolver{done: map[any]resolved{}, open: map[any]bool{}}
	r.limit = 1<<20 + 64*uint64(inputLen)
	out, nodes, err := r.value(v)
	if err != nil {
		return nil, err
	}
	if nodes > r.limit {
		return nil, &errs.ErrUnsafe{Reason: fmt.Sprintf("its values expand to more than %d", r.limit)}
	}
	return out, nil
}

func (r *resolver) value(v any) (any, uint64, error) {
	id := identity(v)
	if id == nil {
		if u, ok := v.(Unfinished); ok {
			return nil, 0, &errs.ErrUnsupported{What: u.Unfinished() + " as a value"}
		}
		return v, 1, nil
	}
	if got, ok := r.done[id]; ok {
		return got.value, got.nodes, nil
	}
	if r.open[id] {
		return nil, 0, &errs.ErrUnsafe{Reason: "a value contains itself"}
	}
	if r.depth++; r.depth > maxDepth {
		return nil, 0, &errs.ErrUnsafe{Reason: fmt.Sprintf("its values are nested more than %d deep", maxDepth)}
	}
	r.open[id] = true
	out, nodes, err := r.container(v)
	if err != nil {
		return nil, 0, err
	}
	r.depth--
	delete(r.open, id)
	r.done[id] = resolved{out, nodes}
	return out, nodes, nil
}

func identity(v any) any {
	switch v := v.(type) {
	case *list, *Dict, *Set:
		return v
	case Tuple:
		if len(v) == 0 {
			return nil
		}
		return tupleID{unsafe.Pointer(unsafe.SliceData(v)), len(v)}
	case Holder:
		return v
	}
	return nil
}

func (r *resolver) container(v any) (any, uint64, error) {
	switch v := v.(type) {
	case *list:
		items := v.items
		if items == nil {
			items = []any{}
		}
		nodes, err := r.items(items)
		return items, nodes, err
	case Tuple:
		nodes, err := r.items(v)
		return v, nodes, err
	case *Set:
		nodes, err := r.items(v.Items)
		return v, nodes, err
	case *Dict:
		nodes, err := r.dict(v)
		return v, nodes, err
	case Holder:
		nodes := uint64(1)
		err := v.Resolve(func(inner any) (any, error) {
			out, n, err := r.value(inner)
			nodes = add(nodes, n)
			return out, err
		})
		return v, nodes, err
	}
	return v, 1, nil
}

func (r *resolver) items(items []any) (uint64, error) {
	nodes := uint64(1)
	for i, v := range items {
		out, n, err := r.value(v)
		if err != nil {
			return 0, err
		}
		items[i] = out
		nodes = add(nodes, n)
	}
	return nodes, nil
}

func (r *resolver) dict(d *Dict) (uint64, error) {
	nodes, err := r.items(d.values)
	if err != nil {
		return 0, err
	}
	for _, k := range d.keys { // a key is hashable, and so needs no replacing; it counts for depth and size
		_, n, err := r.value(k)
		if err != nil {
			return 0, err
		}
		nodes = add(nodes, n)
	}
	if d.Attrs != nil {
		_, n, err := r.value(d.Attrs)
		if err != nil {
			return 0, err
		}
		nodes = add(nodes, n)
	}
	return nodes, nil
}

func add(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}
