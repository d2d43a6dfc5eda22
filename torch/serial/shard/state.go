package shard

import (
	"fmt"
	"strconv"

	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/pickle"
)

// IntKeys is the name of the entry that lists the paths of dicts with integer keys: DCP has only strings.
const IntKeys = ".golite.int_keys"

// State puts the entries back into nested dicts and lists. leaf gives the value for each entry.
func (d *Dir) State(leaf func(e *Entry) (any, error)) (*pickle.Dict, error) {
	root := &node{}
	var intKeys []any
	for _, e := range d.Entries {
		if e.Name == IntKeys && !e.IsTensor() {
			v, err := d.Value(e)
			if err != nil {
				return nil, err
			}
			intKeys, _ = v.([]any)
			continue
		}
		v, err := leaf(e)
		if err != nil {
			return nil, err
		}
		if err := root.put(e.Path, v); err != nil {
			return nil, &errs.ErrCorrupt{File: d.Path, Record: e.Name, Offset: -1, Reason: err.Error()}
		}
	}
	for _, path := range intKeys {
		keys, ok := path.([]any)
		if !ok {
			return nil, &errs.ErrCorrupt{File: d.Path, Record: IntKeys, Offset: -1, Reason: "a path is expected"}
		}
		root.markInts(keys)
	}
	v, err := root.value()
	if err != nil {
		return nil, &errs.ErrCorrupt{File: d.Path, Offset: -1, Reason: err.Error()}
	}
	out, ok := v.(*pickle.Dict)
	if !ok {
		out = pickle.NewDict(pickle.PlainDict)
	}
	return out, nil
}

// node is a dict or list that is being put together.
type node struct {
	leaf  any
	full  bool
	keys  []any
	child map[any]*node
	ints  bool // its keys are integers, written as text
}

// markInts finds the dict at a path and marks it; one that was left out is not there.
func (n *node) markInts(path []any) {
	for _, k := range path {
		switch k.(type) {
		case string, int: // what else comes from a file may not be fit for a map
		default:
			return
		}
		if n = n.child[k]; n == nil {
			return
		}
	}
	n.ints = true
}

// key is a dict's key as it was before it became text.
func (n *node) key(k any) any {
	if s, ok := k.(string); ok && n.ints {
		if i, err := strconv.Atoi(s); err == nil && strconv.Itoa(i) == s {
			return i
		}
	}
	return k
}

func (n *node) put(path []any, v any) error {
	if n.full {
		return fmt.Errorf("its path leads through a value")
	}
	if len(path) == 0 {
		if n.child != nil {
			return fmt.Errorf("its path is also that of a container")
		}
		n.leaf, n.full = v, true
		return nil
	}
	if n.child == nil {
		n.child = map[any]*node{}
	}
	c := n.child[path[0]]
	if c == nil {
		c = &node{}
		n.child[path[0]] = c
		n.keys = append(n.keys, path[0])
	}
	return c.put(path[1:], v)
}

func (n *node) value() (any, error) {
	if n.full {
		return n.leaf, nil
	}
	if len(n.keys) == 0 {
		return nil, nil
	}
	if _, list := n.keys[0].(int); list {
		return n.list()
	}
	d := pickle.NewDict(pickle.PlainDict)
	for _, k := range n.keys {
		v, err := n.child[k].value()
		if err != nil {
			return nil, err
		}
		if err := d.Set(n.key(k), v); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// list puts the items of a list in order; where some were left out the others close up.
func (n *node) list() (any, error) {
	at := make(map[int]any, len(n.keys))
	highest := 0
	for _, k := range n.keys {
		i, ok := k.(int)
		if !ok {
			return nil, fmt.Errorf("a list has an item at %s", pickle.Describe(k))
		}
		v, err := n.child[k].value()
		if err != nil {
			return nil, err
		}
		at[i] = v
		highest = max(highest, i)
	}
	out := make([]any, 0, len(at))
	if highest < len(at) {
		for i := range len(at) {
			out = append(out, at[i])
		}
		return out, nil
	}
	for _, k := range n.keys {
		out = append(out, at[k.(int)])
	}
	return out, nil
}
