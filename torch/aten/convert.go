package aten

import (
	"fmt"
	"math"
	"reflect"
	"slices"

	"github.com/golite/golite/internal/op"
	"github.com/golite/golite/internal/schema"
	"github.com/golite/golite/torch"
)

// encode writes v as a value of the type, or says what is wrong with it.
func encode(a *op.Args, t schema.Type, v any) string {
	if f, ok := v.(fallback); ok {
		return encodeDefault(a, t, f.value)
	}
	v = deref(v)
	if isNone(t, v) {
		a.None()
		return ""
	}
	inner := t.Inner()
	if v == nil {
		return "want " + wants(inner) + ", got nil"
	}
	if inner.Form == schema.List {
		return encodeList(a, inner, v)
	}
	return encodeOne(a, inner, v)
}

// deref follows a pointer to a plain value: *int, *torch.Scalar. A nil pointer of whatever type is nil.
func deref(v any) any {
	r := reflect.ValueOf(v)
	if r.Kind() != reflect.Pointer {
		return v
	}
	if r.IsNil() {
		return nil
	}
	switch v.(type) {
	case *torch.Tensor, *torch.Generator:
		return v
	}
	if r.Elem().Kind() == reflect.Pointer || !r.Elem().CanInterface() {
		return v
	}
	return r.Elem().Interface()
}

// isNone reports whether v means None: nil, a nil slice, or the zero value of what has no other use for it.
func isNone(t schema.Type, v any) bool {
	if !t.IsOptional() {
		return false
	}
	switch v := v.(type) {
	case nil:
		return true
	case torch.DType:
		return v == 0
	case torch.Device:
		return v == torch.Device{}
	case torch.Layout:
		return v == 0
	case torch.MemoryFormat:
		return v == 0
	}
	r := reflect.ValueOf(v)
	return r.Kind() == reflect.Slice && r.IsNil()
}

// encodeOne writes what is neither optional nor a list.
func encodeOne(a *op.Args, t schema.Type, v any) string {
	switch key := t.Key(); key {
	case "Tensor":
		if x, ok := v.(*torch.Tensor); ok {
			abi.Tensor(a, x)
			return ""
		}
	case "int":
		if i, ok := integer(v); ok {
			a.Int(i)
			return ""
		}
	case "float":
		if f, ok := float(v); ok {
			a.Float(f)
			return ""
		}
	case "bool":
		if b, ok := v.(bool); ok {
			a.Bool(b)
			return ""
		}
	case "Scalar":
		if s, ok := scalar(v); ok {
			abi.Scalar(a, s)
			return ""
		}
	case "str":
		if s, ok := v.(string); ok {
			a.String(s)
			return ""
		}
	default:
		return encodeRare(a, t, v)
	}
	return "want " + wants(t) + ", got " + given(v)
}

// encodeRare writes the types of which the zero value is None.
func encodeRare(a *op.Args, t schema.Type, v any) string {
	switch key := t.Key(); v := v.(type) {
	case torch.DType:
		if key == "ScalarType" && v != 0 {
			abi.DType(a, v)
			return ""
		}
	case torch.Device:
		if key == "Device" && v != (torch.Device{}) {
			abi.Device(a, v)
			return ""
		}
	case string:
		if key == "Device" {
			d, err := torch.ParseDevice(v)
			if err != nil {
				return err.Error()
			}
			abi.Device(a, d)
			return ""
		}
	case torch.Layout:
		if key == "Layout" && v != 0 {
			abi.Layout(a, v)
			return ""
		}
	case torch.MemoryFormat:
		if key == "MemoryFormat" && v != 0 {
			abi.MemoryFormat(a, v)
			return ""
		}
	case *torch.Generator:
		if key == "Generator" {
			abi.Generator(a, v)
			return ""
		}
	}
	return "want " + wants(t) + ", got " + given(v)
}

// encodeDefault writes a default of the schema: plain values, and numbers where libtorch has an enumeration.
func encodeDefault(a *op.Args, t schema.Type, v any) string {
	if v == nil {
		if !t.IsOptional() {
			return "the schema's own default is None"
		}
		a.None()
		return ""
	}
	inner := t.Inner()
	if list, ok := v.([]any); ok {
		return encodeList(a, inner, list)
	}
	switch n, _ := v.(int64); inner.Key() {
	case "ScalarType", "Layout", "MemoryFormat":
		a.Int(n)
		return ""
	}
	return encode(a, t, v)
}

// integer converts any Go integer that fits.
func integer(v any) (int64, bool) {
	switch v.(type) {
	case torch.DType, torch.Layout, torch.MemoryFormat, torch.DeviceType:
		return 0, false
	}
	switch r := reflect.ValueOf(v); {
	case r.CanInt():
		return r.Int(), true
	case r.CanUint():
		return int64(r.Uint()), r.Uint() <= math.MaxInt64
	}
	return 0, false
}

// float converts any Go number that is not complex.
func float(v any) (float64, bool) {
	if i, ok := integer(v); ok {
		return float64(i), true
	}
	if r := reflect.ValueOf(v); r.CanFloat() {
		return r.Float(), true
	}
	return 0, false
}

func scalar(v any) (torch.Scalar, bool) {
	switch v := v.(type) {
	case torch.Scalar:
		return v, true
	case bool:
		return torch.Boolean(v), true
	}
	if i, ok := integer(v); ok {
		return torch.Int(i), true
	}
	if f, ok := float(v); ok {
		return torch.Float(f), true
	}
	if r := reflect.ValueOf(v); r.IsValid() && r.CanComplex() {
		return torch.ComplexNumber(r.Complex()), true
	}
	return torch.Scalar{}, false
}

var kinds = map[string]string{
	"Tensor": "a *torch.Tensor", "int": "an integer", "float": "a number", "bool": "a bool",
	"Scalar": "a torch.Scalar, a number or a bool",
	"str":    "a string", "ScalarType": "a torch.DType", "Device": "a torch.Device or its name",
	"Layout":       "a torch.Layout",
	"MemoryFormat": "a torch.MemoryFormat", "Generator": "a *torch.Generator",
}

// slices of Go for lists of libtorch.
var lists = map[string]string{
	"Tensor[]": "a []*torch.Tensor without nil", "Tensor?[]": "a []*torch.Tensor", "int[]": "a []int",
	"float[]": "a []float64",
	"bool[]":  "a []bool", "Scalar[]": "a []torch.Scalar", "str[]": "a []string",
}

func wants(t schema.Type) string {
	if t.Form != schema.List {
		return kinds[t.Key()]
	}
	s := lists[t.Key()]
	if spreads(t) {
		s += " or " + kinds[t.Elem.Key()]
	}
	return s
}

// spreads reports whether one value may stand for all of the list: int[2], float[1].
func spreads(t schema.Type) bool {
	return t.Size > 0 && slices.Contains([]string{"int", "float", "bool"}, t.Elem.Key())
}

// given describes a value in an error message.
func given(v any) string {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("the string %q", v)
	case torch.DType, torch.Layout, torch.MemoryFormat, torch.Device, torch.Scalar:
		if reflect.ValueOf(v).IsZero() {
			return fmt.Sprintf("the zero %T", v)
		}
		return fmt.Sprintf("the %T %v", v, v)
	}
	switch r := reflect.ValueOf(v); {
	case r.Kind() == reflect.Bool, r.CanInt(), r.CanUint(), r.CanFloat(), r.CanComplex():
		return fmt.Sprintf("the %T %v", v, v)
	}
	return fmt.Sprintf("a %T", v)
}
