package wire

import (
	"bytes"
	"encoding"
	"encoding/binary"
	"encoding/gob"
	"fmt"
	"math"
	"reflect"
	"sync"

	"github.com/golite/golite/torch"
)

// deepest is how far a value may be nested: one that refers to itself has no end.
const deepest = 200

var tensorType = reflect.TypeFor[*torch.Tensor]()

// Encode writes a value. An error names the place in it that can't be carried over.
func Encode[T any](v T) ([]byte, error) {
	e := encoder{}
	e.text(reflect.TypeFor[T]().String())
	if err := e.value(reflect.ValueOf(&v).Elem()); err != nil {
		return nil, err
	}
	return e.b, nil
}

// Pack is Encode for an operation, which panics with a *torch.Error that names it.
func Pack[T any](operation string, v T) []byte {
	b, err := Encode(v)
	if err != nil {
		torch.Fail(operation, "a %T can't be sent to other ranks: %v", v, err)
	}
	return b
}

type encoder struct {
	b    []byte
	path []step // from the value to where the encoder is, for messages
}

// step is a field, an element or a key of a map.
type step struct {
	field string
	index int
	key   reflect.Value
}

// pointee is the step through a pointer or an interface, which Go does not write either.
const pointee = "*"

func (s step) String() string {
	switch {
	case s.field == pointee:
		return ""
	case s.field != "":
		return "." + s.field
	case s.key.IsValid():
		return fmt.Sprintf("[%v]", s.key)
	}
	return fmt.Sprintf("[%d]", s.index)
}

// where names the place that the encoder is at.
func (e *encoder) where() string {
	s := "the value"
	for _, p := range e.path {
		if s += p.String(); len(s) > 80 {
			return s[:80] + "…"
		}
	}
	return s
}

// inside writes a part of a value.
func (e *encoder) inside(s step, v reflect.Value) error {
	if e.path = append(e.path, s); len(e.path) > deepest {
		return fmt.Errorf("%s is nested more than %d deep: does it refer to itself?", e.where(), deepest)
	}
	err := e.value(v)
	if err == nil {
		e.path = e.path[:len(e.path)-1]
	}
	return err
}

func (e *encoder) number(n uint64) { e.b = binary.AppendUvarint(e.b, n) }
func (e *encoder) word(n uint64)   { e.b = binary.LittleEndian.AppendUint64(e.b, n) }
func (e *encoder) text(s string)   { e.number(uint64(len(s))); e.b = append(e.b, s...) }
func (e *encoder) raw(b []byte)    { e.number(uint64(len(b))); e.b = append(e.b, b...) }

// there writes whether a pointer, slice, map or interface is not nil, and returns it.
func (e *encoder) there(v reflect.Value) bool {
	if v.IsNil() {
		e.b = append(e.b, 0)
		return false
	}
	e.b = append(e.b, 1)
	return true
}

func (e *encoder) value(v reflect.Value) error {
	if v.Type() == tensorType {
		e.tensor(v.Interface().(*torch.Tensor))
		return nil
	}
	if m := marshalOf(v.Type()); m != none {
		return e.marshalled(v, m)
	}
	switch k := v.Kind(); k {
	case reflect.Bool:
		n := byte(0)
		if v.Bool() {
			n = 1
		}
		e.b = append(e.b, n)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		e.b = binary.AppendVarint(e.b, v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		e.number(v.Uint())
	case reflect.Float32, reflect.Float64:
		e.word(math.Float64bits(v.Float()))
	case reflect.Complex64, reflect.Complex128:
		e.word(math.Float64bits(real(v.Complex())))
		e.word(math.Float64bits(imag(v.Complex())))
	case reflect.String:
		e.text(v.String())
	case reflect.Pointer:
		if e.there(v) {
			return e.inside(step{field: pointee}, v.Elem())
		}
	case reflect.Interface:
		return e.dynamic(v)
	case reflect.Struct:
		return e.fields(v)
	case reflect.Slice, reflect.Array:
		return e.list(v)
	case reflect.Map:
		return e.pairs(v)
	default:
		return fmt.Errorf("%s is a %s, which has no meaning on another rank", e.where(), v.Type())
	}
	return nil
}

func (e *encoder) tensor(t *torch.Tensor) {
	if t == nil {
		e.b = append(e.b, 0)
		return
	}
	e.b = append(e.b, 1)
	e.number(uint64(t.DType()))
	e.number(uint64(t.Dim()))
	for _, n := range t.Shape() {
		e.number(uint64(n))
	}
	e.raw(t.ToBytes())
}

func (e *encoder) fields(v reflect.Value) error {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Name == "_" {
			continue
		}
		if !f.IsExported() {
			return fmt.Errorf("%s.%s is an unexported field of %s, which other packages can't read: export it, or give the "+
				"type MarshalBinary and UnmarshalBinary", e.where(), f.Name, v.Type())
		}
		if err := e.inside(step{field: f.Name}, v.Field(i)); err != nil {
			return err
		}
	}
	return nil
}

func (e *encoder) list(v reflect.Value) error {
	if v.Kind() == reflect.Slice {
		if !e.there(v) {
			return nil
		}
		if v.Type().Elem().Kind() == reflect.Uint8 && marshalOf(v.Type().Elem()) == none {
			e.raw(v.Bytes())
			return nil
		}
		e.number(uint64(v.Len()))
	}
	for i := range v.Len() {
		if err := e.inside(step{index: i}, v.Index(i)); err != nil {
			return err
		}
	}
	return nil
}

func (e *encoder) pairs(v reflect.Value) error {
	if !e.there(v) {
		return nil
	}
	e.number(uint64(v.Len()))
	for it := v.MapRange(); it.Next(); {
		if err := e.inside(step{field: "key"}, it.Key()); err != nil {
			return err
		}
		if err := e.inside(step{key: it.Key()}, it.Value()); err != nil {
			return err
		}
	}
	return nil
}

// dynamic writes what an interface holds, after its type.
func (e *encoder) dynamic(v reflect.Value) error {
	if !e.there(v) {
		return nil
	}
	if t, ok := typeText(v.Elem().Type()); ok {
		e.text(t)
		return e.inside(step{field: pointee}, v.Elem())
	}
	e.text("")
	var b bytes.Buffer
	holds := v.Interface()
	if err := gob.NewEncoder(&b).Encode(&holds); err != nil {
		return fmt.Errorf("%s holds a %s, whose type the other rank can't know: give it in a variable of that type, or "+
			"call gob.Register: %w", e.where(), v.Elem().Type(), err)
	}
	e.raw(b.Bytes())
	return nil
}

// marshal is the method by which a type marshals itself.
type marshal int

const (
	none marshal = iota
	asGob
	asBinary
	asText
)

// marshalOf returns how a type marshals itself, so that a pointer to it reads it back.
func marshalOf(t reflect.Type) marshal {
	if t.PkgPath() == "" || t.Kind() == reflect.Interface {
		return none // Go's own types don't; what an interface holds decides by itself
	}
	if m, ok := marshals.Load(t); ok {
		return m.(marshal)
	}
	m := lookUp(reflect.PointerTo(t))
	marshals.Store(t, m)
	return m
}

// marshals caches marshalOf: looking up methods takes longer than writing a number.
var marshals sync.Map

func lookUp(p reflect.Type) marshal {
	switch {
	case p.Implements(reflect.TypeFor[gob.GobEncoder]()) && p.Implements(reflect.TypeFor[gob.GobDecoder]()):
		return asGob
	case p.Implements(reflect.TypeFor[encoding.BinaryMarshaler]()) &&
		p.Implements(reflect.TypeFor[encoding.BinaryUnmarshaler]()):
		return asBinary
	case p.Implements(reflect.TypeFor[encoding.TextMarshaler]()) &&
		p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return asText
	}
	return none
}

func (e *encoder) marshalled(v reflect.Value, m marshal) (err error) {
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	var b []byte
	switch x := p.Interface(); m {
	case asGob:
		b, err = x.(gob.GobEncoder).GobEncode()
	case asBinary:
		b, err = x.(encoding.BinaryMarshaler).MarshalBinary()
	default:
		b, err = x.(encoding.TextMarshaler).MarshalText()
	}
	if err != nil {
		return fmt.Errorf("%s, a %s: %w", e.where(), v.Type(), err)
	}
	e.raw(b)
	return nil
}
