package ptfile

import (
	"fmt"
	"strconv"
	"strings"
)

// DType is an element type by PyTorch's name without its module: "float32", "bfloat16", "int64".
type DType string

// dtypeInfo is a dtype's form on disk.
type dtypeInfo struct {
	size    int    // bytes of an element
	swap    int    // bytes that change places when the byte order changes: the half of a complex number
	storage string // the typed storage class in pickles; empty for dtypes that came after typed storages
}

var dtypes = map[DType]dtypeInfo{
	"float64":          {8, 8, "DoubleStorage"},
	"float32":          {4, 4, "FloatStorage"},
	"float16":          {2, 2, "HalfStorage"},
	"bfloat16":         {2, 2, "BFloat16Storage"},
	"int64":            {8, 8, "LongStorage"},
	"int32":            {4, 4, "IntStorage"},
	"int16":            {2, 2, "ShortStorage"},
	"int8":             {1, 1, "CharStorage"},
	"uint8":            {1, 1, "ByteStorage"},
	"bool":             {1, 1, "BoolStorage"},
	"complex128":       {16, 8, "ComplexDoubleStorage"},
	"complex64":        {8, 4, "ComplexFloatStorage"},
	"complex32":        {4, 2, ""},
	"uint16":           {2, 2, ""},
	"uint32":           {4, 4, ""},
	"uint64":           {8, 8, ""},
	"float8_e4m3fn":    {1, 1, ""},
	"float8_e5m2":      {1, 1, ""},
	"float8_e4m3fnuz":  {1, 1, ""},
	"float8_e5m2fnuz":  {1, 1, ""},
	"float8_e8m0fnu":   {1, 1, ""},
	"float4_e2m1fn_x2": {1, 1, ""},
}

// aliases are the other names that torch gives dtypes.
var aliases = map[string]DType{
	"double": "float64", "float": "float32", "half": "float16", "long": "int64", "int": "int32", "short": "int16",
	"cdouble": "complex128", "cfloat": "complex64", "chalf": "complex32",
}

// storageDTypes maps typed storage classes to dtypes.
var storageDTypes = func() map[string]DType {
	m := map[string]DType{}
	for d, info := range dtypes {
		if info.storage != "" {
			m[info.storage] = d
		}
	}
	return m
}()

// Known reports whether d is a dtype that this package reads and writes.
func (d DType) Known() bool { _, ok := dtypes[d]; return ok }

// Size returns the bytes of one element, or 0 for an unknown dtype.
func (d DType) Size() int { return dtypes[d].size }

// SwapUnit returns how many bytes change places together when the byte order changes.
func (d DType) SwapUnit() int { return dtypes[d].swap }

// String returns the name as Python prints it: "torch.float32".
func (d DType) String() string { return "torch." + string(d) }

// HashKey makes a DType usable as a key of a pickle.Dict.
func (d DType) HashKey() string { return d.String() }

// Layout is a tensor's layout by PyTorch's name: "strided", "sparse_coo", "sparse_csr", "sparse_csc",
// "sparse_bsr" or "sparse_bsc".
type Layout string

// Strided is the layout of dense tensors.
const Strided Layout = "strided"

var layouts = map[Layout]int{Strided: 0, "sparse_coo": 2, "sparse_csr": 3, "sparse_csc": 3, "sparse_bsr": 3,
	"sparse_bsc": 3}

// HashKey makes a Layout usable as a key of a pickle.Dict.
func (l Layout) HashKey() string { return "layout " + string(l) }

// Size is a torch.Size.
type Size []int

// HashKey makes a Size usable as a key of a pickle.Dict.
func (s Size) HashKey() string { return fmt.Sprint("torch.Size", []int(s)) }

// Device is a torch.device.
type Device struct {
	// Type is "cpu", "cuda", ...
	Type string
	// Index is the device's number, -1 where none was given.
	Index int
}

// String returns the device as Python writes it: "cuda:1", "cpu".
func (d Device) String() string {
	if d.Index < 0 {
		return d.Type
	}
	return d.Type + ":" + strconv.Itoa(d.Index)
}

// HashKey makes a Device usable as a key of a pickle.Dict.
func (d Device) HashKey() string { return "device " + d.String() }

// ParseDevice reads "cuda:1".
func ParseDevice(s string) (Device, error) {
	t, n, found := strings.Cut(s, ":")
	if t == "" || strings.ContainsAny(t, " \n") {
		return Device{}, fmt.Errorf("%q is no device", s)
	}
	if !found {
		return Device{t, -1}, nil
	}
	i, err := strconv.Atoi(n)
	if err != nil || i < 0 {
		return Device{}, fmt.Errorf("%q is no device", s)
	}
	return Device{t, i}, nil
}
