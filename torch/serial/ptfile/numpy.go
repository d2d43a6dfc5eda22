package ptfile

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/pickle"
)

// NumpyDType is a numpy.dtype of numbers, bools or text.
type NumpyDType struct {
	// Code is numpy's type code with its item size: "f4", "i8", "b1", "U3", "S2".
	Code string
	// Order is '<', '>', '=' or '|'.
	Order byte
}

// String returns numpy's short form: "<f4".
func (d *NumpyDType) String() string { return string(rune(d.Order)) + d.Code }

// ItemSize returns the bytes of one element.
func (d *NumpyDType) ItemSize() int {
	n, _ := strconv.Atoi(d.Code[1:]) // checked when it was made
	if d.Code[0] == 'U' {
		n *= 4
	}
	return n
}

// NumpyArray is a numpy array, or a numpy scalar, with its bytes as numpy stores them.
type NumpyArray struct {
	// DType is its elements' type, and Shape its sizes, none for a scalar.
	DType *NumpyDType
	Shape []int
	// Fortran says that Data is in column-major order.
	Fortran bool
	// Scalar says that this is a numpy scalar (np.float64(2)), not an array.
	Scalar bool
	Data   []byte
}

// HashKey makes a NumpyDType usable as a key of a pickle.Dict.
func (d *NumpyDType) HashKey() string { return "numpy " + d.String() }

func numpyGlobal(module, name string) (any, bool) {
	switch module {
	case "numpy.core.multiarray", "numpy._core.multiarray":
		module = "numpy.multiarray"
	case "numpy.core.numeric", "numpy._core.numeric":
		module = "numpy.numeric"
	}
	c, ok := numpyClasses[module+"."+name]
	return c, ok
}

var numpyClasses = map[string]*pickle.Class{}

func init() {
	for name, call := range map[string]func(pickle.Tuple) (any, error){
		"numpy.dtype":                   newNumpyDType,
		"numpy.ndarray":                 nil, // named by _reconstruct
		"numpy.multiarray._reconstruct": newNumpyArray,
		"numpy.multiarray.scalar":       newNumpyScalar,
		"numpy.numeric._frombuffer":     numpyFromBuffer,
	} {
		numpyClasses[name] = &pickle.Class{Name: name, Call: call}
	}
}

const maxNumpyItem = 1 << 20

func newNumpyDType(args pickle.Tuple) (any, error) {
	if len(args) == 0 {
		return nil, fmt.Errorf("no arguments")
	}
	code, ok := args[0].(string)
	if !ok || len(code) < 2 {
		return nil, fmt.Errorf("a type code is %s", pickle.Describe(args[0]))
	}
	n, err := strconv.Atoi(code[1:])
	if err != nil || n < 0 || n > maxNumpyItem || !strings.ContainsRune("biufcSU", rune(code[0])) {
		return nil, &errs.ErrUnsupported{What: "numpy dtype " + pickle.Describe(code)}
	}
	order := byte('=')
	if n == 1 || code[0] == 'S' {
		order = '|'
	}
	return &NumpyDType{Code: code[:1] + strconv.Itoa(n), Order: order}, nil
}

// SetState takes (version, byte order, subtype, names, fields, item size, alignment, flags).
func (d *NumpyDType) SetState(state any) error {
	s, ok := state.(pickle.Tuple)
	if !ok || len(s) < 5 {
		return fmt.Errorf("the state of a numpy.dtype is %s", pickle.Describe(state))
	}
	order, ok := s[1].(string)
	if !ok || len(order) != 1 || !strings.Contains("<>=|", order) {
		return fmt.Errorf("a byte order is %s", pickle.Describe(s[1]))
	}
	if s[2] != nil || s[3] != nil || s[4] != nil {
		return &errs.ErrUnsupported{What: "a structured numpy dtype"}
	}
	d.Order = order[0]
	return nil
}

func newNumpyArray(args pickle.Tuple) (any, error) {
	if len(args) == 3 {
		if c, ok := args[0].(*pickle.Class); ok && c.Name == "numpy.ndarray" {
			return &NumpyArray{}, nil
		}
	}
	return nil, fmt.Errorf("not an ndarray's")
}

// SetState takes (version, shape, dtype, is_fortran, bytes).
func (a *NumpyArray) SetState(state any) error {
	s, ok := state.(pickle.Tuple)
	if !ok || len(s) != 5 || a.DType != nil {
		return fmt.Errorf("the state of a numpy.ndarray is %s", pickle.Describe(state))
	}
	shape, err := ints(s[1])
	if err != nil {
		return err
	}
	dtype, ok := s[2].(*NumpyDType)
	fortran, ok2 := s[3].(bool)
	if !ok || !ok2 {
		return fmt.Errorf("an array's dtype is %s", pickle.Describe(s[2]))
	}
	return a.fill(dtype, shape, fortran, s[4])
}

func (a *NumpyArray) fill(dtype *NumpyDType, shape []int, fortran bool, data any) error {
	var raw []byte
	switch d := data.(type) {
	case pickle.Bytes:
		raw = d
	case pickle.ByteArray:
		raw = d
	case string: // Python 2's bytes that happen to be text
		raw = []byte(d)
	default:
		return &errs.ErrUnsupported{What: fmt.Sprintf("a numpy array whose data is %s (objects)", pickle.Describe(data))}
	}
	want, over := uint64(dtype.ItemSize()), uint64(0)
	for _, n := range shape {
		if n < 0 {
			return fmt.Errorf("sizes %v", shape)
		}
		var hi uint64
		hi, want = bits.Mul64(want, uint64(n))
		over |= hi
	}
	if over != 0 || want != uint64(len(raw)) {
		return fmt.Errorf("%d bytes for an array of sizes %v and dtype %s", len(raw), shape, dtype)
	}
	a.DType, a.Shape, a.Fortran, a.Data = dtype, shape, fortran, raw
	return nil
}

func newNumpyScalar(args pickle.Tuple) (any, error) {
	if len(args) != 2 {
		return nil, fmt.Errorf("%d arguments", len(args))
	}
	dtype, ok := args[0].(*NumpyDType)
	if !ok {
		return nil, fmt.Errorf("a scalar's dtype is %s", pickle.Describe(args[0]))
	}
	a := &NumpyArray{Scalar: true}
	return a, a.fill(dtype, []int{}, false, args[1])
}

// numpyFromBuffer answers _frombuffer (buffer, dtype, shape, order), of protocol 5.
func numpyFromBuffer(args pickle.Tuple) (any, error) {
	if len(args) != 4 {
		return nil, fmt.Errorf("%d arguments", len(args))
	}
	dtype, ok := args[1].(*NumpyDType)
	order, ok2 := args[3].(string)
	if !ok || !ok2 || order != "C" && order != "F" {
		return nil, fmt.Errorf("an array's dtype is %s", pickle.Describe(args[1]))
	}
	shape, err := ints(args[2])
	if err != nil {
		return nil, err
	}
	a := &NumpyArray{}
	return a, a.fill(dtype, shape, order == "F", args[0])
}
