package torch

import "fmt"

// DType is the type of a tensor's elements (torch.dtype). The zero value means the default: the process's
// default floating type for what makes tensors, the input's type for what converts them.
//
// The types are Float16, BFloat16, Float32, Float64; Complex32, Complex64, Complex128; Bool; Int8, Int16, Int32,
// Int64; UInt8, UInt16, UInt32, UInt64; Float8E5M2, Float8E4M3FN, Float8E5M2FNUZ, Float8E4M3FNUZ, Float8E8M0FNU,
// Float4E2M1FNx2; QInt8, QUInt8, QInt32.
type DType uint8

// The element types of libtorch. Float8 types, the small unsigned ones and ComplexHalf are for storage and
// conversion: few operations run on them.
const (
	UInt8          DType = 1
	Int8           DType = 2
	Int16          DType = 3
	Int32          DType = 4
	Int64          DType = 5
	Float16        DType = 6
	Float32        DType = 7
	Float64        DType = 8
	Complex32      DType = 9 // a pair of Float16
	Complex64      DType = 10
	Complex128     DType = 11
	Bool           DType = 12
	QInt8          DType = 13
	QUInt8         DType = 14
	QInt32         DType = 15
	BFloat16       DType = 16
	Float8E5M2     DType = 24
	Float8E4M3FN   DType = 25
	Float8E5M2FNUZ DType = 26
	Float8E4M3FNUZ DType = 27
	UInt16         DType = 28
	UInt32         DType = 29
	UInt64         DType = 30
	Float8E8M0FNU  DType = 45
	Float4E2M1FNx2 DType = 46
	dtypeCount           = 47
)

type dtypeFacts struct {
	name     string
	size     int
	floating bool
	complex  bool
}

var dtypes = [dtypeCount]dtypeFacts{
	UInt8: {"uint8", 1, false, false}, Int8: {"int8", 1, false, false}, Int16: {"int16", 2, false, false},
	Int32: {"int32", 4, false, false}, Int64: {"int64", 8, false, false},
	Float16: {"float16", 2, true, false}, Float32: {"float32", 4, true, false}, Float64: {"float64", 8, true, false},
	Complex32: {"complex32", 4, false, true}, Complex64: {"complex64", 8, false, true}, Complex128: {"complex128", 16,
		false, true},
	Bool: {"bool", 1, false, false}, QInt8: {"qint8", 1, false, false}, QUInt8: {"quint8", 1, false, false},
	QInt32:   {"qint32", 4, false, false},
	BFloat16: {"bfloat16", 2, true, false}, Float8E5M2: {"float8_e5m2", 1, true, false}, Float8E4M3FN: {"float8_e4m3fn", 1,
		true, false},
	Float8E5M2FNUZ: {"float8_e5m2fnuz", 1, true, false}, Float8E4M3FNUZ: {"float8_e4m3fnuz", 1, true, false},
	UInt16: {"uint16", 2, false, false}, UInt32: {"uint32", 4, false, false}, UInt64: {"uint64", 8, false, false},
	Float8E8M0FNU: {"float8_e8m0fnu", 1, true, false}, Float4E2M1FNx2: {"float4_e2m1fn_x2", 1, true, false},
}

func (d DType) facts() dtypeFacts {
	if int(d) < len(dtypes) {
		return dtypes[d]
	}
	return dtypeFacts{}
}

// String returns PyTorch's name without "torch.": "float32".
func (d DType) String() string {
	if d == 0 {
		return "default"
	}
	if n := d.facts().name; n != "" {
		return n
	}
	return fmt.Sprintf("dtype(%d)", d.code())
}

// ParseDType returns the type of that name, with or without "torch." in front.
func ParseDType(name string) (DType, error) {
	if len(name) > 6 && name[:6] == "torch." {
		name = name[6:]
	}
	for d, f := range dtypes {
		if f.name == name && name != "" {
			return DType(d), nil
		}
	}
	return 0, fmt.Errorf("no dtype is called %q: want a name of PyTorch's, such as float32, bfloat16 or int64", name)
}

// Size returns the bytes of one element (torch.dtype.itemsize), 0 for the zero value.
func (d DType) Size() int { return d.facts().size }

// IsFloating reports whether the type is a floating one, of any width (torch.dtype.is_floating_point).
func (d DType) IsFloating() bool { return d.facts().floating }

// IsComplex reports whether the type is a complex one (torch.dtype.is_complex).
func (d DType) IsComplex() bool { return d.facts().complex }

// problem says what is wrong with a type that is none, "" of one of libtorch's.
func (d DType) problem() string {
	if d > 0 && d < dtypeCount {
		return ""
	}
	return fmt.Sprintf("%d is not a torch.DType: want one of package torch's constants, such as torch.Float32", d)
}

// code is libtorch's number of the type.
func (d DType) code() int64 { return int64(d) - 1 }

func dtypeOf(code int64) DType { return DType(code + 1) }

// place makes DType a Target of Tensor.To.
func (d DType) place(dt *DType, _ *Device) { *dt = d }
