package wire

import (
	"bytes"
	"encoding"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"math"
	"reflect"

	"github.com/golite/golite/torch"
)

var errShort = errors.New("it ends too early")

// Decode reads a value that Encode wrote, of the same type. Its tensors are on the CPU.
func Decode[T any](b []byte) (v T, err error) {
	d := decoder{b: b}
	want := reflect.TypeFor[T]().String()
	if got := d.text(); d.err == nil && got != want {
		return v, fmt.Errorf("it is a %s, want a %s", got, want)
	}
	if failed := torch.Try(func() { d.value(reflect.ValueOf(&v).Elem()) }); failed != nil {
		return v, failed
	}
	if d.err == nil && len(d.b) > 0 {
		d.err = fmt.Errorf("%d bytes are left over", len(d.b))
	}
	return v, d.err
}

// Unpack is Decode for an operation, which panics with a *torch.Error that names it.
func Unpack[T any](operation string, b []byte) T {
	v, err := Decode[T](b)
	if err != nil {
		torch.Fail(operation, "what another rank sent can't be read: %v", err)
	}
	return v
}

// decoder reads until something is wrong, and then nothing more.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.b = nil
}

func (d *decoder) bytes(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.fail(errShort)
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) number() uint64 {
	n, k := binary.Uvarint(d.b)
	if k <= 0 {
		d.fail(errShort)
		return 0
	}
	d.b = d.b[k:]
	return n
}

func (d *decoder) signed() int64 {
	n, k := binary.Varint(d.b)
	if k <= 0 {
		d.fail(errShort)
		return 0
	}
	d.b = d.b[k:]
	return n
}

func (d *decoder) float() float64 {
	b := d.bytes(8)
	if b == nil {
		return 0
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b))
}

func (d *decoder) text() string { return string(d.bytes(d.number())) }

// size reads a count of things that take a byte at least each, unless they are empty.
func (d *decoder) size(empty bool) int {
	n := d.number()
	if n > uint64(len(d.b)) && !empty || n > math.MaxInt32 {
		d.fail(errShort)
		return 0
	}
	return int(n)
}

func (d *decoder) flag() bool {
	b := d.bytes(1)
	return len(b) == 1 && b[0] == 1
}

func (d *decoder) value(v reflect.Value) {
	if d.err != nil {
		return
	}
	if v.Type() == tensorType {
		if t := d.tensor(); t != nil {
			v.Set(reflect.ValueOf(t))
		}
		return
	}
	if m := marshalOf(v.Type()); m != none {
		d.marshalled(v, m)
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(d.flag())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(d.signed())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(d.number())
	case reflect.Float32, reflect.Float64:
		v.SetFloat(d.float())
	case reflect.Complex64, reflect.Complex128:
		re := d.float()
		v.SetComplex(complex(re, d.float()))
	case reflect.String:
		v.SetString(d.text())
	case reflect.Pointer:
		if d.flag() {
			v.Set(reflect.New(v.Type().Elem()))
			d.value(v.Elem())
		}
	case reflect.Interface:
		d.dynamic(v)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Name != "_" {
				d.value(v.Field(i))
			}
		}
	case reflect.Slice, reflect.Array:
		d.list(v)
	case reflect.Map:
		d.pairs(v)
	}
}

func (d *decoder) tensor() *torch.Tensor {
	if !d.flag() {
		return nil
	}
	dtype := torch.DType(d.number())
	shape := make([]int, d.size(false))
	for i := range shape {
		shape[i] = int(d.number())
	}
	data := d.bytes(d.number())
	if d.err != nil {
		return nil
	}
	return torch.FromBytes(data, dtype, shape...)
}

func (d *decoder) list(v reflect.Value) {
	if v.Kind() == reflect.Slice {
		if !d.flag() {
			return
		}
		if v.Type().Elem().Kind() == reflect.Uint8 && marshalOf(v.Type().Elem()) == none {
			v.SetBytes(append([]byte{}, d.bytes(d.number())...))
			return
		}
		n := d.size(v.Type().Elem().Size() == 0)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
	}
	for i := range v.Len() {
		d.value(v.Index(i))
	}
}

func (d *decoder) pairs(v reflect.Value) {
	if !d.flag() {
		return
	}
	n := d.size(v.Type().Key().Size() == 0)
	v.Set(reflect.MakeMapWithSize(v.Type(), n))
	for range n {
		key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		d.value(key)
		d.value(elem)
		if d.err != nil {
			return
		}
		v.SetMapIndex(key, elem)
	}
}

func (d *decoder) dynamic(v reflect.Value) {
	if !d.flag() {
		return
	}
	name := d.text()
	if name == "" {
		var held any
		if err := gob.NewDecoder(bytes.NewReader(d.bytes(d.number()))).Decode(&held); err != nil {
			d.fail(err)
			return
		}
		v.Set(reflect.ValueOf(held))
		return
	}
	t, err := typeOf(name)
	if err != nil {
		d.fail(err)
		return
	}
	held := reflect.New(t).Elem()
	d.value(held)
	if d.err == nil {
		v.Set(held)
	}
}

func (d *decoder) marshalled(v reflect.Value, m marshal) {
	b := d.bytes(d.number())
	if d.err != nil {
		return
	}
	var err error
	switch x := v.Addr().Interface(); m {
	case asGob:
		err = x.(gob.GobDecoder).GobDecode(b)
	case asBinary:
		err = x.(encoding.BinaryUnmarshaler).UnmarshalBinary(b)
	default:
		err = x.(encoding.TextUnmarshaler).UnmarshalText(b)
	}
	if err != nil {
		d.fail(err)
	}
}
