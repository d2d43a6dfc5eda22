package pickle

import (
	"fmt"

	"github.com/golite/golite/torch/serial/errs"
)

// stepContainer runs the instructions that make or fill lists, tuples, dicts and sets.
func (d *decoder) stepContainer(op byte) (bool, error) {
	switch op {
	case opEmptyList:
		d.push(&list{})
	case opEmptyDict:
		d.push(&Dict{})
	case opEmptyTuple:
		d.push(Tuple{})
	case opEmptySet:
		d.push(&Set{})
	case opTuple1, opTuple2, opTuple3:
		vs, err := d.popN(int(op-opTuple1) + 1)
		if err != nil {
			return true, err
		}
		d.push(Tuple(vs))
	case opTuple:
		vs, err := d.popMark()
		if err != nil {
			return true, err
		}
		d.push(Tuple(vs))
	case opFrozenSet:
		vs, err := d.popMark()
		if err != nil {
			return true, err
		}
		d.push(&Set{Items: vs, Frozen: true})
	case opAppend, opAppends, opAddItems:
		return true, d.extend(op)
	case opSetItem, opSetItems:
		return true, d.setItems(op)
	default:
		return false, nil
	}
	return true, nil
}

func (d *decoder) extend(op byte) error {
	var vs []any
	var err error
	if op == opAppend {
		vs, err = d.popN(1)
	} else {
		vs, err = d.popMark()
	}
	if err != nil {
		return err
	}
	target, err := d.top()
	if err != nil {
		return err
	}
	switch t := target.(type) {
	case *list:
		if op != opAddItems {
			t.items = append(t.items, vs...)
			return nil
		}
	case *Set:
		if op == opAddItems {
			t.Items = append(t.Items, vs...)
			return nil
		}
	}
	return d.in.corrupt("values are appended to %s", Describe(target))
}

func (d *decoder) setItems(op byte) error {
	var vs []any
	var err error
	if op == opSetItem {
		vs, err = d.popN(2)
	} else {
		vs, err = d.popMark()
	}
	if err != nil {
		return err
	}
	target, err := d.top()
	if err != nil {
		return err
	}
	dict, ok := target.(*Dict)
	if !ok || len(vs)%2 != 0 {
		return d.in.corrupt("%d keys and values are set in %s", len(vs), Describe(target))
	}
	for i := 0; i < len(vs); i += 2 {
		weight, err := dict.set(vs[i], vs[i+1])
		if err != nil {
			return d.in.corrupt("%v", err)
		}
		if err := d.spend(int64(weight)); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) stepMemo(op byte) error {
	var key uint64
	var err error
	switch op {
	case opMemoize:
		key = uint64(len(d.memo))
	case opBinGet, opBinPut:
		key, err = d.in.uint(1)
	default:
		key, err = d.in.uint(4)
	}
	if err != nil {
		return err
	}
	if op == opBinGet || op == opLongBinGet {
		v, ok := d.memo[key]
		if !ok {
			return d.in.corrupt("memo entry %d is fetched before it is stored", key)
		}
		d.push(v)
		return nil
	}
	v, err := d.top()
	if err != nil {
		return err
	}
	if d.memo == nil {
		d.memo = make(map[uint64]any)
	}
	d.memo[key] = v
	return nil
}

func (d *decoder) global(op byte) error {
	module, name, err := d.globalName(op)
	if err != nil {
		return err
	}
	if d.o.Globals != nil {
		v, found, err := d.o.Globals(module, name)
		if err != nil {
			return err
		}
		if found {
			d.push(v)
			return nil
		}
	}
	return &errs.ErrUnsafe{Global: module + "." + name}
}

func (d *decoder) globalName(op byte) (module, name string, err error) {
	if op == opGlobal {
		if module, err = d.in.line(); err != nil {
			return "", "", err
		}
		name, err = d.in.line()
		return module, name, err
	}
	vs, err := d.popN(2)
	if err != nil {
		return "", "", err
	}
	module, ok1 := vs[0].(string)
	name, ok2 := vs[1].(string)
	if !ok1 || !ok2 {
		return "", "", d.in.corrupt("a global is named by %s and %s", Describe(vs[0]), Describe(vs[1]))
	}
	return module, name, nil
}

// stepCall runs the instructions that in Python would call something.
func (d *decoder) stepCall(op byte) error {
	switch op {
	case opBinPersID:
		id, err := d.pop()
		if err != nil {
			return err
		}
		if d.o.Persistent == nil {
			return &errs.ErrUnsupported{What: "a persistent id in this pickle"}
		}
		v, err := d.o.Persistent(id)
		if err == nil {
			d.push(v)
		}
		return err
	case opBuild:
		vs, err := d.popN(1)
		if err != nil {
			return err
		}
		target, err := d.top()
		if err != nil {
			return err
		}
		b, ok := target.(Builder)
		if !ok {
			return d.in.corrupt("state is set on %s", Describe(target))
		}
		if err := d.spend(sizeOf(vs[0], copyDepth)); err != nil {
			return err
		}
		return b.SetState(vs[0])
	case opNewObjEx:
		return d.call(3)
	}
	return d.call(2)
}

// call takes class and arguments (and for n = 3 keyword arguments, which must be empty) and pushes the result.
func (d *decoder) call(n int) error {
	vs, err := d.popN(n)
	if err != nil {
		return err
	}
	args, ok := vs[1].(Tuple)
	if !ok {
		return d.in.corrupt("a call's arguments are %s, not a tuple", Describe(vs[1]))
	}
	if n == 3 {
		if kw, ok := vs[2].(*Dict); !ok || kw.Len() != 0 {
			return &errs.ErrUnsupported{What: "a call with keyword arguments"}
		}
	}
	class, ok := vs[0].(*Class)
	if !ok {
		return d.in.corrupt("%s is called", Describe(vs[0]))
	}
	if class.Call == nil {
		return &errs.ErrUnsafe{Global: class.Name, Reason: "it may be named, not called"}
	}
	if err := d.spend(sizeOf(args, copyDepth)); err != nil {
		return err
	}
	v, err := class.Call(args)
	if err != nil {
		if !errs.Typed(err) {
			err = fmt.Errorf("%s: %w", class.Name, err)
		}
		return err
	}
	d.push(v)
	return nil
}

// spend counts what calls, new states and long keys may copy. An honest pickle uses each value once; one that passes a
// long list to thousands of calls through its memo is after memory.
func (d *decoder) spend(n int64) error {
	d.spent += n
	if budget := 1<<16 + 4*d.in.end; d.spent > budget {
		return &errs.ErrUnsafe{Reason: fmt.Sprintf("its calls copy more than %d elements", budget)}
	}
	return nil
}

// copyDepth is how deep calls look into their arguments: a dict is made from a list of pairs of keys and values.
const copyDepth = 3

// dictItem is what copying an item of a dict costs, where an element of a list costs one.
const dictItem = 8

// sizeOf is what may be copied of a value: its elements, and those of the elements down to depth. Short text is free:
// names come again and again in honest files too.
func sizeOf(v any, depth int) int64 {
	switch v := v.(type) {
	case *Dict:
		return int64(dictItem*v.Len() + v.weight)
	case string:
		return int64(max(len(v)-lightKey, 0))
	case Bytes:
		return int64(max(len(v)-lightKey, 0))
	case ByteArray:
		return int64(max(len(v)-lightKey, 0))
	}
	items, _ := Items(v)
	n := int64(len(items))
	if depth > 0 {
		for _, item := range items {
			n += sizeOf(item, depth-1)
		}
	}
	return n
}
