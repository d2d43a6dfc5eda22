package pickle

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/golite/golite/torch/serial/errs"
)

// Encoder writes one pickle of protocol 2, with the instructions that torch.load(weights_only=True) accepts.
type Encoder struct {
	// Extend writes values that this package does not know; it reports false for those it does not know
	// either. It may use all of Encoder's methods.
	Extend func(e *Encoder, v any) (bool, error)
	// FullPickle allows types that only Python's own pickle reads (weights_only=False): defaultdict,
	// frozenset, argparse.Namespace and what Extend adds. Without it they are an error.
	FullPickle bool

	out   []byte
	memo  map[any]uint32
	open  map[any]bool
	depth int
}

// Encode returns the pickle of v.
func (e *Encoder) Encode(v any) ([]byte, error) {
	e.out = append(e.out[:0], opProto, 2)
	e.memo, e.open, e.depth = map[any]uint32{}, map[any]bool{}, 0
	if err := e.Value(v); err != nil {
		return nil, err
	}
	return append(e.out, opStop), nil
}

type stringMemo string
type globalMemo string

// sliceID is the identity of a slice that is being written.
type sliceID struct {
	first unsafe.Pointer
	n     int
}

// Value writes one value.
func (e *Encoder) Value(v any) error {
	switch v := v.(type) {
	case nil:
		e.out = append(e.out, opNone)
	case bool:
		e.out = append(e.out, map[bool]byte{true: opNewTrue, false: opNewFalse}[v])
	case int:
		e.Int(v)
	case *big.Int:
		return e.bigInt(v)
	case float64:
		e.out = binary.BigEndian.AppendUint64(append(e.out, opBinFloat), math.Float64bits(v))
	case complex128:
		return e.Call("__builtin__", "complex", real(v), imag(v))
	case string:
		if !validText(v) {
			return &errs.ErrUnsupported{What: fmt.Sprintf("the string %.40q, which is no UTF-8,", v),
				Remedy: "save it as []byte"}
		}
		e.String(v)
	case Bytes:
		return e.bytes(v)
	case []byte:
		return e.bytes(v)
	case ByteArray:
		return e.byteArray(v)
	case *Set:
		return e.nested(v, func() error { return e.set(v) })
	case *Dict:
		return e.dict(v)
	case Tuple:
		return e.nested(sliceKey(v), func() error { return e.Tuple(v...) })
	case []any:
		return e.nested(sliceKey(v), func() error { return e.list(v) })
	default:
		if e.Extend != nil {
			if done, err := e.Extend(e, v); done || err != nil {
				return err
			}
		}
		return e.reflected(reflect.ValueOf(v))
	}
	return nil
}

func sliceKey(v []any) any {
	if len(v) == 0 {
		return nil
	}
	return sliceID{unsafe.Pointer(unsafe.SliceData(v)), len(v)}
}

// nested guards against values that contain themselves, and against bottomless ones.
func (e *Encoder) nested(id any, f func() error) error {
	if id != nil && e.open[id] {
		return fmt.Errorf("a value contains itself: a checkpoint can't hold it")
	}
	if e.depth++; e.depth > maxDepth {
		return fmt.Errorf("values are nested more than %d deep", maxDepth)
	}
	if id != nil {
		e.open[id] = true
		defer delete(e.open, id)
	}
	err := f()
	e.depth--
	return err
}

// reflected writes Go's other numbers, slices and maps.
func (e *Encoder) reflected(v reflect.Value) error {
	switch v.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		e.Int(int(v.Int()))
		return nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return e.bigInt(new(big.Int).SetUint64(v.Uint()))
	case reflect.Float32, reflect.Float64:
		return e.Value(v.Float())
	case reflect.Bool:
		return e.Value(v.Bool())
	case reflect.String:
		return e.Value(v.String())
	case reflect.Slice, reflect.Array:
		items := make([]any, v.Len())
		for i := range items {
			items[i] = v.Index(i).Interface()
		}
		if v.Kind() == reflect.Array { // of a fixed length, as a tuple is
			return e.Value(Tuple(items))
		}
		return e.Value(items)
	case reflect.Map:
		return e.goMap(v)
	}
	return &errs.ErrUnsupported{What: fmt.Sprintf("a Go value of type %s in a checkpoint", v.Type()),
		Remedy: "use tensors, numbers, strings, slices, maps with string keys, or a *serial.Dict"}
}

// goMap writes a Go map.
func (e *Encoder) goMap(v reflect.Value) error {
	d, ok, err := FromMap(v.Interface())
	if err != nil {
		return err
	}
	if !ok {
		return &errs.ErrUnsupported{What: fmt.Sprintf("a Go map of type %s in a checkpoint", v.Type()),
			Remedy: "use string or int keys"}
	}
	return e.nested(v.UnsafePointer(), func() error { return e.Value(d) })
}

// FromMap gives a Go map with keys that are strings or signed integers of any width as a dict, its keys sorted, so that
// equal maps give equal files. ok is false for other values.
func FromMap(v any) (d *Dict, ok bool, err error) {
	m := reflect.ValueOf(v)
	if m.Kind() != reflect.Map {
		return nil, false, nil
	}
	keys := m.MapKeys()
	switch kind := m.Type().Key().Kind(); {
	case kind == reflect.String:
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	case kind >= reflect.Int && kind <= reflect.Int64:
		slices.SortFunc(keys, func(a, b reflect.Value) int { return cmp.Compare(a.Int(), b.Int()) })
	default:
		return nil, false, nil
	}
	d = NewDict(PlainDict)
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

// Int writes an integer.
func (e *Encoder) Int(n int) {
	switch {
	case n >= 0 && n < 1<<8:
		e.out = append(e.out, opBinInt1, byte(n))
	case n >= 0 && n < 1<<16:
		e.out = binary.LittleEndian.AppendUint16(append(e.out, opBinInt2), uint16(n))
	case n >= math.MinInt32 && n <= math.MaxInt32:
		e.out = binary.LittleEndian.AppendUint32(append(e.out, opBinInt), uint32(int32(n)))
	default:
		_ = e.bigInt(big.NewInt(int64(n))) // eight bytes: can't be too long
	}
}

func (e *Encoder) bigInt(n *big.Int) error {
	if n.IsInt64() && n.Int64() == int64(int32(n.Int64())) {
		e.Int(int(n.Int64()))
		return nil
	}
	size := n.BitLen()/8 + 1
	if size > 255 {
		return &errs.ErrUnsupported{What: fmt.Sprintf("an integer of %d bits", n.BitLen()),
			Remedy: "torch.load(weights_only=True) reads up to 2,039 bits"}
	}
	m := n
	if n.Sign() < 0 {
		m = new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), uint(8*size)))
	}
	p := m.FillBytes(make([]byte, size))
	slices.Reverse(p)
	e.out = append(append(e.out, opLong1, byte(size)), p...)
	return nil
}

// String writes text. A string of 1 to 64 bytes that comes again is written once.
func (e *Encoder) String(s string) {
	if e.fetch(stringMemo(s)) {
		return
	}
	e.out = binary.LittleEndian.AppendUint32(append(e.out, opBinUnicode), uint32(len(s)))
	e.out = append(e.out, s...)
	if n := len(s); n > 0 && n <= 64 {
		e.store(stringMemo(s))
	}
}

// fetch writes the instruction that fetches what store remembered under id, if it did.
func (e *Encoder) fetch(id any) bool {
	n, ok := e.memo[id]
	if !ok {
		return false
	}
	if n < 256 {
		e.out = append(e.out, opBinGet, byte(n))
	} else {
		e.out = binary.LittleEndian.AppendUint32(append(e.out, opLongBinGet), n)
	}
	return true
}

// store memoizes the value just written under id.
func (e *Encoder) store(id any) {
	n := uint32(len(e.memo))
	e.memo[id] = n
	if n < 256 {
		e.out = append(e.out, opBinPut, byte(n))
	} else {
		e.out = binary.LittleEndian.AppendUint32(append(e.out, opLongBinPut), n)
	}
}

// Global writes the name of a Python class or function.
func (e *Encoder) Global(module, name string) {
	id := globalMemo(module + "\n" + name)
	if e.fetch(id) {
		return
	}
	e.out = append(append(append(append(append(e.out, opGlobal), module...), '\n'), name...), '\n')
	e.store(id)
}

// Call writes a call of a Python function with arguments.
func (e *Encoder) Call(module, name string, args ...any) error {
	e.Global(module, name)
	if err := e.Tuple(args...); err != nil {
		return err
	}
	e.Reduce()
	return nil
}

// Reduce writes the instruction that calls the function below the top of the stack with the arguments on top.
func (e *Encoder) Reduce() { e.out = append(e.out, opReduce) }

// Build writes the instruction that hands the state on top of the stack to the value below it.
func (e *Encoder) Build() { e.out = append(e.out, opBuild) }

// PersistentID writes a reference to something outside of the pickle.
func (e *Encoder) PersistentID(id Tuple) error {
	if err := e.Tuple(id...); err != nil {
		return err
	}
	e.out = append(e.out, opBinPersID)
	return nil
}

// Tuple writes a tuple.
func (e *Encoder) Tuple(vs ...any) error {
	if len(vs) == 0 {
		e.out = append(e.out, opEmptyTuple)
		return nil
	}
	if len(vs) > 3 {
		e.out = append(e.out, opMark)
	}
	for _, v := range vs {
		if err := e.Value(v); err != nil {
			return err
		}
	}
	if len(vs) > 3 {
		e.out = append(e.out, opTuple)
	} else {
		e.out = append(e.out, opTuple1+byte(len(vs)-1))
	}
	return nil
}

// batch is how many items go between a MARK and its APPENDS or SETITEMS, as in Python.
const batch = 1000

func (e *Encoder) list(vs []any) error {
	e.out = append(e.out, opEmptyList)
	for part := range slices.Chunk(vs, batch) {
		e.out = append(e.out, opMark)
		for _, v := range part {
			if err := e.Value(v); err != nil {
				return err
			}
		}
		e.out = append(e.out, opAppends)
	}
	return nil
}

func (e *Encoder) set(s *Set) error {
	name := "set"
	if s.Frozen {
		name = "frozenset"
		if err := e.needFull("frozenset"); err != nil {
			return err
		}
	}
	return e.Call("__builtin__", name, append([]any{}, s.Items...))
}

// needFull refuses what torch.load(weights_only=True) would refuse to read back.
func (e *Encoder) needFull(what string) error {
	if e.FullPickle {
		return nil
	}
	return &errs.ErrUnsupported{What: what + ", which torch.load(weights_only=True) refuses",
		Remedy: "convert it, or save with FullPickle (Python then needs weights_only=False)"}
}

// NeedFull is needFull for Extend functions: an error that names what, unless FullPickle is set.
func (e *Encoder) NeedFull(what string) error { return e.needFull(what) }

func (e *Encoder) dict(d *Dict) error {
	if d == nil {
		e.out = append(e.out, opNone)
		return nil
	}
	if e.fetch(d) {
		return nil
	}
	return e.nested(d, func() error {
		if err := e.dictHead(d); err != nil {
			return err
		}
		e.store(d)
		if d.Kind == Namespace {
			if d.Len() == 0 {
				return nil
			}
			e.out = append(e.out, opEmptyDict)
			if err := e.dictItems(d); err != nil {
				return err
			}
			e.Build()
			return nil
		}
		if err := e.dictItems(d); err != nil {
			return err
		}
		if d.Attrs != nil && d.Kind == OrderedDict {
			if err := e.Value(d.Attrs); err != nil {
				return err
			}
			e.Build()
		}
		return nil
	})
}

func (e *Encoder) dictHead(d *Dict) error {
	switch d.Kind {
	case OrderedDict:
		return e.Call("collections", "OrderedDict")
	case Counter:
		return e.Call("collections", "Counter")
	case Namespace:
		if err := e.needFull("argparse.Namespace"); err != nil {
			return err
		}
		return e.Call("argparse", "Namespace")
	case DefaultDict:
		if err := e.needFull("collections.defaultdict"); err != nil {
			return err
		}
		e.Global("collections", "defaultdict")
		if d.Factory == "" {
			e.out = append(e.out, opEmptyTuple)
		} else {
			module, name, _ := cutLast(d.Factory)
			e.Global(strings.Replace(module, "builtins", "__builtin__", 1), name)
			e.out = append(e.out, opTuple1)
		}
		e.Reduce()
		return nil
	}
	e.out = append(e.out, opEmptyDict)
	return nil
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '.')
	if i < 0 {
		return "builtins", s, false
	}
	return s[:i], s[i+1:], true
}

func (e *Encoder) dictItems(d *Dict) error {
	n := 0
	for k, v := range d.All() {
		if n%batch == 0 {
			if n > 0 {
				e.out = append(e.out, opSetItems)
			}
			e.out = append(e.out, opMark)
		}
		n++
		if err := e.Value(k); err != nil {
			return err
		}
		if err := e.Value(v); err != nil {
			return fmt.Errorf("%s: %w", keyText(k), err)
		}
	}
	if n > 0 {
		e.out = append(e.out, opSetItems)
	}
	return nil
}

// keyText is how a key stands in messages: names without quotes.
func keyText(k any) string {
	if s, ok := k.(string); ok && len(s) <= describeLength {
		return s
	}
	return Describe(k)
}

func (e *Encoder) bytes(b []byte) error {
	if len(b) == 0 {
		// Python writes b"" as a call of bytes, which weights_only refuses; encoding no text gives the same.
		return e.Call("_codecs", "encode", "", "latin1")
	}
	return e.Call("_codecs", "encode", latin1(b), "latin1")
}

func (e *Encoder) byteArray(b []byte) error {
	if len(b) == 0 {
		return e.Call("__builtin__", "bytearray")
	}
	return e.Call("__builtin__", "bytearray", latin1(b), "latin-1")
}

func latin1(b []byte) string {
	out := make([]byte, 0, len(b)+len(b)/2)
	for _, c := range b {
		out = utf8.AppendRune(out, rune(c))
	}
	return string(out)
}

// NewObject writes a new object of a Python class, without arguments, whose state is set to state.
func (e *Encoder) NewObject(module, name string, state any) error {
	e.Global(module, name)
	e.out = append(e.out, opEmptyTuple, opNewObj)
	if err := e.Value(state); err != nil {
		return err
	}
	e.Build()
	return nil
}
