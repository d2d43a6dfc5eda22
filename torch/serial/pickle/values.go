package pickle

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"math/big"

	"github.com/golite/golite/internal/typename"
)

// Tuple is Python's tuple.
type Tuple []any

// Bytes is Python's bytes.
type Bytes []byte

// ByteArray is Python's bytearray.
type ByteArray []byte

// Set is Python's set, or frozenset; Items keeps the order of the file.
type Set struct {
	Items  []any
	Frozen bool // it was a frozenset
}

// DictKind is the Python type of a Dict.
//
// The mappings are PlainDict, OrderedDict, DefaultDict, Counter and Namespace.
type DictKind int

// The mappings that a Dict can be.
const (
	PlainDict   DictKind = iota // dict
	OrderedDict                 // collections.OrderedDict
	DefaultDict                 // collections.defaultdict; Factory names its default factory
	Counter                     // collections.Counter
	Namespace                   // argparse.Namespace, its attributes as keys
)

// String returns the Python name of the mapping.
func (k DictKind) String() string {
	names := [...]string{"dict", "collections.OrderedDict", "collections.defaultdict", "collections.Counter",
		"argparse.Namespace"}
	if k < 0 || int(k) >= len(names) {
		return fmt.Sprintf("DictKind(%d)", int(k))
	}
	return names[k]
}

// Dict is a mapping that keeps the order in which its keys were set, as Python's dict does. Keys are the
// hashable values of this package: strings, numbers, bools, nil, Bytes, and tuples of those; other keys are
// compared by identity. The zero value is an empty dict.
type Dict struct {
	// Kind is which of Python's mappings it is.
	Kind DictKind
	// Factory is a defaultdict's factory as a Python name ("builtins.list"), or empty for None.
	Factory string
	// Attrs holds what pickle's BUILD put beside the items, such as the _metadata of a module's
	// state dict; usually nil.
	Attrs *Dict

	keys   []any
	values []any
	index  map[any]int
	dead   int
	weight int // of all keys, see hashKey
}

// NewDict returns an empty dict of the given kind.
func NewDict(kind DictKind) *Dict { return &Dict{Kind: kind} }

// deleted marks a slot whose key was deleted.
type deleted struct{}

// hashed is the lookup key of tuples and other composite keys.
type hashed [sha256.Size]byte

// maxKeyBytes bounds the encoding of one composite key, so that a tuple that shares its parts a
// thousandfold can't stall the index.
const maxKeyBytes = 1 << 12

// lightKey is how many bytes of a key cost nothing: names are no longer, as a rule.
const lightKey = 64

// hashKey returns the comparable form of a key, and its weight: how many bytes were hashed for it beyond lightKey. A
// file can name one long key again and again in a few bytes, so that the decoder counts the weight.
func hashKey(key any) (hash any, weight int, err error) {
	switch k := key.(type) {
	case nil, int, bool, complex128:
		return k, 0, nil
	case string:
		return k, max(len(k)-lightKey, 0), nil
	case float64:
		if math.IsNaN(k) {
			return hashed(sha256.Sum256([]byte("nan"))), 0, nil
		}
		return k, 0, nil
	case *big.Int, Bytes, Tuple, *Set, Hashable:
		b, err := appendKey(nil, key, 0)
		if err != nil {
			return nil, 0, err
		}
		return hashed(sha256.Sum256(b)), max(len(b)-lightKey, 0), nil
	default:
		return nil, 0, fmt.Errorf("unhashable dict key of type %s", typename.Of(key))
	}
}

// Hashable is implemented by values of other packages (a dtype, a device) that can be keys of a Dict.
type Hashable interface {
	// HashKey returns a text that is equal for equal values, and only for those.
	HashKey() string
}

func appendKey(b []byte, key any, depth int) ([]byte, error) {
	if len(b)+keySize(key) > maxKeyBytes || depth > 64 {
		return nil, fmt.Errorf("a dict key of more than %d bytes, or nested too deep", maxKeyBytes)
	}
	var err error
	switch k := key.(type) {
	case nil:
		return append(b, 'N'), nil
	case string:
		return append(appendLen(append(b, 's'), len(k)), k...), nil
	case Bytes:
		return append(appendLen(append(b, 'b'), len(k)), k...), nil
	case int:
		return binary.LittleEndian.AppendUint64(append(b, 'i'), uint64(k)), nil
	case bool:
		if k {
			return append(b, 'T'), nil
		}
		return append(b, 'F'), nil
	case float64:
		return binary.LittleEndian.AppendUint64(append(b, 'd'), math.Float64bits(k)), nil
	case *big.Int:
		t := k.Bytes()
		return append(appendLen(append(b, 'I', byte(1+k.Sign())), len(t)), t...), nil
	case Tuple:
		b = appendLen(append(b, 't'), len(k))
		for _, v := range k {
			if b, err = appendKey(b, v, depth+1); err != nil {
				return nil, err
			}
		}
		return b, nil
	case *Set:
		b = appendLen(append(b, 'S'), len(k.Items))
		for _, v := range k.Items {
			if b, err = appendKey(b, v, depth+1); err != nil {
				return nil, err
			}
		}
		return b, nil
	case Hashable:
		t := k.HashKey()
		return append(appendLen(append(b, 'h'), len(t)), t...), nil
	}
	return nil, fmt.Errorf("unhashable value of type %s in a dict key", typename.Of(key))
}

// keySize returns the length of the encoding of a key's text or number.
func keySize(key any) int {
	switch k := key.(type) {
	case string:
		return len(k)
	case Bytes:
		return len(k)
	case *big.Int:
		return k.BitLen() / 8
	}
	return 0
}

func appendLen(b []byte, n int) []byte { return binary.LittleEndian.AppendUint64(b, uint64(n)) }

// Set sets key to value, at the end if the key is new. It returns an error for a key that Python could not
// hash.
func (d *Dict) Set(key, value any) error {
	_, err := d.set(key, value)
	return err
}

// set is Set, and returns the key's weight.
func (d *Dict) set(key, value any) (weight int, err error) {
	h, weight, err := hashKey(key)
	if err != nil {
		return 0, err
	}
	if i, ok := d.index[h]; ok {
		d.values[i] = value
		return weight, nil
	}
	d.weight += weight
	if d.index == nil {
		d.index = make(map[any]int)
	}
	d.index[h] = len(d.keys)
	d.keys = append(d.keys, key)
	d.values = append(d.values, value)
	return weight, nil
}

// Get returns the value of key, and whether it is there.
func (d *Dict) Get(key any) (any, bool) {
	if d == nil {
		return nil, false
	}
	h, _, err := hashKey(key)
	if err != nil {
		return nil, false
	}
	i, ok := d.index[h]
	if !ok {
		return nil, false
	}
	return d.values[i], true
}

// Delete removes key, if it is there.
func (d *Dict) Delete(key any) {
	h, weight, err := hashKey(key)
	if err != nil {
		return
	}
	if i, ok := d.index[h]; ok {
		delete(d.index, h)
		d.keys[i], d.values[i] = deleted{}, nil
		d.dead++
		d.weight -= weight
	}
}

// Len returns the number of keys.
func (d *Dict) Len() int {
	if d == nil {
		return 0
	}
	return len(d.keys) - d.dead
}

// All yields keys and values in the order in which the keys were first set.
func (d *Dict) All() iter.Seq2[any, any] {
	return func(yield func(any, any) bool) {
		if d == nil {
			return
		}
		for i := 0; i < len(d.keys); i++ {
			if _, gone := d.keys[i].(deleted); gone {
				continue
			}
			if !yield(d.keys[i], d.values[i]) {
				return
			}
		}
	}
}

// Keys returns the keys in order.
func (d *Dict) Keys() []any {
	keys := make([]any, 0, d.Len())
	for k := range d.All() {
		keys = append(keys, k)
	}
	return keys
}
