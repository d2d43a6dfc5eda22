package pickle

import (
	"fmt"

	"github.com/golite/golite/torch/serial/errs"
)

// SetState takes the attributes of an OrderedDict (a module's _metadata) or of a Namespace.
func (d *Dict) SetState(state any) error {
	if t, ok := state.(Tuple); ok && len(t) == 2 { // (__dict__, slots)
		state = t[0]
	}
	s, ok := state.(*Dict)
	if !ok {
		if state == nil {
			return nil
		}
		return fmt.Errorf("the state of a %s is %s", d.Kind, Describe(state))
	}
	if s == d {
		return &errs.ErrUnsafe{Reason: "a dict is its own state"}
	}
	if d.Kind == Namespace {
		for k, v := range s.All() {
			if err := d.Set(k, v); err != nil {
				return err
			}
		}
		return nil
	}
	d.Attrs = s
	return nil
}

// Builtins is the table of Python's own types: containers, bytes, complex. It names nothing that acts.
func Builtins(module, name string) (any, bool, error) {
	switch module { // Python 2's names for the same modules
	case "__builtin__":
		module = "builtins"
	case "copy_reg":
		module = "copyreg"
	}
	c, ok := builtins[module+"."+name]
	if !ok {
		return nil, false, nil
	}
	return c, true, nil
}

var builtins = map[string]*Class{}

func init() {
	for name, call := range map[string]func(Tuple) (any, error){
		"collections.OrderedDict": func(a Tuple) (any, error) { return newMapping(OrderedDict, a) },
		"collections.Counter":     func(a Tuple) (any, error) { return newMapping(Counter, a) },
		"collections.defaultdict": newDefaultDict,
		"argparse.Namespace":      func(a Tuple) (any, error) { return newMapping(Namespace, a) },
		"builtins.dict":           func(a Tuple) (any, error) { return newMapping(PlainDict, a) },
		"builtins.set":            func(a Tuple) (any, error) { return newSet(a, false) },
		"builtins.frozenset":      func(a Tuple) (any, error) { return newSet(a, true) },
		"builtins.list":           newList,
		"builtins.tuple":          newTuple,
		"builtins.complex":        newComplex,
		"builtins.bytes":          newBytes,
		"builtins.bytearray":      newByteArray,
		"_codecs.encode":          encodeLatin1,
		"copyreg._reconstructor":  reconstruct,
		// Named as the factory of a defaultdict, or by copyreg; calling them is refused.
		"builtins.object": nil, "builtins.int": nil, "builtins.float": nil, "builtins.str": nil, "builtins.bool": nil,
	} {
		builtins[name] = &Class{Name: name, Call: call}
	}
}

func newMapping(kind DictKind, args Tuple) (any, error) {
	d := &Dict{Kind: kind}
	if len(args) == 0 {
		return d, nil
	}
	if len(args) > 1 {
		return nil, fmt.Errorf("%d arguments, at most one was expected", len(args))
	}
	if src, ok := args[0].(*Dict); ok {
		for k, v := range src.All() {
			if err := d.Set(k, v); err != nil {
				return nil, err
			}
		}
		return d, nil
	}
	pairs, ok := Items(args[0])
	if !ok {
		return nil, fmt.Errorf("a mapping is made from %s", Describe(args[0]))
	}
	for _, p := range pairs {
		kv, ok := Items(p)
		if !ok || len(kv) != 2 {
			return nil, fmt.Errorf("a mapping is made from something that is no pair")
		}
		if err := d.Set(kv[0], kv[1]); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func newDefaultDict(args Tuple) (any, error) {
	d := &Dict{Kind: DefaultDict}
	if len(args) == 0 || args[0] == nil {
		return d, nil
	}
	c, ok := args[0].(*Class)
	if !ok {
		return nil, fmt.Errorf("the factory is %s", Describe(args[0]))
	}
	d.Factory = c.Name
	return d, nil
}

func one(args Tuple) ([]any, error) {
	if len(args) == 0 {
		return nil, nil
	}
	items, ok := Items(args[0])
	if !ok || len(args) > 1 {
		return nil, fmt.Errorf("one list was expected")
	}
	return append([]any(nil), items...), nil
}

func newSet(args Tuple, frozen bool) (any, error) {
	items, err := one(args)
	return &Set{Items: items, Frozen: frozen}, err
}

func newList(args Tuple) (any, error) {
	items, err := one(args)
	return &list{items}, err
}

func newTuple(args Tuple) (any, error) {
	items, err := one(args)
	return Tuple(items), err
}

func newComplex(args Tuple) (any, error) {
	if len(args) != 2 {
		return nil, fmt.Errorf("%d arguments, two were expected", len(args))
	}
	re, ok1 := args[0].(float64)
	im, ok2 := args[1].(float64)
	if !ok1 || !ok2 {
		return nil, fmt.Errorf("a complex number of %s and %s", Describe(args[0]), Describe(args[1]))
	}
	return complex(re, im), nil
}

func newBytes(args Tuple) (any, error) {
	if len(args) == 0 {
		return Bytes{}, nil
	}
	if b, ok := args[0].(Bytes); ok && len(args) == 1 {
		return b, nil
	}
	return nil, fmt.Errorf("bytes are made from something else than bytes")
}

func newByteArray(args Tuple) (any, error) {
	if len(args) == 0 {
		return ByteArray{}, nil
	}
	if b, ok := args[0].(Bytes); ok && len(args) == 1 {
		return ByteArray(b), nil
	}
	v, err := encodeLatin1(args)
	if err != nil {
		return nil, err
	}
	return ByteArray(v.(Bytes)), nil
}

// encodeLatin1 is how protocol 2 writes bytes: as text whose code points are the bytes.
func encodeLatin1(args Tuple) (any, error) {
	if len(args) == 2 {
		s, ok1 := args[0].(string)
		enc, ok2 := args[1].(string)
		if ok1 && ok2 && (enc == "latin1" || enc == "latin-1") {
			b := make(Bytes, 0, len(s))
			for _, r := range s {
				if r > 0xff {
					return nil, fmt.Errorf("U+%04X is not in Latin-1", r)
				}
				b = append(b, byte(r))
			}
			return b, nil
		}
	}
	return nil, fmt.Errorf("only text in latin1 is encoded")
}

// reconstruct makes plain objects of allowed classes, as protocols 0 and 1 do: (class, base, state).
func reconstruct(args Tuple) (any, error) {
	if len(args) != 3 || args[2] != nil {
		return nil, fmt.Errorf("only plain objects are rebuilt")
	}
	class, ok := args[0].(*Class)
	base, ok2 := args[1].(*Class)
	if !ok || !ok2 || base.Name != "builtins.object" || class.Call == nil {
		return nil, fmt.Errorf("only plain objects are rebuilt")
	}
	return class.Call(nil)
}
